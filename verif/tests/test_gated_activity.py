"""Registers behind a clock gate: their clock's edges, energies added up by hand, and their timing."""

from pathlib import Path

import pytest

from mixpe.synth.liberty import Library
from mixpe.synth.power import Power, analyze_power
from mixpe.synth.simulate.gates import Activity, GateSimulation, Stimulus
from mixpe.synth.timing import Timing, analyze_timing
from verif.libraries.timed import (
    CLK_TO_Q,
    CLOCK_ENERGY,
    CLOCK_PIN,
    D_PIN,
    GATE_CLOCK_ENERGY,
    GATE_CLOCK_PIN,
    GATE_DELAY,
    GATE_ENABLE_ENERGY,
    GATE_ENABLE_PIN,
    GATE_OUTPUT_ENERGY,
    GATE_SETUP,
    HEAD,
    INV,
    LEAKAGE,
    LOGIC,
    REGISTER,
    SETUP,
    VOLTS,
    clock_gate,
    energy,
    library_of,
)

PERIOD = 10.0
CYCLES = 16

# Two registers behind a gate, one before it; z follows the input, for something to move while all is idle.
GATED = """module t(clk, a, e, y, z); input clk, a, e; output y, z; wire g, q;
  ICG gate(.CK(clk), .EN(e), .GCK(g));
  DFF f(.C(g), .D(a), .Q(q)); DFF s(.C(g), .D(q), .Q(y)); DFF free(.C(clk), .D(a), .Q(z));
endmodule"""


def timed(folder: Path, gate: str | None = None) -> Library:
    return library_of(folder, HEAD + LOGIC + REGISTER + (gate or clock_gate("ICG", 5)) + "}\n")


def prepared(folder: Path, library: Library, text: str) -> tuple[GateSimulation, Timing]:
    netlist, sdf = folder / "netlist.v", folder / "netlist.sdf"
    netlist.write_text(text)
    timing = analyze_timing(netlist, "t", library, folder, folder / "sta.log", sdf=sdf)
    return GateSimulation(netlist, "t", library, sdf, folder / "gates"), timing


def ran(folder: Path, library: Library, stimulus: Stimulus) -> tuple[Activity, Power]:
    simulation, _ = prepared(folder, library, GATED)
    activity = simulation.run(stimulus, PERIOD)
    netlist = folder / "netlist.v"
    return activity, analyze_power(netlist, "t", library, activity, PERIOD, folder, folder / "power.log")


def test_a_clock_passes_while_it_is_enabled(tmp_path: Path) -> None:
    """Inputs change after an edge, while the clock is 1: no pulse begins there, and none is cut."""
    enable = [0, 1, 1, 0, 0, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 0]
    data = [1, 1, 0, 0, 1, 1, 1, 0, 1, 0, 1, 1, 0, 0, 1, 1]
    q = y = 0
    expected = {"y": [], "z": []}
    for cycle, (e, a) in enumerate(zip(enable, data, strict=True)):
        expected["y"].append((cycle, y))
        expected["z"].append((cycle, data[cycle - 1] if cycle else 0))
        q, y = (a, q) if e else (q, y)
    activity, _ = ran(tmp_path, timed(tmp_path), Stimulus({"a": data, "e": enable}, expected=expected))
    pulses = sum(enable[:-1])  # the last enable is for an edge after the end
    toggles, high = activity.pins["gate/GCK"]
    assert round(toggles * activity.cycles, 6) == 2 * pulses
    assert high == pytest.approx(pulses / 2 / CYCLES, abs=1e-3)
    assert activity.pins["f/C"] == activity.pins["s/C"] == activity.pins["gate/GCK"]
    assert activity.pins["free/C"] == activity.pins["gate/CK"] == activity.ports["clk"]


def pj(watts: float) -> float:
    return watts * PERIOD * 1e3


