"""The command line: files written, and one line and exit status 2 for every mistake."""

import errno
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from importlib import resources
from pathlib import Path

import click
import pytest

import mixpe.cli.main as main_module
from mixpe.cli.commands import COMMANDS, cli
from mixpe.cli.main import main
from mixpe.gen.configurations import CORE_ROWS, named_designs
from mixpe.gen.write import design_verilog
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig

SMALL = ("--rows", "1", "--cols", "2", "--group", "3")


@pytest.fixture
def mixpe(tmp_path, monkeypatch, capsys):
    """Runs `mixpe` with arguments in an empty folder; returns exit status, standard output and error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIXPE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mixpe", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        assert isinstance(end.value.code, int)
        return end.value.code, *capsys.readouterr()

    return run


def files(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, hidden ones too."""
    found = (Path(place) / name for place, _, names in os.walk(folder) for name in names)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def check_refusal(result: tuple[int, str, str], *parts: str) -> None:
    status, out, err = result
    assert status == 2
    assert not out
    assert err.startswith("mixpe: error: ")
    assert err.endswith("\n")
    assert len(err.splitlines()) == 1
    assert all(part in err for part in parts), err


# What it does


def test_default(mixpe, tmp_path):
    name = "w4a8_16x16_g128"
    status, out, err = mixpe("verilog")
    assert (status, err) == (0, "")
    names = [f"{name}.v", "manifest.json", f"{name}_tb.v", f"{name}_inst.v", f"{name}_pkg.sv", f"{name}.core"]
    assert out.splitlines() == [str(Path("build") / name / file) for file in names]
    written = files(tmp_path)
    assert written.keys() == {str(Path("build") / name / file) for file in names}
    assert written[f"build/{name}/{name}.v"].decode() == design_verilog(Config(name=name))


def test_options(mixpe, tmp_path):
    """An option for every field."""
    status, out, err = mixpe(
        "verilog",
        "w4a8_4x4_g32",
        "--name",
        "mine",
        "--weight-bits",
        "3",
        "--no-weight-signed",
        "--zero-point",
        "--act-bits",
        "6",
        "--group",
        "5",
        "--rows",
        "2",
        "--cols",
        "3",
        "--lanes",
        "2",
        "--datapath",
        "multiplier",
        "--out-format",
        "fp16",
        "--token-scale",
        "--out-dir",
        "some/where",
    )
    assert (status, err) == (0, "")
    names = ("mine.v", "manifest.json", "mine_tb.v", "mine_inst.v", "mine_pkg.sv", "mine.core")
    assert out.splitlines() == [f"some/where/{name}" for name in names]
    assert files(tmp_path).keys() == set(out.splitlines())
    read = json.loads((tmp_path / "some/where/manifest.json").read_text())
    assert Config(**read["configuration"]) == Config(
        name="mine",
        weight_bits=3,
        weight_signed=False,
        zero_point=True,
        act_bits=6,
        group=5,
        rows=2,
        cols=3,
        lanes=2,
        datapath="multiplier",
        out_format="fp16",
        token_scale=True,
    )


