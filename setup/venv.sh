#!/bin/sh
# Makes .venv from requirements.txt and installs the project in it, editable. Costs nothing when that is done:
# a stamp in .venv, written last, holds the state it was made from.
# usage: setup/venv.sh [PYTHON]
set -eu
cd -P "$(dirname "$0")/.."

# A user's own environment must not leak into ours; pip keeps its other settings (mirrors, proxies).
unset PYTHONHOME PYTHONPATH VIRTUAL_ENV PIP_CONSTRAINT PIP_PREFIX PIP_REQUIRE_HASHES PIP_ROOT PIP_TARGET
export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1

fail() {
    echo "mixpe: error: $*" >&2
    exit 2
}

# Which Python $1 is: its version and home. Fails where it does not run.
identity() {
    "$1" -I -S -c 'import sys; print("%d.%d %s" % (*sys.version_info[:2], sys.base_prefix))' 2>/dev/null
}

# Prints the first usable Python of $@.
choose() {
    old='' bare=''
    for python in "$@"; do
        version=$(identity "$python") || continue
        version=${version%% *}
        if ! "$python" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            old=${old:-$python is $version}
        elif ! "$python" -I -c 'import ensurepip, venv' 2>/dev/null; then
            bare=${bare:-$python}
        else
            echo "$python"
            return
        fi
    done
    case $(uname) in
    Darwin) get='brew install python' ;;
    *) get="sudo apt-get install ${bare:-python3}-venv" ;;
    esac
    [ -z "$bare" ] || fail "$bare lacks venv; type: $get"
    [ -z "$old" ] || fail "Python must be 3.11 or newer, and $old; with a newer one, type: make PYTHON=python3.12"
    fail "no Python 3.11 or newer found ($*); type: $get"
}

# What .venv is made from: its Python, its place and the pinned packages; and for the project, its metadata.
packages_state() {
    { echo "$1" && pwd && cat requirements.txt setup/venv.sh; } | cksum
}
project_state() {
    { packages_state "$1" && cat pyproject.toml; } | cksum
}

is_current() { # stamp, state
    [ -f ".venv/$1" ] && [ "$(cat ".venv/$1")" = "$2" ]
}
stamp() {
    echo "$2" >".venv/$1.new"
    mv ".venv/$1.new" ".venv/$1"
}

here=$(identity .venv/bin/python) || here=''
wanted=$here
[ -z "${1:-}" ] || wanted=$(identity "$1") || fail "PYTHON=$1 does not run"

if [ -z "$here" ] || [ "$here" != "$wanted" ] || ! is_current packages "$(packages_state "$here")"; then
    python=$(choose ${1:-python3 python3.14 python3.13 python3.12 python3.11})
    # No wheel of cocotb for this machine: pip compiles it.
    [ "$(uname -sm)" != "Linux aarch64" ] || setup/tools.sh compile
    echo "mixpe: making .venv with $python and installing the packages of requirements.txt"
    rm -rf .venv
    "$python" -I -m venv .venv
    .venv/bin/python -m pip install --quiet --no-deps --requirement requirements.txt
    here=$(identity .venv/bin/python)
    stamp packages "$(packages_state "$here")"
fi
if ! is_current project "$(project_state "$here")"; then
    echo "mixpe: installing mixpe in .venv"
    .venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
    # The same mapping of folders for the type checker, which does not see through an editable install.
    .venv/bin/python - <<'EOF'
import pathlib, shutil, tomllib

tree = pathlib.Path(".venv/typing")
shutil.rmtree(tree, ignore_errors=True)
(tree / "mixpe").mkdir(parents=True)
for package, folder in tomllib.loads(pathlib.Path("pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"].items():
    place, source = tree / package.replace(".", "/"), pathlib.Path(folder).resolve()
    if place.is_dir():  # the package itself, whose folder holds the others
        for file in source.iterdir():
            if file.is_file():
                (place / file.name).symlink_to(file)
    else:
        place.symlink_to(source)
EOF
    stamp project "$(project_state "$here")"
fi
