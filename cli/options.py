"""What the commands share: the configuration and the output folder."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from ..gen.configurations import ARRAY_ROWS, CORE_ROWS, DEFAULT, load_design
from ..spec.table import Row

HELP: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
"""Click's settings of every command."""

CONFIG_HELP = "CONFIG is a name that `mixpe configs` lists, or the path of a TOML file."

_ARRAY = "Array (defaults in brackets; CONFIG may have other values)"
_CORE = "Core (any of these makes a core of an array)"


class FieldOption(click.Option):
    """An option that sets a field of the configuration; `section` is where the help shows it."""

    section: str


class DesignCommand(click.Command):
    """A command with the options of `config_options`, which its help shows in sections of their own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            # Click tells of the argument CONFIG too, which the usage line shows.
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)):
                title = parameter.section if isinstance(parameter, FieldOption) else "Options"
                sections.setdefault(title, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def _field_option(row: Row, section: str) -> Callable:
    def sectioned(*arguments: Any, **settings: Any) -> FieldOption:
        option = FieldOption(*arguments, **settings)
        option.section = section
        return option

    flag, settings = row.name.replace("_", "-"), {"default": None, "cls": sectioned, "help": _help(row)}
    if row.kind is bool:
        return click.option(f"--{flag}/--no-{flag}", row.name, **settings)
    return click.option(
        f"--{flag}", row.name, type=row.kind, metavar="NUMBER" if row.kind is int else "NAME", **settings
    )


def _help(row: Row) -> str:
    """The field's meaning, and in brackets what it may be."""
    facts = [] if row.kind is bool else [row.allowed]
    if row.default != "":
        default = row.default if row.kind is not bool else "yes" if row.default else "no"
        facts.append(f"default {default}")
    if row.schemes:
        kind = "bus" if row.name in CORE_ROWS else "scheme"
        facts.append(f"{kind} {' or '.join(row.schemes)} only")
    return f"{row.meaning.replace('`', '')} [{'; '.join(facts)}]"


def config_options(command: Callable) -> Callable:
    """Gives `command(config=..., ...)` a CONFIG argument, and an option for every field of `Config` and of
    `CoreConfig`. `config` is a core if CONFIG is, or if an option of a core's own is given.
    """
    rows = {**ARRAY_ROWS, **CORE_ROWS}

    @wraps(command)
    def with_config(source: str, **options: Any):
        overrides = {name: value for name in rows if (value := options.pop(name)) is not None}
        return command(config=load_design(source, **overrides), **options)

    for name, row in reversed(rows.items()):
        with_config = _field_option(row, _CORE if name in CORE_ROWS else _ARRAY)(with_config)
    return click.argument("source", metavar="[CONFIG]", default=DEFAULT)(with_config)


def out_dir_option(command: Callable) -> Callable:
    """Gives `command` the option `out_dir`: a `Path`, or None for build/<name>."""
    return click.option(
        "--out-dir", type=click.Path(path_type=Path), default=None, help="Folder of the files [build/<name>]."
    )(command)


def clock_gates_option(command: Callable) -> Callable:
    """Gives `command` the option `clock_gates`: whether words of registers get the library's clock gates."""
    return click.option(
        "--clock-gates/--no-clock-gates",
        default=True,
        help="Enables of words of registers by the library's clock gates or by multiplexers [--clock-gates].",
    )(command)
