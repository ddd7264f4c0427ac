"""Gate-level simulation: transitions counted by hand, glitches, wrong results caught, real operands."""

import re
from pathlib import Path

import numpy as np
import pytest

from mixpe.gen.verilog import convert
from mixpe.hw.element.integer import ArrayElement
from mixpe.ppa.operands import layer_operands, pe_stimulus
from mixpe.spec.array import Config
from mixpe.spec.errors import UserError
from mixpe.synth.liberty import Library
from mixpe.synth.power import analyze_power
from mixpe.synth.simulate.gates import Activity, GateError, GateSimulation, Stimulus
from mixpe.synth.simulate.vcd import count_transitions
from mixpe.synth.timing import Timing, analyze_timing
from mixpe.synth.yosys import run_yosys
from verif.libraries.timed import (
    CLK_TO_Q,
    CLOCK_PIN,
    HEAD,
    INV,
    LOGIC,
    REGISTER,
    TIMED,
    XOR,
    arc,
    cell,
    library_of,
    output,
    pin,
)

PERIOD = 10.0

# Flip-flops with an enable, an asynchronous clear and an inverted output; a full adder; a constant; a latch.
OTHERS = (
    cell(
        "EDFF",
        12,
        'ff (IQ, IQN) { clocked_on : "C"; next_state : "(D & E) | (IQ & !E)"; }\n'
        + pin("D")
        + pin("E")
        + pin("C", CLOCK_PIN, "clock : true;")
        + output("Q", "IQ", arc("C", CLK_TO_Q, "timing_type : rising_edge; ")),
    )
    + cell(
        "DFFRN",
        12,
        'ff (IQ, IQN) { clocked_on : "C"; next_state : "D"; clear : "!R"; }\n'
        + pin("D")
        + pin("R")
        + pin("C", CLOCK_PIN, "clock : true;")
        + output("Q", "IQ", arc("C", CLK_TO_Q, "timing_type : rising_edge; "))
        + output("QN", "IQN", arc("C", CLK_TO_Q, "timing_type : rising_edge; ")),
    )
    + cell(
        "FA",
        8,
        pin("A")
        + pin("B")
        + pin("CI")
        + output("S", "A^B^CI", arc("A", XOR) + arc("B", XOR) + arc("CI", XOR))
        + output("CO", "(A&B)|(A&CI)|(B&CI)", arc("A", XOR) + arc("B", XOR) + arc("CI", XOR)),
    )
    + cell("TIE", 1, output("Y", "1", ""))
    + cell(
        "LATCH",
        6,
        'latch (IQ, IQN) { enable : "G"; data_in : "D"; }\n'
        + pin("D")
        + pin("G")
        + output("Q", "IQ", arc("D", INV)),
    )
)


@pytest.fixture
def timed(tmp_path: Path) -> Library:
    return library_of(tmp_path, HEAD + LOGIC + REGISTER + OTHERS + "}\n")


def prepare(tmp_path: Path, library: Library, text: str, top: str = "t") -> tuple[GateSimulation, Timing]:
    netlist = tmp_path / "netlist.v"
    netlist.write_text(text)
    sdf = tmp_path / "netlist.sdf"
    timing = analyze_timing(netlist, top, library, tmp_path, tmp_path / "sta.log", sdf=sdf)
    return GateSimulation(netlist, top, library, sdf, tmp_path / "gates"), timing


def run(tmp_path: Path, library: Library, text: str, stimulus: Stimulus) -> Activity:
    return prepare(tmp_path, library, text)[0].run(stimulus, PERIOD)


def module(body: str, ports: str = "clk, a, y") -> str:
    inputs = ", ".join(port for port in ports.split(", ") if port not in "yz")
    outputs = ", ".join(port for port in ports.split(", ") if port in "yz")
    return f"module t({ports});\n input {inputs}; output {outputs}; wire p, q, r;\n {body}\nendmodule\n"


# Counting


