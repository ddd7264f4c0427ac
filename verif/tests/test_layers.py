"""The contracts of imports: a module that breaks one is found."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs import-linter by the project's contracts on the package `mixpe` in `folder`."""
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--config", ROOT / "pyproject.toml"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def package(tmp_path):
    """A folder with a copy of the package's rooms that a test may break."""
    for name in (ROOT / ".venv/typing/mixpe").iterdir():
        if name.is_dir():
            shutil.copytree(name, tmp_path / "mixpe" / name.name)
    (tmp_path / "mixpe/__init__.py").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("spec/layout.py", "import numpy"),
        ("spec/cycles.py", "from ..hw.core import plan"),
        ("hw/fp/add.py", "from ...quant import operands"),
        ("quant/quantize.py", "from ..hw.array.top import Top"),
        ("gen/write.py", "from ..cli import main"),
        ("synth/yosys.py", "from ..sim import fast"),
        ("cli/main.py", "from verif.samples import products"),
    ],
)
def test_a_module_that_looks_up_is_found(package, module, line):
    path = package / "mixpe" / module
    path.write_text(path.read_text() + f"\n{line}\n")
    done = lint_imports(package)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout


def test_the_sources_keep_the_contracts(package):
    done = lint_imports(package)
    assert done.returncode == 0, done.stdout + done.stderr
