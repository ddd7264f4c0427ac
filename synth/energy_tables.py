"""Internal energy of library cells: the `internal_power` groups of Liberty files, as energies per transition.

Energies are in pJ, transition times in ns, capacitances in pF, whatever the file's units. A Liberty energy
is in units of capacitive_load_unit x voltage_unit squared.
"""

import itertools
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..spec.errors import UserError
from .groups import Group, LibertyText, parse_groups
from .liberty import Library


@dataclass(frozen=True)
class Table:
    """pJ over transition time (ns) and load (pF); linear between the points and beyond them."""

    slews: tuple[float, ...]
    loads: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]
    """A row for each transition time."""

    def at(self, slew: float, load: float) -> float:
        i, x = _place(self.slews, slew)
        j, y = _place(self.loads, load)
        rows = self.values[i : i + 2]
        columns = [row[j] if len(row) == 1 else row[j] * (1 - y) + row[j + 1] * y for row in rows]
        return columns[0] if len(columns) == 1 else columns[0] * (1 - x) + columns[1] * x


def _place(axis: tuple[float, ...], value: float) -> tuple[int, float]:
    """Returns the interval of `axis` that holds `value` (or is nearest), and where in it."""
    if len(axis) < 2:
        return 0, 0.0
    index = min(max(bisect_right(axis, value) - 1, 0), len(axis) - 2)
    return index, (value - axis[index]) / (axis[index + 1] - axis[index])


@dataclass(frozen=True)
class Energy:
    """Energy of a transition of a pin: the mean of rise and fall, summed over the supplies.

    related: input pins that cause it (of an output), else empty. when: the condition under which it holds;
    None: in all states that no other energy of the pin and of the same `related` names.
    """

    related: tuple[str, ...]
    when: "Condition | None"
    tables: tuple[tuple[float, Table], ...]

    def at(self, slew: float, load: float) -> float:
        return sum(weight * table.at(slew, load) for weight, table in self.tables)


@dataclass(frozen=True)
class Condition:
    """A Liberty expression over pins."""

    text: str

    @cached_property
    def pins(self) -> tuple[str, ...]:
        return tuple(sorted(set(re.findall(r"[A-Za-z_]\w*", self.text))))

    @cached_property
    def rows(self) -> tuple[tuple[int, ...], ...]:
        """Returns the values of `pins` for which it holds."""
        function = _expression(self.text)
        return tuple(
            row
            for row in itertools.product((0, 1), repeat=len(self.pins))
            if function(dict(zip(self.pins, row, strict=True)))
        )


@dataclass(frozen=True)
class CellEnergies:
    """Energies of a cell by pin.

    captures: (clock, data, output, inverted) of a plain flip-flop, or None. gates: (clock, output) of a clock
    gate, or None. clock: the pin that clocks a flip-flop; "" for other cells.
    """

    pins: dict[str, tuple[Energy, ...]]
    captures: tuple[str, str, str, bool] | None
    gates: tuple[str, str] | None
    clock: str


class EnergyTables:
    """Energies of a library's cells by name, read when asked for. Raises `UserError` for a bad table."""

    def __init__(self, library: Library):
        self._cells: dict[str, CellEnergies] = {}
        self._library = library
        self._scopes: dict[Path, _Scope] = {}

    def __getitem__(self, cell: str) -> CellEnergies:
        if cell not in self._cells:
            file = next(file for file in self._library.files if any(own.name == cell for own in file.cells))
            try:
                if file.path not in self._scopes:
                    self._scopes[file.path] = _Scope(file.path.read_text(encoding="utf-8", errors="replace"))
                self._cells[cell] = self._scopes[file.path].cell(cell)
            except (ValueError, KeyError, IndexError, RecursionError) as error:
                raise UserError(
                    f"library {self._library.name}: internal power of cell {cell} cannot be read: {error}"
                ) from None
        return self._cells[cell]


