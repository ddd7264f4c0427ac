"""Power from activity: energies known from the library's numbers, on netlists of a few cells."""

import re
from pathlib import Path

import pytest

from mixpe.synth.energy_tables import Condition, Table
from mixpe.synth.groups import parse_groups
from mixpe.synth.liberty import Library
from mixpe.synth.power import Power, analyze_power
from mixpe.synth.sta import TimingError
from verif.libraries.timed import (
    CLOCK_ENERGY,
    CLOCK_PIN,
    D_PIN,
    HEAD,
    INV,
    INV_ENERGY,
    LEAKAGE,
    LOGIC,
    PIN,
    REGISTER,
    TIMED,
    VOLTS,
    arc,
    cell,
    energy,
    library_of,
    output,
    pin,
)


@pytest.fixture
def timed(tmp_path: Path) -> Library:
    return library_of(tmp_path, TIMED)


class Given:
    """An activity: `toggles` per cycle on every pin named, half the time at 1; 2 on clock pins."""

    def __init__(self, pins: str, ports: str, toggles: float):
        self.pins = {name: (2.0 if name.endswith("/C") else toggles, 0.5) for name in pins.split()}
        self.ports = {name: (2.0 if name == "clk" else toggles, 0.5) for name in ports.split()}


CHAIN = """module t(clk, a, y); input clk, a; output y; wire q;
  DFF r(.C(clk), .D(a), .Q(q)); INV i(.A(q), .Y(y));
endmodule"""
CHAIN_PINS, CHAIN_PORTS = "r/C r/D r/Q i/A i/Y", "clk a y"


def power(
    tmp_path: Path, library: Library, toggles: float, period: float = 10.0, pins: str = CHAIN_PINS
) -> Power:
    netlist = tmp_path / "netlist.v"
    netlist.write_text(CHAIN)
    activity = Given(pins, CHAIN_PORTS, toggles)
    return analyze_power(netlist, "t", library, activity, period, tmp_path, tmp_path / "power.log")


def pj(watts: float, period: float) -> float:
    return watts * period * 1e3


@pytest.mark.parametrize("period", [10.0, 4.0])
@pytest.mark.parametrize("toggles", [0.25, 1.0, 3.0])
def test_energy_of_a_chain(tmp_path: Path, timed: Library, toggles: float, period: float) -> None:
    """Half of C*V^2 per transition, and the tables' energies: the clock's twice per cycle."""
    found = power(tmp_path, timed, toggles, period)
    half = VOLTS**2 / 2
    inverter, register = found.instances["i"], found.instances["r"]
    assert pj(inverter.switching, period) == pytest.approx(toggles * D_PIN * half, rel=1e-4)
    assert pj(inverter.internal, period) == pytest.approx(toggles * INV_ENERGY, rel=1e-4)
    assert pj(register.switching, period) == pytest.approx(toggles * PIN * half, rel=1e-4)
    assert pj(register.internal, period) == pytest.approx(2 * CLOCK_ENERGY, rel=1e-4)
    assert pj(found.clock_port, period) == pytest.approx(2 * CLOCK_PIN * half, rel=1e-4)
    assert pj(found.input_ports, period) == pytest.approx(toggles * (D_PIN) * half, rel=1e-4)
    assert found.leakage == pytest.approx(2 * LEAKAGE * 1e-9, rel=1e-4)
    assert found.total == pytest.approx(found.internal + found.switching + found.leakage)
    assert found.energy_pj == pytest.approx(pj(found.total, period))
    assert found.registers == pytest.approx(register.total)


def test_idle_design_has_only_clock_power(tmp_path: Path, timed: Library) -> None:
    found = power(tmp_path, timed, 0.0)
    assert found.input_ports == 0
    assert (found.instances["i"].switching, found.instances["i"].internal) == (0, 0)
    assert found.instances["r"].switching == 0
    assert pj(found.internal, 10) == pytest.approx(2 * CLOCK_ENERGY, rel=1e-4)