def test_options_of_a_core(mixpe, tmp_path):
    """An option for every field; any of them makes a core of an array."""
    given = {
        "bus": "axi",
        "data_bits": 64,
        "address_bits": 48,
        "burst": 8,
        "outstanding": 4,
        "act_words": 32,
        "weight_words": 64,
        "scale_words": 16,
        "queue": 2,
    }
    assert given.keys() == set(CORE_ROWS)
    options = [text for name, value in given.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    status, out, err = mixpe("verilog", *SMALL, *options, "--name", "mine", "--out-dir", "out")
    assert (status, err) == (0, "")
    names = ("mine.v", "manifest.json", "mine.h", "mine_inst.v", "mine.core")
    assert out.splitlines() == [f"out/{name}" for name in names]
    assert files(tmp_path).keys() == set(out.splitlines())
    read = json.loads((tmp_path / "out/manifest.json").read_text())["configuration"]
    read["array"] = Config(**read["array"])
    assert CoreConfig(**read) == CoreConfig(name="mine", array=Config(rows=1, cols=2, group=3), **given)
    status, out, _ = mixpe("verilog", *SMALL, "--bus", "stream")
    name = "stream_w4a8_1x2_g3"
    written = (f"{name}.v", "manifest.json", f"{name}_inst.v", f"{name}_pkg.sv", f"{name}.core")
    assert (status, out.splitlines()) == (0, [f"build/{name}/{file}" for file in written])


def test_core_file_of_the_user(mixpe, tmp_path):
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\nrows = 1\ncols = 1\ngroup = 3\n[core]\nact_words = 16\n'
    )
    assert mixpe("verilog", "mine.toml")[0] == 0
    assert files(tmp_path).keys() == {
        "mine.toml",
        *(f"build/mine/{f}" for f in ("mine.v", "mine.h", "mine_inst.v", "mine.core", "manifest.json")),
    }


def test_flags_can_be_taken_back(mixpe, tmp_path):
    small = ("--rows", "1", "--cols", "1", "--group", "3", "--out-dir", "out")
    status, *_ = mixpe(
        "verilog", "w4a8_16x16_g128_asym", "--no-zero-point", "--weight-signed", "--no-token-scale", *small
    )
    assert status == 0
    read = json.loads((tmp_path / "out/manifest.json").read_text())
    assert read["top"] == "w4a8_1x1_g3_fp16"


def test_file_of_the_user(mixpe, tmp_path):
    (tmp_path / "mine.toml").write_text('name = "mine"\nrows = 1\ncols = 2\ngroup = 3\n')
    assert mixpe("verilog", "mine.toml")[0] == 0
    assert (tmp_path / "build/mine/mine.v").exists()
    assert mixpe("verilog", "mine.toml", "--cols", "1")[0] == 0
    assert (tmp_path / "build/w4a8_1x1_g3/w4a8_1x1_g3.v").exists()


def test_second_run_writes_the_same(mixpe, tmp_path):
    assert mixpe("verilog", *SMALL)[0] == 0
    first = files(tmp_path)
    assert mixpe("verilog", *SMALL)[0] == 0
    assert files(tmp_path) == first
    assert len(first) == 6


def test_file_mode_follows_the_umask(mixpe, tmp_path):
    before = os.umask(0o027)
    try:
        assert mixpe("verilog", *SMALL)[0] == 0
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()}
    assert modes == {0o640}


def test_installed_command(tmp_path):
    """As the shell sees it, in a process of its own."""
    command = [sys.executable, "-m", "mixpe.cli.main", "verilog", *SMALL, "--out-dir", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(files(tmp_path)) == 6
    command[-2:] = ["--out-dir", "other", "--lanes", "3"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    check_refusal((done.returncode, done.stdout, done.stderr), "lanes must be one of 1, 2, 4, 8, not 3")
    assert len(files(tmp_path)) == 6


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["verilog", "--help"], ["synth", "-h"]])
def test_help(arguments, mixpe):
    status, out, err = mixpe(*arguments)
    assert (status, err) == (0, "")
    assert out.startswith("Usage: mixpe ")
    if arguments[0] != "synth":
        assert "`mixpe configs` lists" in " ".join(out.split())


def test_help_lists_every_command_and_field(mixpe):
    assert {path.stem for path in Path(main_module.__file__).parent.glob("*.py")} > COMMANDS.keys()
    text = mixpe("--help")[1]
    assert all(f"\n  {name} " in text for name in COMMANDS)
    assert all(isinstance(cli.get_command(click.Context(cli), name), click.Command) for name in COMMANDS)
    for command in ("verilog", "synth"):
        text = mixpe(command, "--help")[1]
        assert all(f" --{field.replace('_', '-')} " in text for field in [*vars(Config()), *CORE_ROWS])


