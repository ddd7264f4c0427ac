"""The names of the package: each is at hand, costs nothing before it is used, is seen by type checkers."""

import ast
import json
import os
import subprocess
import sys
from importlib import import_module, resources
from importlib.metadata import version
from pathlib import Path

import pytest

import mixpe
import mixpe.hw

HEAVY = ("amaranth", "click", "ml_dtypes", "numpy", "rich")
NAMES = {
    "mixpe": [
        "Accelerator",
        "Config",
        "CoreConfig",
        "QuantizedMatrix",
        "UserError",
        "load_design",
        "mpgemm",
        "pack_matmul",
        "quantize_activations",
        "quantize_weights",
        "write_design",
    ],
    "mixpe.hw": ["PE", "Config", "Core", "CoreConfig", "Modules", "StreamCore", "Top"],
}


@pytest.mark.parametrize(
    ("package", "name"), [(package, name) for package in NAMES for name in NAMES[package]]
)
def test_name(package, name):
    module = import_module(package)
    found = getattr(module, name)
    assert found.__name__ == name
    assert found.__module__.startswith("mixpe.")
    assert name in dir(module)
    assert name in module.__all__


@pytest.mark.parametrize("package", NAMES)
def test_unknown_name(package):
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'Configuration'"):
        import_module(package).Configuration  # noqa: B018


def test_version():
    assert mixpe.__version__ == version("mixpe")


def printed(code: str, folder: Path) -> str:
    """What Python prints in a process of its own."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("package", NAMES)
def test_import_costs_nothing(package, tmp_path):
    code = f"import sys, {package}; print(sorted(set({HEAVY!r}) & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_descriptions_cost_nothing_either(tmp_path):
    code = (
        "import sys\nfrom mixpe import Config, load_design\nfrom mixpe.hw import Config as Same\n"
        f"assert Config is Same and load_design().name\nprint(sorted(set({HEAVY!r}) & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("package", NAMES)
def test_imports_for_type_checkers_are_those_at_run_time(package):
    """What a checker sees under TYPE_CHECKING comes from where `__getattr__` takes it."""
    module = import_module(package)
    assert module.__file__
    tree = ast.parse(Path(module.__file__).read_text())
    (block,) = (
        each for each in tree.body if isinstance(each, ast.If) and ast.unparse(each.test) == "TYPE_CHECKING"
    )
    seen = {}
    for each in block.body:
        assert isinstance(each, ast.ImportFrom)
        home = each.module if not each.level else f"{package.rsplit('.', each.level - 1)[0]}.{each.module}"
        seen |= {alias.name: getattr(import_module(str(home)), alias.name) for alias in each.names}
    assert seen == {name: getattr(module, name) for name in NAMES[package]}


def test_type_checker_sees_the_names(tmp_path):
    """In a user's file, strictly: every type is known, and a wrong argument is an error."""
    assert (resources.files("mixpe") / "py.typed").is_file()
    (tmp_path / "mine.py").write_text(
        "from mixpe import Config, CoreConfig, load_design, mpgemm, write_design, __version__\n"
        "from mixpe.hw import Config as Same, Top\n"
        "reveal_type(load_design())\nreveal_type(write_design)\nreveal_type(Top(Same(rows=2)))\n"
        "reveal_type(mpgemm)\nreveal_type(__version__)\nCoreConfig(array=Config(rows=4, cols=2))\n"
        "Config(rows='4')\n"
    )
    root = Path(__file__).parents[2]
    settings = {
        "include": ["mine.py"],
        "extraPaths": [str(root / ".venv/typing")],
        "typeCheckingMode": "strict",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    said = json.loads(done.stdout)["generalDiagnostics"]
    errors = [each["message"] for each in said if each["severity"] == "error"]
    assert len(errors) == 1, errors
    assert '"rows"' in errors[0]
    types = [each["message"] for each in said if each["severity"] == "information"]
    for type_seen, part in zip(
        types, ("Config | CoreConfig", "-> Design", '"Top"', "ndarray", '"str"'), strict=True
    ):
        assert part in type_seen
