"""What containers, clusters and shells do to a command: one line, status 2, and no part of a file."""

import errno
import logging
import os
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from mixpe.spec.errors import UserError
from mixpe.support import files, folders
from mixpe.support.files import check_folder, check_place, read_bytes, read_text, write_file, write_files
from mixpe.support.folders import cache_folders, plain, temporary_folder
from mixpe.support.memory import require_memory
from verif.harness.processes import COMMAND, environment, run

SMALL = ["verilog", "--rows", "1", "--cols", "2", "--group", "3"]


def refusal(action, *arguments) -> str:
    with pytest.raises(UserError) as error:
        action(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def odd(tmp_path):
    """Names of what is no file, with the reason that is given."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    kind = "it is a pipe or a device, not a file"
    return {
        tmp_path / "pipe": kind,
        "/dev/zero": kind,
        tmp_path / "loop": os.strerror(errno.ELOOP),
        tmp_path / ("n" * 300): os.strerror(errno.ENAMETOOLONG),
        tmp_path / "nul\0byte": "embedded null byte",
        tmp_path / "folder": None,
    }


def test_what_is_no_file_is_not_read(odd, tmp_path):
    for path, why in odd.items():
        assert refusal(read_bytes, path, "text").endswith(f": {why or 'Is a directory'}")
    assert (
        refusal(read_bytes, tmp_path / "none") == f"{tmp_path}/none cannot be read: No such file or directory"
    )
    (tmp_path / "latin").write_bytes(b"a\xe4")
    assert refusal(read_text, tmp_path / "latin", "text").endswith(
        "latin must be UTF-8: unexpected end of data at byte 1"
    )
    assert refusal(lambda: read_bytes(tmp_path / "latin", limit=1)).endswith("at most 1 bytes, not 2")


def test_what_is_no_file_is_not_written(odd):
    for path, why in odd.items():
        path = files.Path(path)
        for action in (check_place, lambda each: write_file(each, "text")):
            assert refusal(action, path) == f"cannot write {path}: {why or 'it is a folder'}"
    assert stat.S_ISCHR(os.stat("/dev/zero").st_mode)


def test_names_too_long_below_a_missing_folder(tmp_path):
    for name in ("none/" + "n" * 300, "n" * 300 + "/none", "none/" + "n/" * 3000):
        assert refusal(check_folder, tmp_path / name).endswith(f": {os.strerror(errno.ENAMETOOLONG)}")


def test_link_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to("file")
    write_file(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "text"


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", range(4))
def test_a_set_of_files_is_replaced_whole_or_not_at_all(fault, step, tmp_path, monkeypatch):
    """Wherever a rename fails: the old files stay, what is new is gone, and nothing lies beside."""
    old = {"a": "old a", "b": "old b", "mine": "mine"}
    for name, text in old.items():
        (tmp_path / name).write_text(text)
    new = {tmp_path / name: f"new {name}" for name in "abcd"}
    replace, calls = os.replace, []

    def failing(source, target):
        calls.append(target)
        if len(calls) == step + 1:
            raise fault
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises((UserError, KeyboardInterrupt)):
        write_files(new)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == old
    monkeypatch.undo()
    write_files(new)
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {"a": "new a", "b": "new b", "c": "new c", "d": "new d", "mine": "mine"}


def test_standard_output_that_takes_nothing(tmp_path):
    variables = environment(tmp_path)
    with open("/dev/full", "w") as full:
        ended = run(["configs"], tmp_path, variables, stdout=full)
    assert (ended.status, ended.err) == (2, "mixpe: error: the standard output: No space left on device\n")
    shell = 'exec "$0" configs >&-'
    closed = subprocess.run(["sh", "-c", shell, COMMAND], env=variables, capture_output=True, text=True)
    assert (closed.returncode, closed.stderr.count("\n")) == (2, 1)
    assert closed.stderr.startswith("mixpe: error: the standard output is closed")


def test_reader_that_has_enough(tmp_path):
    ended = subprocess.run(
        ["sh", "-c", f'"{COMMAND}" configs | true'],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stderr == ""


def test_modules_of_the_users(tmp_path):
    """Files in the working folder that are called as Python's modules are not run."""
    for name in ("platform", "random", "numpy", "secrets", "signal", "subprocess", "tempfile"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('mine')\n")
    ended = run([*SMALL, "--out-dir", "out"], tmp_path, environment(tmp_path))
    assert (ended.status, ended.err) == (0, "")
    written = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "out").iterdir())
    assert sorted(ended.out.splitlines()) == written
    assert "out/manifest.json" in written


