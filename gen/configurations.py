"""Finds a configuration: by name among the packaged ones, or in a TOML file of the user's."""

import dataclasses
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from ..hw.config import Config
from ..hw.errors import UserError

DEFAULT = "w4a8_16x16_g128"
_PACKAGE = __name__.rpartition(".")[0]


def named_configurations() -> list[str]:
    """Names of the packaged configurations, sorted."""
    folder = resources.files(_PACKAGE) / "configs"
    return sorted(path.name.removesuffix(".toml") for path in folder.iterdir() if path.name.endswith(".toml"))


def load_config(source: str = DEFAULT, **overrides: Any) -> Config:
    """Returns the configuration `source` with `overrides` in place of its fields.

    `source` is a packaged name, or the path of a TOML file whose keys are `Config`'s fields.
    Overridden fields leave the name to describe the result, unless `name` is given too.

    Raises `UserError` for an unknown name or field, an unreadable file, a value out of range.
    """
    values = _read(source)
    _check_known("overrides", overrides)
    given = values.get("act_format", _default("act_format"))
    if overrides.get("act_format", given) != given:
        # The source's widths are those of another format.
        for key in ("act_bits", "align_bits"):
            values.pop(key, None)
    changed = {key: value for key, value in overrides.items() if values.get(key, _default(key)) != value}
    if changed and "name" not in overrides:
        values.pop("name", None)
    return Config(**(values | overrides))


def _default(key: str) -> Any:
    return {field.name: field.default for field in dataclasses.fields(Config)}.get(key)


def _read(source: str) -> dict[str, Any]:
    names = named_configurations()
    if source in names:
        text = (resources.files(_PACKAGE) / "configs" / f"{source}.toml").read_text()
    elif source.endswith(".toml"):
        try:
            text = Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"configuration file {source} cannot be read: {_reason(error)}") from None
    else:
        known = ", ".join(names)
        raise UserError(f"configuration must be one of {known}, or the path of a .toml file, not {source!r}")
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # of too long a number, too deep a list
        raise UserError(f"configuration file {source} is not TOML: {error}") from None
    _check_known(source, values)
    return values


def _check_known(source: str, values: dict[str, Any]) -> None:
    known = [field.name for field in dataclasses.fields(Config)]
    for key in values:
        if key not in known:
            raise UserError(f"{source}: unknown field {key!r}, must be one of {', '.join(known)}")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