@pytest.mark.parametrize("enabled", [0, 1])
def test_energy_of_a_gated_word(enabled: int, tmp_path: Path) -> None:
    """The gate's clock pin always; its output, its wire and the clock pins behind it only if enabled."""
    data = [cycle % 2 for cycle in range(CYCLES)]
    stimulus = Stimulus({"a": data, "e": [enabled] * CYCLES}, warmup=4)
    activity, found = ran(tmp_path, timed(tmp_path), stimulus)
    half = VOLTS**2 / 2
    moved = 1 if enabled else 0  # transitions of a register's output per cycle
    gate, first, second = (found.instances[name] for name in ("gate", "f", "s"))
    assert activity.pins["gate/EN"] == (0, enabled)
    assert pj(gate.internal) == pytest.approx(
        2 * GATE_CLOCK_ENERGY + 2 * enabled * GATE_OUTPUT_ENERGY, rel=1e-6
    )
    assert pj(gate.switching) == pytest.approx(2 * enabled * 2 * CLOCK_PIN * half, rel=1e-6)
    for register in (first, second):
        assert pj(register.internal) == pytest.approx(2 * enabled * CLOCK_ENERGY, rel=1e-6)
    assert pj(first.switching) == pytest.approx(moved * D_PIN * half, rel=1e-4)
    assert pj(found.clock_port) == pytest.approx(2 * (GATE_CLOCK_PIN + CLOCK_PIN) * half, rel=1e-6)
    assert pj(found.instances["free"].internal) == pytest.approx(2 * CLOCK_ENERGY, rel=1e-6)
    assert found.leakage == pytest.approx(4 * LEAKAGE * 1e-9, rel=1e-6)
    assert found.registers == pytest.approx(sum(found.instances[name].total for name in ("f", "s", "free")))


