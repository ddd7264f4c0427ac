"""What the commands share: the configuration and the output folder."""

import dataclasses
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from ..gen.configurations import (
    ARRAY_FIELDS,
    CORE_FIELDS,
    DEFAULT,
    load_design,
    named_configurations,
    named_cores,
)

HELP: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
"""Click's settings of every command."""


def _field_option(field: dataclasses.Field, meaning: str) -> Callable:
    flag = field.name.replace("_", "-")
    if field.type is bool:
        return click.option(f"--{flag}/--no-{flag}", field.name, default=None, help=meaning)
    return click.option(f"--{flag}", field.name, type=field.type, default=None, help=meaning)


def config_options(command: Callable) -> Callable:
    """Gives `command(config=..., ...)` a CONFIG argument, and an option for every field of `Config` and of
    `CoreConfig`. `config` is a core if CONFIG is, or if an option of a core's own is given.
    """
    fields = {field: f"Set {field.name}." for field in ARRAY_FIELDS}
    fields |= {field: f"Core: set {field.name}." for field in CORE_FIELDS}
    fields[CORE_FIELDS[0]] += " Any such option makes a core of an array."

    @wraps(command)
    def with_config(source: str, **options: Any):
        overrides = {field.name: value for field in fields if (value := options.pop(field.name)) is not None}
        return command(config=load_design(source, **overrides), **options)

    for field, meaning in reversed(fields.items()):
        with_config = _field_option(field, meaning)(with_config)
    return click.argument("source", metavar="[CONFIG]", default=DEFAULT)(with_config)


def out_dir_option(command: Callable) -> Callable:
    """Gives `command` the option `out_dir`: a `Path`, or None for build/<name>."""
    return click.option(
        "--out-dir", type=click.Path(path_type=Path), default=None, help="Folder of the files [build/<name>]."
    )(command)


def config_help() -> str:
    arrays, cores = ", ".join(named_configurations()), ", ".join(named_cores())
    return f"CONFIG is the name of an array ({arrays}) or a core ({cores}), or the path of a TOML file."
