"""Reads Liberty files: what the flow must know of a cell library.

The scan takes group headers and a few attributes, and leaves functions, timing and power tables to Yosys,
ABC and the timing analyser. Areas are in um2, as every library used here has them: the format names no unit.
"""

import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from ..spec.errors import UserError

_GZIP_MAGIC = b"\x1f\x8b"
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def _pattern(word: str, rest: str) -> re.Pattern[str]:
    """Matches the whole word `word`, then `rest`. The word comes first: such searches skip tables fast."""
    return re.compile(rf"{word}(?<!\w{word}){rest}")


_GROUP = r'\s*\(\s*"?([^\s")]*)"?\s*\)\s*\{'
_VALUE = r'\s*:\s*"?([^\s";]+)'
_LIBRARY = _pattern("library", _GROUP)
_CELL = _pattern("cell", _GROUP)
_AREA = _pattern("area", _VALUE)
_REGISTER = _pattern("ff", r"(?:_bank)?\s*\(")
_LATCH = _pattern("latch", r"(?:_bank)?\s*\(")
_CORNER = _pattern("operating_conditions", _GROUP)
_DEFAULT_CORNER = _pattern("default_operating_conditions", _VALUE)
_NOMINAL = {key: _pattern(f"nom_{key}", _VALUE) for key in ("voltage", "temperature")}

# What power-managed designs place by hand. Their functions look like those of plain gates (an isolation
# cell is an AND), their areas do not count the supplies they need, so that mapping must not choose them.
_SPECIAL = [
    _pattern(word, _VALUE)
    for word in (
        "dont_use",
        "is_isolation_cell",
        "is_level_shifter",
        "always_on",
        "power_gating_cell",
        "retention_cell",
    )
]


@dataclass(frozen=True)
class Cell:
    """A cell of a library. `area` is in um2, None where the file has none."""

    name: str
    area: float | None
    kind: Literal["register", "latch", "logic"]
    usable: bool


@dataclass(frozen=True)
class LibertyFile:
    """One file, decompressed at `path`; `source` and `sha256` are those of the user's file."""

    source: Path
    path: Path
    sha256: str
    library: str
    corner: str | None
    voltage: float | None
    temperature: float | None
    cells: tuple[Cell, ...] = field(repr=False)


@dataclass(frozen=True)
class Library:
    """A cell library of one or several Liberty files. `name` is what reports call it."""

    name: str
    files: tuple[LibertyFile, ...]

    @cached_property
    def cells(self) -> dict[str, Cell]:
        return {cell.name: cell for file in self.files for cell in file.cells}

    @property
    def paths(self) -> list[Path]:
        return [file.path for file in self.files]

    @property
    def unusable(self) -> list[str]:
        """Returns the names of the cells that mapping must not choose, sorted."""
        return sorted(cell.name for cell in self.cells.values() if not cell.usable)

    @property
    def corner(self) -> str | None:
        """Returns the operating conditions that the files name; None where none does."""
        return next((file.corner for file in self.files if file.corner), None)


def read_library(name: str, sources: Sequence[Path], folder: Path) -> Library:
    """Reads `sources`, gzipped or not, as the library `name`; leaves plain files in `folder`.

    Several files (one for sequential cells, say) are one library. Raises `UserError` for a missing or
    truncated file, one that is not Liberty, a cell with an unreadable area or in two files, and a library
    with no flip-flop or no logic cell to map to.
    """
    library = Library(name, tuple(_read_file(path, folder / f"{i}.lib") for i, path in enumerate(sources)))
    seen: dict[str, Path] = {}
    for file in library.files:
        for cell in file.cells:
            if cell.name in seen:
                raise UserError(
                    f"library {name}: cell {cell.name} is in both {seen[cell.name]} and {file.source}"
                )
            seen[cell.name] = file.source
    files = ", ".join(str(path) for path in sources)
    for kind, what in (("register", "flip-flop (a cell with an ff group)"), ("logic", "logic cell")):
        if not any(cell.kind == kind and cell.usable for cell in library.cells.values()):
            raise UserError(f"library {name} has no {what} to map to: {files}")
    return library


def _read_file(source: Path, path: Path) -> LibertyFile:
    try:
        data = source.read_bytes()
    except OSError as error:
        raise UserError(f"Liberty file {source} cannot be read: {error.strerror or error}") from None
    sha256 = hashlib.sha256(data).hexdigest()
    if data.startswith(_GZIP_MAGIC):
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise UserError(f"Liberty file {source} is truncated or damaged: {error}") from None
    text = _COMMENT.sub(" ", data.decode("utf-8", errors="replace"))
    if not (header := _LIBRARY.search(text)):
        raise UserError(f"file {source} is not a Liberty file: it has no library group")
    _check_complete(source, text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    first_cell = _CELL.search(text)
    head = text[header.start() : first_cell.start() if first_cell else len(text)]
    corner = _DEFAULT_CORNER.search(head) or _CORNER.search(head)
    return LibertyFile(
        source=source,
        path=path,
        sha256=sha256,
        library=header[1],
        corner=corner[1] if corner else None,
        voltage=_nominal(head, "voltage"),
        temperature=_nominal(head, "temperature"),
        cells=tuple(_cells(source, text)),
    )


def _check_complete(source: Path, text: str) -> None:
    if text.count("{") == text.count("}"):
        return
    bare = _STRING.sub('""', text)  # slow, and braces in strings are rare
    opened, closed = bare.count("{"), bare.count("}")
    if opened != closed:
        raise UserError(
            f"Liberty file {source} is truncated or damaged: it opens {opened} groups, closes {closed}"
        )


def _nominal(head: str, key: str) -> float | None:
    match = _NOMINAL[key].search(head)
    try:
        return float(match[1]) if match else None
    except ValueError:
        return None


def _cells(source: Path, text: str) -> Iterator[Cell]:
    starts = list(_CELL.finditer(text))
    ends = [match.start() for match in starts[1:]] + [len(text)]
    for match, end in zip(starts, ends, strict=True):
        body = text[match.end() : end]
        area = _AREA.search(body)
        try:
            value = float(area[1]) if area else None
        except ValueError:
            raise UserError(
                f"Liberty file {source}: area of cell {match[1]} must be a number, not {area and area[1]!r}"
            ) from None
        kind = "register" if _REGISTER.search(body) else "latch" if _LATCH.search(body) else "logic"
        special = any((m := word.search(body)) and m[1].lower() == "true" for word in _SPECIAL)
        yield Cell(match[1], value, kind, usable=not special)
