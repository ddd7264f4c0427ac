"""Internal energy of a cell instance: its tables, weighted by what its pins do."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .energy_tables import CellEnergies, Condition, Energy

Activities = Mapping[str, tuple[float, float]]
"""Transitions per clock cycle and share of time at 1, by pin."""


@dataclass
class Pin:
    """A pin's transition time in ns."""

    slew: float
    load: float | None
    """Capacitance of the wire an output drives, in pF; None for an input."""


def internal_pj(cell: CellEnergies, pins: Mapping[str, Pin], activity: Activities) -> float:
    """Returns the internal energy of an instance in a clock cycle."""
    total = 0.0
    for name, energies in cell.pins.items():
        toggles = activity.get(name, (0.0, 0.0))[0]
        if not toggles or not energies:
            continue
        load = pins[name].load
        if load is None:
            total += toggles * sum(
                share * energy.at(pins[name].slew, 0.0)
                for energy, share in _shares(cell, energies, activity, {(): 1.0})
            )
            continue
        causes = {
            energy.related: max((activity.get(pin, (0.0, 0.0))[0] for pin in energy.related), default=1.0)
            for energy in energies
        }
        weighted = list(_shares(cell, energies, activity, causes))
        weight = sum(share for _, share in weighted)
        if not weight:  # by rounding, or by conditions that never seem to hold together
            weighted, weight = [(energy, 1.0) for energy in energies], float(len(energies))
        for energy, share in weighted:
            if share:
                slews = [pins[pin].slew for pin in energy.related if pin in pins]
                slew = sum(slews) / len(slews) if slews else 0.0
                total += toggles * share / weight * energy.at(slew, load)
    return total


def _shares(
    cell: CellEnergies,
    energies: tuple[Energy, ...],
    activity: Activities,
    causes: Mapping[tuple[str, ...], float],
) -> Iterator[tuple[Energy, float]]:
    """Yields each energy with the weight of its causes, by the probability of its condition."""
    rest = dict.fromkeys(causes, 1.0)
    for energy in energies:
        if energy.when is not None:
            share = _probability(cell, energy.when, activity)
            rest[energy.related] -= share
            yield energy, causes[energy.related] * share
    for energy in energies:
        if energy.when is None:
            yield energy, causes[energy.related] * max(0.0, rest[energy.related])


def _probability(cell: CellEnergies, condition: Condition, activity: Activities) -> float:
    """Returns how probably `condition` holds. Pins count as independent but for those named here.

    D and Q of a flip-flop differ at an edge of its own clock as often as the output changes. The output of a
    clock gate is 1 only while its clock is. In a condition that does not name the clock, it is 1 for those
    transitions of the clock that go through: such conditions are on the clock pin, for what stops there.
    """
    total = 0.0
    for row in condition.rows:
        state = dict(zip(condition.pins, row, strict=True))
        share = 1.0
        if cell.captures is not None and {cell.captures[1], cell.captures[2]} <= state.keys():
            share = _captured(cell.captures, state, activity)
        elif cell.gates is not None and cell.gates[1] in state:
            share = _gated(cell.gates, state, activity)
        for pin, value in state.items():
            high = activity.get(pin, (0.0, 0.0))[1]
            share *= high if value else 1 - high
        total += share
    return total


def _captured(captures: tuple[str, str, str, bool], state: dict[str, int], activity: Activities) -> float:
    """Returns the probability of a flip-flop's data and output, which it takes out of `state`."""
    clock, data_pin, output_pin, inverted = captures
    data, output = state.pop(data_pin), state.pop(output_pin)
    edges = activity.get(clock, (0.0, 0.0))[0] / 2
    toggles, high = activity.get(output_pin, (0.0, 0.0))
    changes = min(1.0, toggles / edges) if edges else 0.0
    if (data ^ inverted) != output:
        return changes / 2
    return max(0.0, (high if output else 1 - high) - changes / 2)


def _gated(gates: tuple[str, str], state: dict[str, int], activity: Activities) -> float:
    """Returns the probability of a clock gate's output, and clock if named, which it takes out of `state`."""
    clock_pin, output_pin = gates
    output, clock = state.pop(output_pin), state.pop(clock_pin, None)
    passed, high = activity.get(output_pin, (0.0, 0.0))
    edges, clock_high = activity.get(clock_pin, (0.0, 0.0))
    if clock is None:
        through = min(1.0, passed / edges) if edges else 0.0
        return through if output else 1 - through
    if not clock:
        return 0.0 if output else 1 - clock_high
    return high if output else max(0.0, clock_high - high)
