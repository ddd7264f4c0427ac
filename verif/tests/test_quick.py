"""The essentials of `make quick` stand for every room and every scheme, and all of them exist."""

import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from verif.quick import QUICK, is_quick

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def collected() -> list[str]:
    """Returns the names of all tests that `make quick` runs, below verif/tests."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "quick", "-p", "no:xdist"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return [
        line.removeprefix("verif/tests/")
        for line in done.stdout.splitlines()
        if line.startswith("verif/tests/")
    ]


def test_every_room():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders = project["tool"]["setuptools"]["package-dir"].values()
    rooms = {folder.split("/")[0] for folder in folders} - {"api"}
    assert set(QUICK) == rooms | {"verif"}
    assert all(QUICK.values())


def test_every_name_is_a_test(collected):
    for names in QUICK.values():
        for name in names:
            assert any(test.startswith(name) for test in collected), name
    assert all(is_quick(f"verif/tests/{test}") for test in collected)


def test_every_scheme(collected):
    """A whole array of each is simulated."""
    configs = runpy.run_path(str(ROOT / "verif/tests/test_matmul.py"))["CONFIGS"]
    quick = {name for name in configs if any(f"test_matmul[{name}-" in test for test in collected)}
    schemes = {config.scheme_name for config in configs.values()}
    assert {configs[name].scheme_name for name in quick} == schemes