def test_help_says_what_to_type_first(mixpe):
    """Three commands, and each of them runs; `verilog` does above."""
    lines = mixpe("--help")[1].split("Type first:\n")[1].split("\n\n")[0].splitlines()
    first = [line.removeprefix("    mixpe ").split("   ")[0].split() for line in lines]
    assert [words[0] for words in first] == ["configs", "verilog", "estimate"]
    for words in (first[0], first[2]):
        assert mixpe(*words)[0] == 0


def test_configs(mixpe):
    """A line each, with the shape and the first comment of the file."""
    status, out, err = mixpe("configs")
    assert (status, err) == (0, "")
    lines = {line.split()[0]: line for line in out.splitlines() if line.startswith("  ")}
    assert list(lines) == named_designs()
    folder = resources.files("mixpe.gen") / "configs"
    for name, line in lines.items():
        text = (folder / f"{name}.toml").read_text()
        comment, fields = text.splitlines()[0], tomllib.loads(text)
        assert re.fullmatch(r"# [A-Z].{20,}\.", comment)
        assert line.endswith(comment.removeprefix("# "))
        assert f" {fields['rows']}x{fields['cols']}, g{fields['group']} " in line
    arrays, cores = out.index("Arrays\n"), out.index("Cores: ")
    assert arrays < cores
    for name in lines:
        is_core = "[core]" in (folder / f"{name}.toml").read_text()
        assert (cores < out.index(f"  {name} ")) == is_core


def test_version(mixpe):
    status, out, _ = mixpe("--version")
    assert status == 0
    assert out.startswith("mixpe 0.")


# What it refuses


@pytest.mark.parametrize("command", ["verilog", "synth"])
@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--weight-bits", "1"], ["weight_bits must be 0 or 2 to 8, not 1"]),
        (["--act-bits", "17"], ["act_bits must be 0 or 4 to 16, not 17"]),
        (["--group", "-1"], ["group must be 1 to 16777215, not -1; for per-channel", "at least K"]),
        (["--group", "65536", "--queue", "2"], ["group must be 1 to 65535 for bus axi, not 65536"]),
        (["--rows", "129"], ["rows must be 1 to 128, not 129"]),
        (["--cols=-1"], ["cols must be 1 to 128, not -1"]),
        (["--lanes", "3"], ["lanes must be one of 1, 2, 4, 8, not 3"]),
        (
            ["--datapath", "fast"],
            ["datapath must be one of shift_add, multiplier, bit_heap, booth, carry_save, not 'fast'"],
        ),
        (["--out-format", "FP32"], ["out_format must be one of fp32, fp16, bf16, not 'FP32'"]),
        (["--name", "My"], ["name must be a lower-case letter", "not 'My'"]),
        (["--name", "../up"], ["name must be a lower-case letter", "not '../up'"]),
        (["--name", "two\nlines"], ["name must be a lower-case letter"]),
        (["--rows", "many"], ["--rows", "many"]),
        (["--rows", "1.5"], ["--rows", "1.5"]),
        (["--rows", ""], ["--rows"]),
        (["--rows"], ["--rows"]),
        (["--zero-point=1"], ["--zero-point"]),
        (["--row-count", "4"], ["--row-count"]),
        (["w4a8_1x1"], ["w4a8_16x16_g128", "not 'w4a8_1x1'"]),
        (["none.toml"], ["none.toml", "No such file or directory"]),
        (["folder.toml"], ["folder.toml", "Is a directory"]),
        (["broken.toml"], ["broken.toml", "not TOML"]),
        (["field.toml"], ["field.toml", "unknown field 'row'", "rows"]),
        (["value.toml"], ["rows must be 1 to 128, not 0"]),
        (["type.toml"], ["rows must be of type int, not '4'"]),
        (["latin.toml"], ["latin.toml", "must be UTF-8"]),
        (["w4a8_4x4_g32", "w4a8_4x4_g32"], ["w4a8_4x4_g32"]),
        (["--data-bits", "96"], ["data_bits must be one of 64, 128, 256, 512, not 96"]),
        (["core_w4a8_16x16", "--queue", "0"], ["queue must be 1 to 15, not 0"]),
        (["--bus", "apb"], ["bus must be one of axi, stream, not 'apb'"]),
        (["stream_w4a8_16x16", "--burst", "8"], ["burst must be 16 for bus stream, which has none, not 8"]),
        (["core.toml"], ["core.toml: table core: unknown field 'rows'", "data_bits"]),
    ],
)
def test_bad_input(command, arguments, parts, mixpe, tmp_path):
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "broken.toml").write_text("rows: 4\n")
    (tmp_path / "field.toml").write_text("row = 4\n")
    (tmp_path / "value.toml").write_text("rows = 0\n")
    (tmp_path / "type.toml").write_text('rows = "4"\n')
    (tmp_path / "core.toml").write_text("[core]\nrows = 4\n")
    (tmp_path / "latin.toml").write_bytes(b"# \xe4\nrows = 4\n")
    before = files(tmp_path)
    check_refusal(mixpe(command, "--out-dir", "out", *arguments), *parts)
    assert files(tmp_path) == before
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize("arguments", [["verilogg"], ["--fast"], ["", "verilog"], ["-x", "verilog"]])
def test_unknown_command_or_option(arguments, mixpe):
    check_refusal(mixpe(*arguments), repr(arguments[0]))


