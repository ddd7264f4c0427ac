"""Yields the groups of Liberty files, one cell at a time, and the units of their numbers.

`mixpe.synth.liberty` scans whole files for what mapping must know; this reads what is inside a cell.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..spec.errors import UserError

_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|([A-Za-z_][\w.]*|[-+]?[\d.][\w.+-]*)|([(){};:,])', re.DOTALL)
_COMMENT = re.compile(r"/\*.*?\*/|\\\n", re.DOTALL)
_BRACE = re.compile(r"[{}]")
_FIRST_CELL = re.compile(r"\bcell\s*\(")
_CAPACITY = re.compile(r'capacitive_load_unit\s*\(\s*"?(\d+\.?\d*(?:[eE][+-]?\d+)?)"?\s*,\s*"?(\w+)"?\s*\)')
_PICOFARADS = {"ff": 1e-3, "pf": 1.0}
_PREFIXES = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15}


@dataclass
class Group:
    """A Liberty group: `kind (args) { attributes, groups }`; attributes with several values as tuples."""

    kind: str
    args: tuple[str, ...]
    attributes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    groups: list["Group"] = field(default_factory=list)

    def all(self, kind: str) -> Iterator["Group"]:
        return (group for group in self.groups if group.kind == kind)

    def get(self, name: str) -> str | None:
        values = self.attributes.get(name)
        return values[0] if values else None

    def expression(self, name: str) -> str:
        """Returns an attribute's value without blanks and parentheses around it; "" for none."""
        return (self.get(name) or "").strip("() ")


def parse_groups(text: str) -> list[Group]:
    """Yields the groups of Liberty `text`, one after the other."""
    root = Group("", ())
    stack = [root]
    words: list[str] = []
    for match in _TOKEN.finditer(_COMMENT.sub(" ", text)):
        mark = match[3]
        if mark is None:
            words.append(match[1] if match[1] is not None else match[2])
        elif mark == "{":
            group = Group(words[0] if words else "", tuple(words[1:]))
            stack[-1].groups.append(group)
            stack.append(group)
            words = []
        elif mark in ";}":
            if words:
                stack[-1].attributes[words[0]] = tuple(words[1:])
            words = []
            if mark == "}" and len(stack) > 1:
                stack.pop()
        # Attributes end with their line where no semicolon does it: a word before a colon or parenthesis
        # that follows a complete attribute begins the next one.
        elif mark in ":(" and len(words) > 2:
            stack[-1].attributes[words[0]] = tuple(words[1:-1])
            words = words[-1:]
    return root.groups


@dataclass(frozen=True)
class Units:
    """What a file's numbers are in: times in `ns`, voltages in `volts`, capacitances in `pf`."""

    ns: float
    volts: float
    pf: float

    @property
    def pj(self) -> float:
        """Returns the unit of energies: a capacitance times a voltage squared."""
        return self.pf * self.volts**2


class LibertyText:
    """The text of a Liberty file. `head`: what stands before its first cell."""

    def __init__(self, text: str):
        self._text = text
        first = _FIRST_CELL.search(text)
        self.head = text[: first.start()] if first else text

    @property
    def units(self) -> Units:
        """Raises `UserError` for a file that does not say what its capacitances are in."""
        load = _CAPACITY.search(self.head)
        if load is None or load[2].lower() not in _PICOFARADS:
            raise UserError("capacitive_load_unit of a Liberty file must be a number of ff or pf")
        return Units(
            _unit(self.head, "time_unit", "s", 1e-9),
            _unit(self.head, "voltage_unit", "v", 1.0),
            float(load[1]) * _PICOFARADS[load[2].lower()],
        )

    def cell(self, name: str) -> Group:
        """Returns the cell `name`, which the file must hold."""
        header = re.compile(rf'\(\s*"?{re.escape(name)}"?\s*\)\s*\{{')
        found = header.finditer(self._text)
        start = next((m for m in found if self._text[: m.start()].rstrip().endswith("cell")), None)
        if start is None:
            raise UserError(f"cell {name} of a Liberty file cannot be found")
        return parse_groups(f"cell{self._text[start.start() : _end(self._text, start.end())]}")[0]


def _end(text: str, start: int) -> int:
    """Returns the place after the brace that closes what was opened before `start`."""
    depth, at = 1, start
    for brace in _BRACE.finditer(text, start):
        depth += 1 if brace[0] == "{" else -1
        at = brace.end()
        if not depth:
            break
    return at


def _unit(head: str, name: str, suffix: str, base: float) -> float:
    """Returns a unit such as "1ps" in terms of `base`, which it is where the file names none."""
    if not (given := re.search(rf'\b{name}\s*:\s*("[^"]*"|[^\s;]*)', head)):
        return 1.0
    text = given[1].strip('" ')
    match = re.fullmatch(rf"(\d+\.?\d*)\s*([munpf]?){suffix}", text, re.IGNORECASE)
    if not match or not float(match[1]):
        raise UserError(
            f"{name} of a Liberty file must be a number of {suffix}, such as 1n{suffix}, not {text!r}"
        )
    return float(match[1]) * _PREFIXES[match[2].lower()] / base