def test_an_output_transition_counts_once(tmp_path: Path) -> None:
    """Whatever the number of inputs: the mean of their energies, by their transitions and conditions."""
    gate = cell(
        "AOI",
        3,
        pin("A", PIN, energy(0.125, 'when : "B";'))
        + pin("B")
        + pin("E")
        + output(
            "Y",
            "!(A&B|E)",
            arc("A", INV)
            + arc("B", INV)
            + arc("E", INV)
            + energy(1.0, 'related_pin : "A";')
            + energy(2.0, 'related_pin : "B";')
            + energy(4.0, 'related_pin : "E"; when : "A&!B";')
            + energy(8.0, 'related_pin : "E";'),
        ),
    )
    library = library_of(tmp_path, HEAD + LOGIC + gate + REGISTER + "}")
    netlist = tmp_path / "netlist.v"
    netlist.write_text("""module t(clk, a, b, e, y); input clk, a, b, e; output y;
      AOI g(.A(a), .B(b), .E(e), .Y(y));
    endmodule""")
    activity = Given("", "clk a b e y", 0)
    activity.pins = {"g/A": (0.5, 0.25), "g/B": (0.0, 0.5), "g/E": (1.5, 0.75), "g/Y": (0.5, 0.5)}
    found = analyze_power(netlist, "t", library, activity, 10.0, tmp_path, tmp_path / "power.log")
    # E's condition holds an eighth of the time; A toggles half a time, half of it with B at 1.
    caused = (0.5 * 1.0 + 1.5 * (0.125 * 4.0 + 0.875 * 8.0)) / (0.5 + 1.5)
    assert pj(found.internal, 10) == pytest.approx(0.5 * caused + 0.5 * 0.5 * 0.125, rel=1e-6)


def test_conditions_of_a_clock_pin(tmp_path: Path) -> None:
    """A flip-flop's data and output differ at the clock's edges as often as the output changes."""
    when = "".join(
        energy(value, f'when : "{state}";') for value, state in ((1, "D&!Q"), (2, "D&Q"), (4, "!D"))
    )
    library = library_of(tmp_path, TIMED.replace("clock : true; " + energy(CLOCK_ENERGY), when))
    netlist = tmp_path / "netlist.v"
    netlist.write_text(CHAIN)
    activity = Given(CHAIN_PINS, CHAIN_PORTS, 0.25)
    activity.pins |= {"r/D": (0.25, 0.625), "r/Q": (0.25, 0.5), "i/A": (0.25, 0.5), "i/Y": (0.0, 0.5)}
    found = analyze_power(netlist, "t", library, activity, 10.0, tmp_path, tmp_path / "power.log")
    expected = 2 * (0.125 * 1 + (0.5 - 0.125) * 2 + (1 - 0.625) * 4)
    assert pj(found.instances["r"].internal, 10) == pytest.approx(expected, rel=1e-6)


def test_tables_are_interpolated() -> None:
    table = Table((1.0, 3.0), (0.0, 2.0, 4.0), ((1.0, 2.0, 3.0), (5.0, 6.0, 7.0)))
    assert [table.at(*at) for at in ((1, 0), (3, 4), (2, 1), (5, 0), (1, 5))] == [1, 7, 3.5, 9, 3.5]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("!A & B", {(0, 1)}),
        ("A' B", {(0, 1)}),
        ("(A*!B) + (!A*B)", {(0, 1), (1, 0)}),
        ("A ^ B", {(0, 1), (1, 0)}),
        ("!(A | B) | A & B", {(0, 0), (1, 1)}),
    ],
)
def test_conditions(text: str, rows: set[tuple[int, int]]) -> None:
    assert set(Condition(text).rows) == rows


def test_liberty_groups() -> None:
    """Attributes may lack the semicolon at the end of their line; values may go over several."""
    (found,) = parse_groups(
        'cell ("X") { area : 0.5\n rank : 2;\n values ("1, 2", \\\n "3") /* { */ ;'
        ' pin (A) { when : "B & {C}" } }'
    )
    assert (found.kind, found.args, found.get("area"), found.get("rank")) == ("cell", ("X",), "0.5", "2")
    assert found.attributes["values"] == ("1, 2", "3")
    assert next(found.all("pin")).get("when") == "B & {C}"


def test_partial_activity_is_refused(tmp_path: Path, timed: Library) -> None:
    with pytest.raises(TimingError, match="the activity lacks 2 pins, i/A for instance"):
        power(tmp_path, timed, 1.0, pins="r/C r/D r/Q")


def test_impossible_power_is_refused(tmp_path: Path) -> None:
    negative = TIMED.replace(f'("{INV_ENERGY}")', f'("-{INV_ENERGY}")')
    with pytest.raises(TimingError, match=r"power of instance i \(INV\) is negative|power is negative"):
        power(tmp_path, library_of(tmp_path, negative), 1.0)
    nothing = re.sub(r"capacitance : [\d.]+", "capacitance : 0", TIMED)
    nothing = re.sub(r"(_power \(scalar\) \{ values \()[^)]*", r'\1"0"', nothing)
    nothing = nothing.replace(f"power : {LEAKAGE}", "power : 0")
    with pytest.raises(TimingError, match="power is zero"):
        power(tmp_path, library_of(tmp_path, nothing), 1.0)
