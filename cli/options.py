"""What the commands share: the configuration and the output folder."""

import dataclasses
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from ..gen.configurations import DEFAULT, load_config, named_configurations
from ..hw.config import Config

HELP: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
"""Click's settings of every command."""


def _field_option(field: dataclasses.Field) -> Callable:
    flag = field.name.replace("_", "-")
    if field.type is bool:
        return click.option(f"--{flag}/--no-{flag}", field.name, default=None, help=f"Set {field.name}.")
    return click.option(f"--{flag}", field.name, type=field.type, default=None, help=f"Set {field.name}.")


def config_options(command: Callable) -> Callable:
    """Gives `command(config=..., ...)` a CONFIG argument and one option for every field of `Config`."""
    names = [field.name for field in dataclasses.fields(Config)]

    @wraps(command)
    def with_config(source: str, **options: Any):
        overrides = {name: value for name in names if (value := options.pop(name)) is not None}
        return command(config=load_config(source, **overrides), **options)

    for field in reversed(dataclasses.fields(Config)):
        with_config = _field_option(field)(with_config)
    return click.argument("source", metavar="[CONFIG]", default=DEFAULT)(with_config)


def out_dir_option(command: Callable) -> Callable:
    """Gives `command` the option `out_dir`: a `Path`, or None for build/<name>."""
    return click.option(
        "--out-dir", type=click.Path(path_type=Path), default=None, help="Folder of the files [build/<name>]."
    )(command)


def config_help() -> str:
    return f"CONFIG is a name ({', '.join(named_configurations())}) or the path of a TOML file."