def test_no_command(mixpe):
    result = mixpe()
    check_refusal(result, "command")
    assert len(result[2]) < 200


def test_bad_library(mixpe, tmp_path):
    check_refusal(mixpe("synth", "--lib", "none.lib", "--out-dir", "out", *SMALL), "none.lib")
    (tmp_path / "cut.lib").write_text('library ("cut") { cell (INV) {')
    check_refusal(mixpe("synth", "--lib", "cut.lib", "--out-dir", "out", *SMALL), "cut.lib")
    assert files(tmp_path).keys() == {"cut.lib"}


# Where it cannot write


@pytest.mark.parametrize("folder", ["file", "file/below"])
def test_out_dir_is_a_file(folder, mixpe, tmp_path):
    (tmp_path / "file").write_text("mine")
    check_refusal(mixpe("verilog", *SMALL, "--out-dir", folder), f"cannot write {folder}")
    assert files(tmp_path) == {"file": b"mine"}


def test_place_of_a_file_is_a_folder(mixpe, tmp_path):
    (tmp_path / "out/w4a8_1x2_g3.v").mkdir(parents=True)
    check_refusal(mixpe("verilog", *SMALL, "--out-dir", "out"), "cannot write out/w4a8_1x2_g3.v")
    assert files(tmp_path) == {}


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_system_refuses_a_file(code, mixpe, monkeypatch, tmp_path):
    """Root may write anywhere: the refusal is made here."""

    def refuse(*_, **__):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    result = mixpe("verilog", *SMALL, "--out-dir", "out")
    check_refusal(result, f"cannot write out/w4a8_1x2_g3.v: {os.strerror(code)}")
    assert files(tmp_path) == {}


def test_disk_fills_up(mixpe, monkeypatch, tmp_path):
    """The old files stay as they are."""
    assert mixpe("verilog", *SMALL, "--out-dir", "out")[0] == 0
    before = files(tmp_path)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    check_refusal(mixpe("verilog", *SMALL, "--out-dir", "out"), os.strerror(errno.ENOSPC))
    assert files(tmp_path) == before


def test_interrupted(mixpe, monkeypatch, tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    status, _, err = mixpe("verilog", *SMALL, "--out-dir", "out")
    assert (status, err.strip()) == (130, "mixpe: interrupted")
    assert files(tmp_path) == {}