def test_shift_register(tmp_path: Path, timed: Library) -> None:
    """Each stage changes as the input does, a cycle later; the clock twice a cycle."""
    pattern = [0, 1, 1, 0, 1, 0, 0, 1, 1, 1, 0, 0]
    text = module("DFF f(.C(clk), .D(a), .Q(q)); DFF g(.C(clk), .D(q), .Q(y));")
    expected = {"y": [(cycle + 2, value) for cycle, value in enumerate(pattern[:-2])]}
    activity = run(tmp_path, timed, text, Stimulus({"a": pattern}, expected=expected))
    changes = np.abs(np.diff([0, *pattern]))
    cycles = len(pattern)
    # The window begins and ends just before an edge.
    assert activity.cycles == pytest.approx(cycles, abs=0.01)
    toggles = {name: round(count * activity.cycles) for name, (count, _) in activity.pins.items()}
    assert toggles["f/D"] == changes.sum()
    assert toggles["f/Q"] == toggles["g/D"] == changes[:-1].sum()
    assert toggles["g/Q"] == changes[:-2].sum()
    assert activity.pins["f/C"] == activity.ports["clk"]
    high = (sum(pattern[:-1]) * PERIOD) / (cycles * PERIOD)
    assert activity.pins["f/Q"][1] == pytest.approx(high, abs=0.01)


def test_warmup_is_not_counted(tmp_path: Path, timed: Library) -> None:
    pattern = [0, 1] * 4 + [0] * 3 + [1] * 5
    text = module("DFF f(.C(clk), .D(a), .Q(y));")
    activity = run(tmp_path, timed, text, Stimulus({"a": pattern}, warmup=10))
    assert activity.cycles == pytest.approx(6)
    assert activity.pins["f/D"] == (pytest.approx(1 / 6), pytest.approx(5 / 6, abs=0.01))
    assert activity.ports["clk"] == (pytest.approx(2), pytest.approx(0.5))


def hazard(inverters: int) -> str:
    """An exclusive or of q and q inverted an even number of times: 0, but for a glitch of their delay."""
    chain = "".join(f"INV i{n}(.A(n{n}), .Y(n{n + 1})); " for n in range(inverters))
    wires = ", ".join(f"n{n}" for n in range(inverters + 1))
    return (
        f"module t(clk, a, y); input clk, a; output y; wire {wires};\n"
        f"DFF f(.C(clk), .D(a), .Q(n0)); {chain} XOR2 x(.A(n0), .B(n{inverters}), .Y(y)); endmodule"
    )


@pytest.mark.parametrize("inverters", [0, 2, 4])
def test_glitches(tmp_path: Path, timed: Library, inverters: int) -> None:
    """A glitch longer than the gate's delay is two transitions, a shorter one is lost in the gate."""
    assert INV < XOR < 2 * INV
    activity = run(tmp_path, timed, hazard(inverters), Stimulus({"a": [0, 1] * 8}))
    count = activity.pins["f/Q"][0]
    assert count > 0.8
    assert activity.pins["x/Y"][0] == pytest.approx(2 * count if inverters else 0)
    assert activity.pins["x/Y"][1] == pytest.approx(count * inverters * INV / PERIOD, abs=1e-3)


def test_short_glitch_is_lost(tmp_path: Path) -> None:
    slow = LOGIC.replace(arc("A", XOR), arc("A", 0.5)).replace(arc("B", XOR), arc("B", 0.5))
    library = library_of(tmp_path, HEAD + slow + REGISTER + "}")
    activity = run(tmp_path, library, hazard(4), Stimulus({"a": [0, 1] * 8}))
    assert activity.pins["i3/Y"][0] > 0.8
    assert activity.pins["x/Y"][0] == 0


def test_enable_clear_and_inverted_output(tmp_path: Path, timed: Library) -> None:
    text = module(
        "EDFF f(.C(clk), .D(a), .E(b), .Q(q)); DFFRN g(.C(clk), .D(q), .R(c), .Q(y), .QN(z));",
        "clk, a, b, c, y, z",
    )
    rng = np.random.default_rng(1)
    a, b, c = rng.integers(0, 2, (3, 60)).tolist()
    f = g = 0
    y, z = [], []
    for cycle in range(60):
        g = g if c[cycle] else 0  # clears at once
        y.append((cycle, g))
        z.append((cycle, 1 - g))
        f, g = (a[cycle] if b[cycle] else f), (f if c[cycle] else 0)
    activity = run(tmp_path, timed, text, Stimulus({"a": a, "b": b, "c": c}, expected={"y": y, "z": z}))
    assert activity.pins["g/Q"][0] == activity.pins["g/QN"][0]
    assert activity.pins["g/Q"][1] + activity.pins["g/QN"][1] == pytest.approx(1)


