#!/bin/sh
# Finds the programs a target calls besides Python's packages, and installs what is missing where it may:
# with apt-get as root or through a sudo that asks no password, with Homebrew on macOS. Else says what to type.
# usage: setup/tools.sh lint|test|ppa|compile
#   lint: what Verilator needs to check a file. test: both simulators and OpenSTA. ppa: Icarus and OpenSTA.
#   compile: what pip needs to build a package.
set -eu

fail() {
    echo "mixpe: error: $*" >&2
    exit 2
}

# The modules Verilator's front end uses: Debian's essential perl-base lacks some.
has_perl() {
    perl -MGetopt::Long -MFindBin -MPod::Usage -e 1 2>/dev/null
}
has_python_headers() {
    header=$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h
    [ -f "$header" ]
}
# The shared library of the Python that the tests run with, which simulators load: minimal systems lack it.
has_libpython() {
    .venv/bin/python -c 'import sys; from find_libpython import find_libpython as f; sys.exit(not f())'
}
libpython() {
    .venv/bin/python -c 'import sys; print("libpython%d.%d" % sys.version_info[:2])'
}
has() {
    command -v "$1" >/dev/null 2>&1
}

missing_for_ppa() {
    { has iverilog && has vvp; } || echo iverilog
    has "${MIXPE_STA:-sta}" || echo opensta
}

# Prints the Debian packages that are missing.
missing() {
    case $1 in
    lint) has_perl || echo perl ;;
    compile)
        has g++ || echo g++
        has_python_headers || echo python3-dev
        ;;
    test)
        has_perl || echo perl
        has make || echo make
        has g++ || echo g++
        has_libpython || libpython
        missing_for_ppa
        ;;
    ppa) missing_for_ppa ;;
    *) fail "target must be lint, test, ppa or compile, not '$1'" ;;
    esac
}

# Installs the packages $2; $1 goes before each command.
install_with_apt() {
    echo "mixpe: installing with apt-get: $2"
    # shellcheck disable=SC2086 # both are lists of words
    $1 apt-get -qq update &&
        $1 env DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends $2 >/dev/null
}

packages=$(missing "$1" | tr '\n' ' ')
packages=${packages% }
[ -n "$packages" ] || exit 0

if [ "$(uname)" = Darwin ]; then
    case $packages in
    # Homebrew has none.
    *opensta*) fail "missing: $packages; build OpenSTA from github.com/parallaxsw/OpenSTA and put sta on PATH" ;;
    iverilog) command='brew install icarus-verilog' ;;
    *) command='xcode-select --install' ;;
    esac
    if [ "$packages" = iverilog ] && has brew; then
        $command || fail "Homebrew did not install Icarus Verilog; type: $command"
    else
        fail "missing: $packages; type: $command"
    fi
elif has apt-get; then
    command="sudo apt-get install $packages"
    if [ "$(id -u)" = 0 ]; then
        install_with_apt '' "$packages" || fail "apt-get did not install $packages; type: $command"
    elif has sudo && sudo -n true 2>/dev/null; then
        install_with_apt 'sudo -n' "$packages" || fail "apt-get did not install $packages; type: $command"
    else
        fail "missing: $packages; type: $command"
    fi
else
    fail "missing: $packages; install them with this system's package manager"
fi
left=$(missing "$1" | tr '\n' ' ')
[ -z "$left" ] || fail "installed, yet not found on PATH: $left"