def test_energy_of_an_enable(tmp_path: Path) -> None:
    enable = [0, 1] * (CYCLES // 2)
    activity, found = ran(tmp_path, timed(tmp_path), Stimulus({"a": [0] * CYCLES, "e": enable}, warmup=4))
    assert activity.pins["gate/EN"][0] == pytest.approx(1)
    assert pj(found.instances["gate"].internal) == pytest.approx(
        2 * GATE_CLOCK_ENERGY + GATE_ENABLE_ENERGY + GATE_OUTPUT_ENERGY, rel=1e-6
    )
    inputs = GATE_ENABLE_PIN * VOLTS**2 / 2
    assert pj(found.input_ports) == pytest.approx(inputs, rel=1e-6)


class Given:
    """An activity: transitions per cycle and share of time at 1 of the pins of `GATED`."""

    def __init__(self, **pins: tuple[float, float]):
        still = ("gate_EN", "f_D", "f_Q", "s_D", "s_Q", "free_D", "free_Q")
        every = dict.fromkeys(still, (0.0, 0.0)) | {"gate_CK": (2.0, 0.5), "free_C": (2.0, 0.5)} | pins
        self.pins = {name.replace("_", "/"): values for name, values in every.items()}
        self.ports = dict.fromkeys("aeyz", (0.0, 0.0)) | {"clk": (2.0, 0.5)}


def given(folder: Path, library: Library, activity: Given) -> Power:
    (folder / "netlist.v").write_text(GATED)
    return analyze_power(folder / "netlist.v", "t", library, activity, PERIOD, folder, folder / "power.log")


def test_data_and_output_differ_at_edges_of_the_gated_clock(tmp_path: Path) -> None:
    """An edge every fourth cycle, the output changes at half of them: D differs from Q half of the time."""
    when = energy(1, 'when : "D&!Q";') + energy(2, 'when : "!D&Q";') + energy(4, 'when : "D&Q";')
    register = REGISTER.replace(energy(CLOCK_ENERGY), when + energy(8, 'when : "!D&!Q";'))
    assert register != REGISTER
    library = library_of(tmp_path, HEAD + LOGIC + register + clock_gate("ICG", 5) + "}\n")
    clock = (0.5, 0.125)
    found = given(
        tmp_path,
        library,
        Given(gate_GCK=clock, f_C=clock, s_C=clock, f_D=(0.25, 0.5), f_Q=(0.125, 0.5), s_D=(0.125, 0.5)),
    )
    share = 0.125 / (0.5 / 2) / 2  # rising, and as often falling
    expected = 0.5 * (share * (1 + 2) + (0.5 - share) * (4 + 8))
    assert pj(found.instances["f"].internal) == pytest.approx(expected, rel=1e-6)


def test_gated_clocks_have_no_transition_time(tmp_path: Path) -> None:
    """At the pins of flip-flops the clock is ideal, whatever drives it."""
    template = 'power_lut_template (slew) { variable_1 : input_transition_time; index_1 ("0, 1"); }\n'
    table = 'rise_power (slew) { values ("1, 101"); } fall_power (slew) { values ("1, 101"); }'
    register = REGISTER.replace(energy(CLOCK_ENERGY), f"internal_power () {{ {table} }}")
    library = library_of(tmp_path, HEAD + template + LOGIC + register + clock_gate("ICG", 5) + "}\n")
    found = given(tmp_path, library, Given(gate_GCK=(2.0, 0.5), f_C=(2.0, 0.5), s_C=(2.0, 0.5)))
    for name in ("f", "s", "free"):
        assert pj(found.instances[name].internal) == pytest.approx(2 * 1, rel=1e-6)


def test_conditions_of_a_gate(tmp_path: Path) -> None:
    """On the clock pin, for edges that stop; on another one, by what the output is while the clock is 1."""
    stops = energy(1, 'when : "!GCK";') + energy(2, 'when : "GCK";')
    moves = energy(4, 'when : "CK&!GCK";') + energy(8, 'when : "CK&GCK";') + energy(16, 'when : "!CK&!GCK";')
    gate = clock_gate("ICG", 5).replace(energy(GATE_CLOCK_ENERGY), stops)
    gate = gate.replace(energy(GATE_ENABLE_ENERGY), moves)
    clock = (0.5, 0.125)  # one edge of four goes through
    found = given(
        tmp_path,
        timed(tmp_path, gate),
        Given(gate_GCK=clock, f_C=clock, s_C=clock, gate_EN=(0.75, 0.25)),
    )
    expected = 2 * (0.75 * 1 + 0.25 * 2) + 0.5 * GATE_OUTPUT_ENERGY
    expected += 0.75 * (0.375 * 4 + 0.125 * 8 + 0.5 * 16)
    assert pj(found.instances["gate"].internal) == pytest.approx(expected, rel=1e-6)


# Timing

ENABLED = """module t(clk, a, y); input clk, a; output y; wire g, e, n;
  DFF f(.C(clk), .D(a), .Q(e)); INV i(.A(e), .Y(n));
  ICG gate(.CK(clk), .EN(n), .GCK(g)); DFF r(.C(g), .D(a), .Q(y));
endmodule"""
BEHIND = """module t(clk, e, y); input clk, e; output y; wire g, q, n, m, k;
  ICG gate(.CK(clk), .EN(e), .GCK(g)); DFF f(.C(g), .D(y), .Q(q));
  INV i(.A(q), .Y(n)); INV j(.A(n), .Y(m)); INV l(.A(m), .Y(k)); DFF r(.C(clk), .D(k), .Q(y));
endmodule"""


def test_the_enable_is_due_at_the_gates_setup(tmp_path: Path) -> None:
    _, timing = prepared(tmp_path, timed(tmp_path), ENABLED)
    assert timing.min_period_ns == pytest.approx(CLK_TO_Q + INV + GATE_SETUP, abs=1e-4)
    assert (timing.start, timing.end) == ("e", "enable of y")


def test_the_clock_is_ideal_behind_a_gate(tmp_path: Path) -> None:
    """A path from a gated register begins at that register, with no delay of the gate in it."""
    assert GATE_DELAY > GATE_SETUP
    _, timing = prepared(tmp_path, timed(tmp_path), BEHIND)
    assert timing.min_period_ns == pytest.approx(CLK_TO_Q + 3 * INV + SETUP, abs=1e-4)
    assert (timing.start, timing.end) == ("q", "y")