def test_hierarchy_feedthrough_and_constants(tmp_path: Path, timed: Library) -> None:
    text = """
    module bit(i, k, o, through); input i, k; output o, through; assign through = i;
      FA fa(.A(i), .B(k), .CI(1'b1), .S(o)); endmodule
    module t(clk, a, y, z); input clk; input [1:0] a; output [1:0] y; output [2:0] z; wire one;
      TIE tie(.Y(one)); assign z[2] = 1'b1;
      bit low(.i(a[0]), .k(1'b0), .o(y[0]), .through(z[0]));
      bit high(.i(a[1]), .k(one), .o(y[1]), .through(z[1]));
    endmodule"""
    a = [0, 1, 2, 3, 1, 0]
    expected = {
        "y": [(cycle, (~value & 1) | (value & 2)) for cycle, value in enumerate(a)],
        "z": [(cycle, value | 4) for cycle, value in enumerate(a)],
    }
    activity = run(tmp_path, timed, text, Stimulus({"a": a}, expected=expected))
    assert set(activity.pins) == {"tie/Y"} | {
        f"{path}/fa/{pin}" for path in ("low", "high") for pin in ("A", "B", "CI", "S")
    }
    assert activity.pins["low/fa/CI"] == activity.pins["tie/Y"] == (0, 1)
    assert activity.pins["low/fa/B"] == (0, 0)
    assert activity.pins["high/fa/A"] == activity.ports["a[1]"] == activity.ports["z[1]"]
    assert round(activity.ports["a[0]"][0] * activity.cycles) == 4
    assert activity.ports["z[2]"] == (0, 1)


def test_dump_of_every_kind(tmp_path: Path) -> None:
    """A dump by hand: aliases, long codes, unknown values, a value said again, the end."""
    dump = tmp_path / "dump.vcd"
    dump.write_text(
        "$timescale 1ps $end\n$scope module nets $end\n"
        "$var wire 1 ! n1 $end\n$var wire 1 ! n2 $end\n$var wire 1 !! n3 $end\n$var reg 1 ~a n4 $end\n"
        "$upscope $end\n$enddefinitions $end\n"
        "#100\n$dumpvars\n0!\n1!!\nx~a\n$end\n#110\n1!\n0!!\n#120\n1!\n0!\n1~a\n#150\n1!!\n#200\n1!\n0!!\n"
    )
    counts = count_transitions(dump, 100, 200)
    assert counts.names == ["n1", "n2", "n3", "n4"]
    assert counts.transitions.tolist() == [2, 2, 2, 0]
    assert counts.high.tolist() == [10, 10, 10 + 50, 80]
    assert counts.unknown == ["n4"]


# Refusals