class _Scope:
    """One Liberty file: its units and templates."""

    def __init__(self, text: str):
        self._text = LibertyText(text)
        self._units = self._text.units
        head = self._text.head
        self._templates: dict[str, Group] = {}
        for match in re.finditer(r"power_lut_template\s*\(", head):
            if found := parse_groups(head[match.start() : head.index("}", match.start()) + 1]):
                self._templates[found[0].args[0]] = found[0]

    def cell(self, name: str) -> CellEnergies:
        group = self._text.cell(name)
        pins = {pin.args[0]: tuple(self._energies(pin)) for pin in group.all("pin")}
        clock = next((ff.expression("clocked_on").lstrip("!") for ff in group.all("ff")), "")
        return CellEnergies(pins, _captures(group), _gates(group), clock)

    def _energies(self, pin: Group) -> Iterator[Energy]:
        by_state: dict[tuple[tuple[str, ...], str | None], list[tuple[float, Table]]] = {}
        for power in pin.all("internal_power"):
            related = tuple((power.get("related_pin") or "").split())
            tables = by_state.setdefault((related, power.get("when")), [])
            for kind, weight in (("rise_power", 0.5), ("fall_power", 0.5), ("power", 1.0)):
                tables += [(weight, self._table(table)) for table in power.all(kind)]
        for (related, when), tables in by_state.items():
            yield Energy(related, Condition(when) if when else None, tuple(_merged(tables)))

    def _table(self, group: Group) -> Table:
        rows = [[float(word) for word in row.replace(",", " ").split()] for row in group.attributes["values"]]
        template = self._templates.get(group.args[0] if group.args else "scalar")
        axes: dict[str, tuple[float, ...]] = {}
        for number in (1, 2):
            variable = template.get(f"variable_{number}") if template else None
            index = group.attributes.get(f"index_{number}") or (
                template.attributes.get(f"index_{number}") if template else None
            )
            if variable and index:
                points = tuple(float(word) for text in index for word in text.replace(",", " ").split())
                axes["load" if "capacitance" in variable else "slew"] = points
        for points in axes.values():
            if not all(low < high for low, high in itertools.pairwise(points)):
                raise ValueError(f"an index must ascend, not run {points}")
        values = [value * self._units.pj for row in rows for value in row]
        slews, loads = axes.get("slew", (0.0,)), axes.get("load", (0.0,))
        if len(values) != len(slews) * len(loads):
            raise ValueError(f"a table has {len(values)} values for {len(slews)} x {len(loads)} points")
        width = len(loads)
        if next(iter(axes), "slew") == "slew":
            matrix = [values[i : i + width] for i in range(0, len(values), width)]
        else:
            matrix = [values[i :: len(slews)] for i in range(len(slews))]
        return Table(
            tuple(slew * self._units.ns for slew in slews),
            tuple(load * self._units.pf for load in loads),
            tuple(tuple(row) for row in matrix),
        )


def _merged(tables: list[tuple[float, Table]]) -> Iterator[tuple[float, Table]]:
    """Tables over the same points as one sum."""
    by_axes: dict[tuple, list[tuple[float, Table]]] = {}
    for weight, table in tables:
        by_axes.setdefault((table.slews, table.loads), []).append((weight, table))
    for (slews, loads), own in by_axes.items():
        rows = [[weight * value for row in table.values for value in row] for weight, table in own]
        total = [sum(column) for column in zip(*rows, strict=True)]
        width = len(loads)
        yield (
            1.0,
            Table(slews, loads, tuple(tuple(total[i : i + width]) for i in range(0, len(total), width))),
        )


def _captures(cell: Group) -> tuple[str, str, str, bool] | None:
    """Returns clock, data and output of a one-output flip-flop, and whether it captures the complement."""
    outputs = [
        (pin.args[0], pin.expression("function"))
        for pin in cell.all("pin")
        if pin.get("direction") == "output"
    ]
    for ff in cell.all("ff"):
        state, complement = ff.args[0], ff.args[1]
        data, clock = ff.expression("next_state"), ff.expression("clocked_on")
        inverted = data.startswith("!")
        plain = re.fullmatch(r"!?\s*(\w+)", data)
        if len(outputs) == 1 and plain and outputs[0][1] in (state, complement):
            inverted ^= outputs[0][1] == complement
            return clock.lstrip("!"), plain[1], outputs[0][0], inverted
    return None


def _gates(cell: Group) -> tuple[str, str] | None:
    """Returns clock and output of a clock gate."""
    if cell.get("clock_gating_integrated_cell") is None:
        return None
    clock, output = (
        next((pin.args[0] for pin in cell.all("pin") if pin.get(f"clock_gate_{role}_pin") == "true"), "")
        for role in ("clock", "out")
    )
    return clock, output


def _expression(text: str) -> Callable[[Mapping[str, int]], int]:
    """Returns a function of pin values for a Liberty expression: ! ' & * (or a blank) ^ | +."""
    tokens = re.findall(r"[A-Za-z_]\w*|[01]|[!'&*^|+()]", text)
    at = 0

    def peek() -> str:
        return tokens[at] if at < len(tokens) else ""

    def take() -> str:
        nonlocal at
        at += 1
        return tokens[at - 1]

    def atom() -> Callable[[Mapping[str, int]], int]:
        token = take()
        if token == "!":
            inner = atom()
            return lambda pins: 1 - inner(pins)
        if token == "(":
            result = either()
            take()
        elif token in "01":
            value = int(token)
            result = lambda _pins: value  # noqa: E731
        else:
            result = lambda pins: pins[token]  # noqa: E731
        while peek() == "'":
            take()
            result = (lambda inner: lambda pins: 1 - inner(pins))(result)
        return result

    def exclusive() -> Callable[[Mapping[str, int]], int]:
        terms = [atom()]
        while peek() == "^":
            take()
            terms.append(atom())
        return lambda pins: sum(term(pins) for term in terms) % 2

    def both() -> Callable[[Mapping[str, int]], int]:
        terms = [exclusive()]
        while peek() and peek() not in "|+)":
            if peek() in "&*":
                take()
            terms.append(exclusive())
        return lambda pins: int(all(term(pins) for term in terms))

    def either() -> Callable[[Mapping[str, int]], int]:
        terms = [both()]
        while peek() in ("|", "+"):
            take()
            terms.append(both())
        return lambda pins: int(any(term(pins) for term in terms))

    return either()
