"""Circuits with one defect in their source, put in place of the sound ones."""

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType

import pytest


def broken_module(name: str, right: str, wrong: str, folder: Path) -> ModuleType:
    """Returns the module `name` made of a copy of its source, in `folder`, in which `right` is `wrong`.

    Fails unless `right` stands there once.
    """
    source = inspect.getsource(importlib.import_module(name))
    assert source.count(right) == 1, f"{name} has no single {right!r}"
    copy = folder / f"{name.rpartition('.')[2]}.py"
    copy.write_text(source.replace(right, wrong))
    spec = importlib.util.spec_from_file_location(name, copy)
    assert spec
    assert spec.loader
    broken = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(broken)
    return broken


def install(broken: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the classes of a broken module in place of the sound ones, in every module that uses them."""
    sound = importlib.import_module(broken.__name__)
    parts = {part for part, value in vars(sound).items() if _own_class(value, sound)}
    assert parts
    users = [module for name, module in sys.modules.items() if name.startswith(("mixpe.", "verif."))]
    for user in users:
        for part in parts & vars(user).keys():
            if vars(user)[part] is vars(sound)[part] and user is not sound:
                monkeypatch.setattr(user, part, vars(broken)[part])


def _own_class(value: object, module: ModuleType) -> bool:
    return inspect.isclass(value) and value.__module__ == module.__name__
