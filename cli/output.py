"""Figures as JSON in a file: the option, and the checks before the work."""

import json
import os
from pathlib import Path
from typing import Any

import click

from ..spec.errors import UserError
from ..support.files import write_file

json_option = click.option(
    "--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write all figures as JSON."
)


def check_place(path: Path) -> None:
    """Refuses a file that cannot be written before the work, not after it."""
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    if path.is_dir() or (there != path and not there.is_dir()):
        raise UserError(f"cannot write {path}: {'it is a folder' if path.is_dir() else f'{there} is a file'}")
    if not os.access(there, os.W_OK):
        raise UserError(f"cannot write {path}: Permission denied")


def write_json(path: Path, values: dict[str, Any]) -> None:
    write_file(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")