@pytest.mark.parametrize(
    ("stimulus", "message"),
    [
        (
            Stimulus({"a": [0, 1, 0, 1]}, expected={"y": [(2, 0)]}),
            r"module t compute wrong results: port y in cycle 2 is 1, not 0",
        ),
        (Stimulus({"a": [0] * 6}), "module t toggles nothing but the clock"),
        (Stimulus({"b": [0] * 6}), r"stimulus must drive ports \['a'\], not \['b'\]"),
        (Stimulus({"a": [0, 2]}), "stimulus of port a must be 0 to 1, not 2 in cycle 1"),
        (Stimulus({"a": [0, 1]}, expected={"x": [(1, 0)]}), r"expects values of ports \['x'\]"),
        (Stimulus({"a": [0, 1]}, expected={"y": [(2, 0)]}), "expects a value of port y in cycle 2 of 2"),
    ],
)
def test_refused_stimulus(tmp_path: Path, timed: Library, stimulus: Stimulus, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        run(tmp_path, timed, module("DFF f(.C(clk), .D(a), .Q(y));"), stimulus)
    assert "\n" not in str(error.value)


def test_stimulus_of_unequal_inputs() -> None:
    with pytest.raises(UserError, match="must be of one length"):
        Stimulus({"a": [0, 1], "b": [0]})
    with pytest.raises(UserError, match="warmup must be 0 to 1, not 2"):
        Stimulus({"a": [0, 1]}, warmup=2)


def test_latches_are_refused(tmp_path: Path, timed: Library) -> None:
    netlist = tmp_path / "netlist.v"
    netlist.write_text(module("LATCH l(.G(a), .D(a), .Q(y));", "a, y"))
    (tmp_path / "none.sdf").write_text("")
    with pytest.raises(UserError, match="cell LATCH cannot be simulated: it is a dlatch"):
        GateSimulation(netlist, "t", timed, tmp_path / "none.sdf", tmp_path / "gates")


def test_testbench_of_ones_own(tmp_path: Path, timed: Library) -> None:
    bench = """module bench;
      reg clk = 0, a = 0; wire y; integer cycle = 0;
      always #5 clk = ~clk;
      t dut(.clk(clk), .a(a), .y(y));
      always @(posedge clk) begin
        a <= {VALUE}; cycle <= cycle + 1;
        if (cycle == 20) begin $display("{WORD} after %0d", cycle); $finish; end
      end
    endmodule"""
    simulation, _ = prepare(tmp_path, timed, module("DFF f(.C(clk), .D(a), .Q(y));"))

    def play(end: float, word: str = "PASS", value: str = "~a") -> Activity:
        text = bench.replace("{WORD}", word).replace("{VALUE}", value)
        return simulation.run_bench(text, "bench.dut", PERIOD, 45, end)

    activity = play(145)
    assert activity.pins["f/Q"] == (pytest.approx(1), pytest.approx(0.5, abs=0.01))
    with pytest.raises(GateError, match="module t did not pass: FAIL after 20"):
        play(145, word="FAIL")
    with pytest.raises(GateError, match="ended before the time to count to"):
        play(1045)
    with pytest.raises(GateError, match=r"pin f/D is unknown \(x\)"):
        play(145, value="1'bx")
    with pytest.raises(GateError, match="iverilog failed"):
        play(145, value="1'b")


# Operands


def functions_only(text: str) -> str:
    return re.sub(r"(?:timing|internal_power) \(\) \{(?:[^{}]|\{[^{}]*\})*\}", "", text)


def mapped_pe(tmp_path: Path, library: Library, config: Config) -> str:
    (tmp_path / "design.v").write_text(convert("pe", lambda modules: ArrayElement(config, modules)))
    # ABC does without delays, and cannot read tables of one number.
    (tmp_path / "functions.lib").write_text(functions_only(library.paths[0].read_text()))
    files = "-liberty functions.lib"
    script = f"""read_verilog design.v
      hierarchy -top pe; synth -flatten -top pe; delete */t:$scopeinfo
      dfflibmap {files}; opt; abc {files}; splitnets; opt_clean -purge
      write_verilog -simple-lhs -noattr -noexpr -nohex netlist.v
    """
    run_yosys(script, tmp_path, tmp_path / "yosys.log")
    return (tmp_path / "netlist.v").read_text()


CONFIGS = [
    Config(group=32),
    Config(group=48, lanes=4),
    Config(group=24, weight_bits=8, lanes=2),
    Config(group=32, weight_signed=False, zero_point=True),
    Config(group=32, weight_format="fp4_e2m1"),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_pe_with_operands(tmp_path: Path, config: Config) -> None:
    """The mapped PE computes the group sums of NumPy; a wrong one is noticed; its energy is finite."""
    library = library_of(tmp_path, TIMED)
    stimulus = pe_stimulus(config, layer_operands(config), cycles=400)
    simulation, timing = prepare(tmp_path, library, mapped_pe(tmp_path, library, config), "pe")
    period = timing.min_period_ns * 1.02
    activity = simulation.run(stimulus, period)
    assert 0.05 < np.mean([toggles for toggles, _ in activity.pins.values()]) < 3
    cycles = stimulus.cycles - stimulus.warmup
    assert 0.9 * cycles * config.lanes < stimulus.macs <= cycles * config.lanes
    power = analyze_power(
        tmp_path / "netlist.v", "pe", library, activity, period, tmp_path, tmp_path / "power.log"
    )
    assert power.energy_pj * cycles / stimulus.macs > 0
    assert power.clock_port > power.input_ports > 0
    (cycle, value), *others = stimulus.expected["sum"]
    wrong = Stimulus(stimulus.inputs, expected={"sum": [(cycle, value ^ 1), *others]})
    with pytest.raises(GateError, match=f"port sum in cycle {cycle} is"):
        simulation.run(wrong, period)
    with pytest.raises(GateError, match="compute wrong results"):
        simulation.run(stimulus, timing.min_period_ns * 0.3)
