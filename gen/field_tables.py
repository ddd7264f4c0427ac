"""The tables of fields in docs/configuration.md, as Markdown.

A document holds each table between two comments, `<!-- fields: array -->` or `<!-- fields: core -->` and
`<!-- /fields -->`. To bring one up to date: `python -m mixpe.gen.field_tables docs/configuration.md`.
"""

import re
import sys
from pathlib import Path

from ..spec.errors import UserError
from ..spec.table import Row
from ..support.files import write_file
from .configurations import ARRAY_ROWS, CORE_ROWS

_TABLES = {"array": (ARRAY_ROWS, "schemes"), "core": (CORE_ROWS, "buses")}
"""The rows, and what the members of `Row.schemes` are."""

_PLACE = re.compile(r"(<!-- fields: (\w+) -->\n).*?(<!-- /fields -->)", re.DOTALL)


def field_table(kind: str) -> str:
    """Returns the table of the fields of an "array" or of a "core"."""
    rows, schemes = _TABLES[kind]
    lines = [
        f"| field | allowed | default | {schemes} | in names | meaning |",
        "|---|---|---|---|---|---|",
        *(_line(row) for row in rows.values()),
    ]
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    default = str(row.default).lower() if row.kind is bool else f"{row.default}"
    schemes = ", ".join(row.schemes) or "all"
    short = f"`{row.short.format('N' if row.kind is int else 'value')}`" if row.short else ""
    return f"| `{row.name}` | {row.allowed} | {default} | {schemes} | {short} | {row.meaning} |"


def with_tables(text: str) -> str:
    """Returns a document with the tables of today in their places.

    Raises `UserError` for an unknown table.
    """

    def table(place: re.Match[str]) -> str:
        if place[2] not in _TABLES:
            raise UserError(f"table of fields must be one of {', '.join(_TABLES)}, not {place[2]!r}")
        return f"{place[1]}{field_table(place[2])}{place[3]}"

    return _PLACE.sub(table, text)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        write_file(Path(name), with_tables(Path(name).read_text(encoding="utf-8")))
