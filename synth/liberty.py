"""Reads Liberty files: what the flow must know of a cell library.

The scan takes group headers and a few attributes, and leaves functions, timing and power tables to Yosys,
ABC and the timing analyser. Areas are in um2, as every library used here has them: the format names no unit.
"""

import gzip
import hashlib
import io
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from ..spec.errors import UserError
from ..support.files import read_bytes

_GZIP_MAGIC = b"\x1f\x8b"
_MOST_BYTES = 1 << 29
"""Most bytes of a file, unpacked: more is no library, or a trap."""

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def _pattern(word: str, rest: str) -> re.Pattern[str]:
    """Matches the whole word `word`, then `rest`. The word comes first: such searches skip tables fast."""
    return re.compile(rf"{word}(?<!\w{word}){rest}")


_GROUP = r'\s*\(\s*"?([^\s")]*)"?\s*\)\s*\{'
_VALUE = r'\s*:\s*"?([^\s";]+)'
_LIBRARY = _pattern("library", _GROUP)
_CELL = _pattern("cell", r'\s*\(\s*("[^"]*"|[^"(){};]*?)\s*\)\s*\{')
_CELL_NAME = re.compile(r"[A-Za-z_][\w.$-]*", re.ASCII)  # a word in scripts of Yosys, ABC and OpenSTA
_AREA = _pattern("area", _VALUE)
_AMOUNTS = {
    name: _pattern(name, r'\s*:\s*("[^"]*"|[^\s";}]*)')
    for name in ("area", "capacitance", "cell_leakage_power")
}
_NOT_FINITE = [_pattern(word, r"(?![\w.])") for word in ("nan", "inf", "infinity")]
_STATEMENT = re.compile(r"\s*(\w+)\s*[:(]")
_NUMERIC = re.compile(
    r"values|index_\d|value|nom_\w+|capacitive_load_unit|"
    r"\w*(?:area|capacitance|power|voltage|temperature|fanout|transition|resistance|slope)"
)
"""Attributes whose values are numbers."""

_REGISTER = _pattern("ff", r"(?:_bank)?\s*\(")
_LATCH = _pattern("latch", r"(?:_bank)?\s*\(")
_CLOCK_GATE = _pattern("clock_gating_integrated_cell", _VALUE)
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
    kind: Literal["register", "latch", "clock gate", "logic"]
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
    truncated file, one that is not Liberty, a cell with a name that scripts cannot hold or that is there
    twice, numbers that are NaN or infinite, negative areas and capacitances, and a library with no flip-flop
    or no logic cell to map to.
    """
    library = Library(name, tuple(_read_file(path, folder / f"{i}.lib") for i, path in enumerate(sources)))
    seen: dict[str, Path] = {}
    for file in library.files:
        for cell in file.cells:
            if cell.name in seen:
                other = seen[cell.name]
                places = f"both {other} and {file.source}" if other != file.source else f"{other} twice"
                raise UserError(f"library {name}: cell {cell.name} is in {places}")
            seen[cell.name] = file.source
    files = ", ".join(str(path) for path in sources)
    for kind, what in (("register", "flip-flop (a cell with an ff group)"), ("logic", "logic cell")):
        if not any(cell.kind == kind and cell.usable for cell in library.cells.values()):
            raise UserError(f"library {name} has no {what} to map to: {files}")
    return library


def _read_file(source: Path, path: Path) -> LibertyFile:
    where = f"Liberty file {source}"
    data = read_bytes(source, "Liberty file", limit=_MOST_BYTES)
    sha256 = hashlib.sha256(data).hexdigest()
    if data.startswith(_GZIP_MAGIC):
        data = _unzipped(data, where)
    text = _COMMENT.sub(" ", data.decode("utf-8", errors="replace"))
    if "\0" in text or not (header := _LIBRARY.search(text)):
        raise UserError(f"file {source} is not a Liberty file: it has no library group")
    _check_complete(where, text)
    cells = tuple(_cells(where, text))
    if not cells:
        raise UserError(f"{where} must have a cell: it has none")
    _check_numbers(where, text)
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
        cells=cells,
    )


def _unzipped(data: bytes, where: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            plain = file.read(_MOST_BYTES + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise UserError(f"{where} is truncated or damaged: {error}") from None
    if len(plain) > _MOST_BYTES:
        raise UserError(f"{where} must have at most {_MOST_BYTES:,} bytes when unpacked")
    return plain


def _check_complete(where: str, text: str) -> None:
    if text.count("{") == text.count("}"):
        return
    bare = _STRING.sub('""', text)  # slow, and braces in strings are rare
    opened, closed = bare.count("{"), bare.count("}")
    if opened != closed:
        raise UserError(f"{where} is truncated or damaged: it opens {opened} groups, closes {closed}")


def _check_numbers(where: str, text: str) -> None:
    """Refuses areas, capacitances and leakages that are none, and NaN and infinities wherever numbers are."""
    for name, pattern in _AMOUNTS.items():
        for match in pattern.finditer(text):
            value = match[1].strip('"').strip()
            if (amount := _number(value)) is None or amount < 0:
                cell = _cell_at(text, match.start())
                raise UserError(f"{where}: {name} of {cell} must be a number from 0 up, not {value[:40]!r}")
    lower = text.lower()
    for match in (match for pattern in _NOT_FINITE for match in pattern.finditer(lower)):
        # A table may be long: its attribute's name stands far before the number.
        start = max(lower.rfind(mark, 0, match.start()) for mark in ";{}") + 1
        statement = _STATEMENT.match(lower, start, match.start())
        if statement and _NUMERIC.fullmatch(statement[1]):
            cell = _cell_at(text, match.start())
            raise UserError(f"{where}: {statement[1]} of {cell} must be finite, not {match[0]}")


def _cell_at(text: str, place: int) -> str:
    """Says in which cell a place of the text is."""
    names = [match[1] for match in _CELL.finditer(text, 0, place)]
    return f"cell {_name(names[-1])}" if names else "the library"


def _number(text: str) -> float | None:
    """Returns a finite number, or None for any other text."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _nominal(head: str, key: str) -> float | None:
    match = _NOMINAL[key].search(head)
    return _number(match[1]) if match else None


def _name(written: str) -> str:
    return written.strip('"').strip()


def _cells(where: str, text: str) -> Iterator[Cell]:
    starts = list(_CELL.finditer(text))
    ends = [*(match.start() for match in starts), len(text)][1:]
    for match, end in zip(starts, ends, strict=True):
        name = _name(match[1])
        if not _CELL_NAME.fullmatch(name):
            raise UserError(
                f"{where}: a cell's name must be a letter, then letters, digits and _.$-, not {name[:40]!r}"
            )
        body = text[match.end() : end]
        area = _AREA.search(body)
        kind = _kind(body)
        special = any((m := word.search(body)) and m[1].lower() == "true" for word in _SPECIAL)
        yield Cell(name, _number(area[1]) if area else None, kind, usable=not special)


def _kind(body: str) -> Literal["register", "latch", "clock gate", "logic"]:
    if _CLOCK_GATE.search(body):
        return "clock gate"  # whatever it is made of
    return "register" if _REGISTER.search(body) else "latch" if _LATCH.search(body) else "logic"
