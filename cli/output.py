"""Figures as JSON in a file."""

import json
from pathlib import Path
from typing import Any

import click

from ..support.files import write_file

json_option = click.option(
    "--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write all figures as JSON."
)


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Writes `values`; what is no text (the bytes of a file's name) stands escaped, as JSON has it."""
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_file(path, text.encode("utf-8", "backslashreplace"))
