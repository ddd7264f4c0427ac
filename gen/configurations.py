"""Finds a configuration: by name among the packaged ones, or in a TOML file of the user's.

A file's keys are the fields of `Config`. With a table `core`, whose keys are the other ones of `CoreConfig`,
it describes an accelerator core around that array, and its `name` is the core's.
"""

import tomllib
from collections.abc import Collection
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from ..spec.array import Config
from ..spec.core import CoreConfig
from ..spec.errors import UserError
from ..spec.table import rows_of
from ..support.documents import read_toml

DEFAULT = "w4a8_16x16_g128"

ARRAY_ROWS = dict(rows_of(Config))
"""The rows of an array's fields."""

CORE_ROWS = {name: row for name, row in rows_of(CoreConfig).items() if name != "name"}
"""The rows of the fields that a core has besides its array's; none has the name of one of the array's."""

_PACKAGE = __name__.rpartition(".")[0]
_TABLE = "core"
_DEFAULTS = {name: row.default for name, row in (ARRAY_ROWS | CORE_ROWS).items()}

_WIDTHS = {"weight_format": ("weight_bits",), "act_format": ("act_bits", "align_bits")}
"""The widths that follow from a format, by the format's field."""


def named_configurations() -> list[str]:
    """Names of the packaged arrays, sorted."""
    return [name for name, text in _packaged().items() if _TABLE not in tomllib.loads(text)]


def named_cores() -> list[str]:
    """Names of the packaged accelerator cores, sorted."""
    return [name for name, text in _packaged().items() if _TABLE in tomllib.loads(text)]


def named_designs() -> list[str]:
    """Names of all packaged configurations: arrays, then cores."""
    return named_configurations() + named_cores()


def summary(name: str) -> str:
    """Returns the line that says what the packaged configuration `name` is: its file's first comment."""
    return _packaged()[name].partition("\n")[0].removeprefix("#").strip()


def load_config(source: str = DEFAULT, **overrides: Any) -> Config:
    """Returns the array `source` with `overrides` in place of its fields (`load_design`).

    Raises `UserError` for a core too.
    """
    design = load_design(source, **overrides)
    if isinstance(design, CoreConfig):
        raise UserError(f"configuration must be an array, such as {DEFAULT}, not the core {design.name}")
    return design


def load_design(source: str = DEFAULT, **overrides: Any) -> Config | CoreConfig:
    """Returns the configuration `source` with `overrides` in place of its fields.

    `source` is a packaged name, or the path of a TOML file. An override of a core's own field (`CORE_ROWS`)
    makes a core of an array. Overridden fields leave the name to describe the result, unless `name` is given
    too.

    Raises `UserError` for an unknown name or field, an unreadable file, a value out of range.
    """
    array, core = _read(source)
    _check_known("overrides", overrides, _DEFAULTS)
    changed = any((array | (core or {})).get(key, _DEFAULTS[key]) != overrides[key] for key in overrides)
    own = {name: overrides.pop(name) for name in CORE_ROWS if name in overrides}
    if core is None and own:
        core, changed = {}, True
    for name, widths in _WIDTHS.items():
        given = array.get(name, _DEFAULTS[name])
        if overrides.get(name, given) != given:  # the source's widths are those of another format
            for key in widths:
                array.pop(key, None)
    if changed and "name" not in overrides:
        array.pop("name", None)
    array |= overrides
    if core is None:
        return Config(**array)
    name = array.pop("name", "")
    return CoreConfig(name=name, array=Config(**array), **(core | own))


def core_of(design: Config | CoreConfig) -> CoreConfig:
    """Returns the core that `design` is, or an array as a core.

    Raises `UserError` if it has no AXI4 masters.
    """
    core = design if isinstance(design, CoreConfig) else CoreConfig(array=design)
    if core.bus != "axi":
        raise UserError(f"CONFIG must be a core with bus axi, not {core.bus}: {core.name}")
    return core


@cache
def _packaged() -> dict[str, str]:
    """The packaged files by name, sorted."""
    folder = resources.files(_PACKAGE) / "configs"
    files = sorted(
        (path for path in folder.iterdir() if path.name.endswith(".toml")), key=lambda path: path.name
    )
    return {path.name.removesuffix(".toml"): path.read_text(encoding="utf-8") for path in files}


def _read(source: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Fields of the array, and those of the core if it is one."""
    if source in _packaged():
        array = tomllib.loads(_packaged()[source])
    elif source.endswith(".toml"):
        array = read_toml(Path(source), "configuration file")
    else:
        known = ", ".join(named_designs())
        raise UserError(f"configuration must be one of {known}, or the path of a .toml file, not {source!r}")
    _check_known(source, array, [*ARRAY_ROWS, _TABLE])
    if _TABLE not in array:
        return array, None
    core = array.pop(_TABLE)
    if not isinstance(core, dict):
        raise UserError(f"{source}: {_TABLE} must be a table, not {core!r}")
    _check_known(f"{source}: table {_TABLE}", core, CORE_ROWS)
    return array, core


def _check_known(source: str, values: dict[str, Any], known: Collection[str]) -> None:
    for key in values:
        if key not in known:
            raise UserError(f"{source}: unknown field {key!r}, must be one of {', '.join(known)}")
