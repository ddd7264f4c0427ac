"""The base installation does what it says, and a command that needs an extra says which."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mixpe.cli.commands import COMMANDS as ALL
from mixpe.cli.extras import COMMANDS, MODULES

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]

DISTRIBUTIONS = {"cocotbext": "cocotbext-axi", "cocotb_tools": "cocotb"}
"""Of modules that are called otherwise."""

ARGUMENTS = {"ppa": ["--quick", "--lib", "sky130hd"], "llm": ["--tokens", "1"]}

BLOCK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

blocked = set(%r)
sys.meta_path.insert(0, Blocked())
"""
"""Imports of `blocked` modules fail, as where they are not installed."""


def names(extra: str) -> set[str]:
    """The packages of an extra, those of the extras in it too."""
    found = set()
    for requirement in EXTRAS[extra]:
        if others := re.fullmatch(r"mixpe\[(.*)\]", requirement):
            found |= set().union(*map(names, others[1].split(",")))
        else:
            found.add(re.split(r"[^\w-]", requirement)[0])
    return found


def base() -> set[str]:
    return {re.split(r"[^\w-]", requirement)[0] for requirement in PROJECT["dependencies"]}


def modules_of_extras() -> list[str]:
    """Top-level modules that the base does not bring."""
    packages = set().union(*map(names, EXTRAS)) - base()
    return sorted({*MODULES, *(name.replace("-", "_") for name in packages)})


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    text = BLOCK % (modules_of_extras(),) + code
    return subprocess.run(
        [sys.executable, "-c", text], cwd=folder, capture_output=True, text=True, check=False
    )


def mixpe(*arguments: str) -> str:
    return f"sys.argv = ['mixpe', *{arguments!r}]\nfrom mixpe.cli.main import main\nmain()\n"


# What pyproject.toml says


def test_every_module_is_in_the_extras_that_are_named():
    for module, extra in MODULES.items():
        assert DISTRIBUTIONS.get(module, module) in names(extra)
        assert DISTRIBUTIONS.get(module, module) not in base()
    assert COMMANDS.keys() < ALL.keys()
    for extras in COMMANDS.values():
        assert set(extras.split(",")) <= EXTRAS.keys()


def test_development_has_everything():
    """And what the project is built on stays in it."""
    everything = base() | names("dev")
    assert {"amaranth", "amaranth-boards", "cocotb", "numpy", "pytest"} <= everything
    for extra in EXTRAS:
        assert names(extra) <= everything
    pinned = {line.split("==")[0] for line in (ROOT / "requirements.txt").read_text().splitlines()}
    assert {name.replace("_", "-") for name in everything} <= pinned


# What the base does


def test_base_generates(tmp_path):
    done = run(mixpe("verilog", "w4a8_4x4_g32", "--out-dir", "out"), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list((tmp_path / "out").iterdir())) == 6
    done = run(mixpe("verilog", "core_w4a8_16x16", "--rows", "1", "--out-dir", "core"), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [["--help"], ["configs"], ["estimate", "1x2x3"], ["verilog", "-h"]])
def test_base_tells(arguments, tmp_path):
    done = run(mixpe(*arguments), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_base_packs_and_computes(tmp_path):
    code = (
        "import numpy as np\n"
        "from mixpe import Accelerator, Config, mpgemm, pack_matmul, quantize_activations, quantize_weights\n"
        "rng = np.random.default_rng(1)\n"
        "for config in (Config(rows=2, cols=2), Config(rows=2, cols=2, act_format='bf16', align_bits=9)):\n"
        "    weights = quantize_weights(rng.standard_normal((256, 4)), config)\n"
        "    acts, t = quantize_activations(rng.standard_normal((3, 256)), Config())\n"
        "    a = acts if config.act_format == 'int' else acts.astype('float32')\n"
        "    print(weights is not None, a.shape)\n"
    )
    done = run(code, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "True (3, 256)\n" * 2


# What the others say


@pytest.mark.parametrize("command", COMMANDS)
def test_command_says_what_to_install(command, tmp_path, monkeypatch):
    monkeypatch.setenv("MIXPE_DATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    done = run(mixpe(command, *ARGUMENTS.get(command, [])), tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    line = re.fullmatch(
        r"mixpe: error: mixpe (\w+) needs (\w+), which is not installed; type: pip install 'mixpe\[(.*)\]'\n",
        done.stderr,
    )
    assert line, done.stderr
    assert (line[1], line[3]) == (command, COMMANDS[command])
    assert not list(tmp_path.rglob("*"))


def test_another_missing_module_is_no_advice(tmp_path):
    """A module that no extra brings is a fault of the program, with all that helps to find it."""
    done = run("blocked.add('amaranth')\n" + mixpe("verilog"), tmp_path)
    assert done.returncode == 1
    assert "ModuleNotFoundError: No module named 'amaranth'" in done.stderr