def test_names_that_are_no_text(tmp_path):
    ended = run([*SMALL, "--out-dir", b"\xff\xfe"], tmp_path, environment(tmp_path))
    assert (ended.status, ended.err) == (0, "")


@pytest.fixture
def no_home(tmp_path, monkeypatch, caplog):
    """A home below a file, which nobody can make, not even root."""
    (tmp_path / "file").touch()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "file" / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    folders._private.cache_clear()
    caplog.set_level(logging.WARNING, "mixpe")
    yield caplog
    folders._private.cache_clear()


def test_cache_without_a_home(no_home, tmp_path):
    searched = cache_folders("sim")
    private = tmp_path / "tmp" / f"mixpe-{os.getuid()}"
    assert searched == [tmp_path / "file/home/.cache/mixpe/sim", private / "sim"]
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    cache_folders("ppa")
    (note,) = no_home.messages
    assert "cannot be written: Not a directory" in note


def test_programs_with_caches_of_their_own(no_home, monkeypatch, tmp_path):
    """Amaranth's Yosys is one; it fails where it has no place for what it keeps."""
    place = folders.cache_variables()["XDG_CACHE_HOME"]
    assert os.access(place, os.W_OK)
    assert place.startswith(str(tmp_path / "tmp"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folders.cache_variables() == {}


@pytest.mark.nightly
def test_verilog_without_a_home(no_home, tmp_path):
    ended = run(SMALL, tmp_path, dict(os.environ))
    assert ended.status == 0, ended.err
    assert len(ended.lines) == 1


def test_private_folder_of_somebody_else(no_home, tmp_path):
    """One that others can write is not used: they could put libraries there."""
    taken = tmp_path / "tmp" / f"mixpe-{os.getuid()}"
    taken.mkdir()
    taken.chmod(0o777)
    assert cache_folders("sim")[-1].parent not in (taken, taken.parent)


def test_plain_names(tmp_path):
    assert plain(tmp_path) == tmp_path
    spaced = tmp_path / "two words"
    spaced.mkdir()
    link = plain(spaced)
    assert link == plain(spaced)
    assert link.resolve() == spaced
    assert " " not in str(link)


def test_temporary_folder_is_removed_after_an_interrupt(tmp_path):
    with pytest.raises(KeyboardInterrupt), temporary_folder("x", tmp_path):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_more_memory_than_there_is():
    text = refusal(require_memory, 4 << 40, "the memory of a core")
    assert text.startswith("the memory of a core needs 4.0 TiB of memory, and ")
    require_memory(1, "a byte")


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONWARNINGS": "error"},
        {"PYTHONOPTIMIZE": "2", "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "1"},
        {"LC_ALL": "POSIX", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_variables_of_a_shell(variables, tmp_path):
    own = environment(tmp_path, **variables)
    ended = run([*SMALL, "--out-dir", "out"], tmp_path, own)
    assert (ended.status, ended.err) == (0, "")


def in_shell(script: str, arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a shell's `script`, whose "$@" is the command with its `arguments`, in `folder`."""
    return subprocess.run(
        ["sh", "-c", script, "sh", COMMAND, *arguments],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )


def test_closed_input_and_a_umask(tmp_path):
    """What is written has the mode that the user's umask leaves."""
    ended = in_shell('umask 027; exec "$@" <&-', SMALL, tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    written = [tmp_path / name for name in ended.stdout.splitlines()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o640}


def test_deleted_working_folder(tmp_path):
    for arguments, status, err in (
        (["configs"], 0, ""),
        ([*SMALL, "--out-dir", "out"], 2, "mixpe: error: cannot write out: No such file or directory\n"),
    ):
        ended = in_shell('mkdir gone; cd gone; rmdir ../gone; exec "$@"', arguments, tmp_path)
        assert (ended.returncode, ended.stderr) == (status, err)
