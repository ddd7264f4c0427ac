"""Switching activity: a mapped netlist simulated gate by gate under Icarus Verilog, glitches included.

Every cell output has the delays of its instance (rise and fall, from an SDF file, the mean over its timing
arcs), inertial: a pulse shorter than the delay is lost in the cell, a longer one is a glitch and counts.
Registers start at 0. The load of a wire is in the delay of the cell that drives it; the wire's own delay,
which the SDF file gives as well, is left out.
"""

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...spec.errors import UserError
from ...support.files import write_file
from ...support.programs import homebrew, missing, run_program
from ..cells import Bit, CellModels
from ..gate_netlist import GateNetlist, read_gates
from ..liberty import Library
from .gate_verilog import BENCH_SCOPE, HOLD, NetlistWriter, stimulus_bench
from .sdf import sdf_delays
from .vcd import Counts, count_transitions

# Time steps per ns, finest first, and the least number of them in a mean delay: Icarus looks for the place of
# an event in a list of all time steps to come, so that finer ones cost time.
_TICKS_PER_NS = {"10fs": 100_000, "100fs": 10_000, "1ps": 1_000}
_TICKS_PER_DELAY = 50


class GateError(UserError):
    """A gate-level simulation failed, differs from what is expected, or shows no activity."""


@dataclass(frozen=True)
class Stimulus:
    """What a design's inputs get, cycle by cycle.

    inputs: per input port one unsigned bit pattern per cycle, all of one length; neither clk nor rst.
    warmup: cycles at the beginning that are not counted.
    derived: words made of output ports: width, and a Verilog expression, by name.
    expected: per output port or derived word (cycle, unsigned bit pattern) at the end of that cycle, checked
        bit for bit. Inputs of cycle c are sampled by the clock edge that ends it.
    description: of the operands, for the report. macs: multiply-accumulates of the counted cycles.
    """

    inputs: Mapping[str, Sequence[int]]
    warmup: int = 0
    expected: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)
    derived: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    description: str = ""
    macs: int = 0

    def __post_init__(self):
        lengths = {name: len(values) for name, values in self.inputs.items()}
        if len(set(lengths.values())) != 1:
            raise UserError(f"stimulus inputs must be of one length, not {lengths}")
        if not 0 <= self.warmup < self.cycles:
            raise UserError(f"stimulus warmup must be 0 to {self.cycles - 1}, not {self.warmup}")

    @property
    def cycles(self) -> int:
        return len(next(iter(self.inputs.values())))


@dataclass(frozen=True)
class Activity:
    """Transitions per clock cycle and the share of time at 1, of every net.

    pins: by cell pin "instance/pin", instance paths joined by "/". ports: by bit of a port of the top module,
    "acts[3]", or "clk" where a port is one bit. cycles: counted.
    """

    pins: dict[str, tuple[float, float]] = field(repr=False)
    ports: dict[str, tuple[float, float]] = field(repr=False)
    cycles: float


def require_icarus() -> None:
    """Raises `UserError` with the command to type unless `iverilog` and `vvp` are installed."""
    if not (shutil.which("iverilog") and shutil.which("vvp")):
        raise missing("Icarus Verilog is not installed", debian="iverilog", macos=homebrew("icarus-verilog"))


class GateSimulation:
    """A mapped netlist made ready to simulate: module `top` with the ports of the netlist's.

    `sdf` holds the delays of every instance, as `analyze_timing` writes it. `folder` takes all files. Raises
    `UserError` for a cell that the library lacks or that cannot be simulated.
    """

    def __init__(self, netlist: Path, top: str, library: Library, sdf: Path, folder: Path):
        require_icarus()
        folder.mkdir(parents=True, exist_ok=True)
        self.top, self._folder = top, folder
        models = CellModels(library, folder, folder / "cells.log")
        self.gates: GateNetlist = read_gates(netlist, top, models, folder, folder / "netlist.log")
        delays = sdf_delays(sdf)
        mean_ns = sum(rise + fall for rise, fall in delays.values()) / max(1, 2 * len(delays))
        coarse = [tick for tick, per_ns in _TICKS_PER_NS.items() if mean_ns * per_ns >= _TICKS_PER_DELAY]
        self._tick = coarse[-1] if coarse else next(iter(_TICKS_PER_NS))
        self._per_ns = _TICKS_PER_NS[self._tick]
        ticks = {
            pin: (max(1, round(rise * self._per_ns)), max(1, round(fall * self._per_ns)))
            for pin, (rise, fall) in delays.items()
        }
        lines = NetlistWriter(self.gates, models, ticks).lines()
        (folder / "gates.v").write_text("\n".join([self._timescale, *lines, ""]), encoding="utf-8")

    @property
    def _timescale(self) -> str:
        return f"`timescale {self._tick}/{self._tick}"

    def run(self, stimulus: Stimulus, period_ns: float) -> Activity:
        """Returns the activity of the counted cycles of `stimulus`, with a clock of `period_ns`.

        Raises `GateError` where an output differs from `stimulus.expected`, and as `run_bench` does.
        """
        period = round(period_ns * self._per_ns)
        text = stimulus_bench(
            self.gates, stimulus.inputs, stimulus.expected, stimulus.derived, period, self._folder
        )
        bench = f"{self._timescale}\n{text}"
        start, end = (1 + stimulus.warmup) * period, (1 + stimulus.cycles) * period
        return self._run(bench, BENCH_SCOPE, period, start, end, "")

    def run_bench(
        self, bench: str, scope: str, period_ns: float, start_ns: float, end_ns: float, passed: str = "PASS"
    ) -> Activity:
        """Returns the activity under a testbench's Verilog text, from `start_ns` to `end_ns`.

        `scope` is the place of the netlist's top module in it, such as "bench.dut". Delays without a
        `timescale are in ns. The testbench ends itself, printing a line that begins with `passed`; with "",
        the simulation ends at `end_ns` and nothing is checked. Activity is counted per `period_ns`.

        Raises `GateError` where the simulation does not begin or pass, ends before `end_ns`, leaves a net
        unknown, or toggles nothing.
        """
        period, start, end = (round(time * self._per_ns) for time in (period_ns, start_ns, end_ns))
        return self._run(f"`timescale 1ns/{self._tick}\n{bench}", scope, period, start, end, passed)

    def _run(self, bench: str, scope: str, period: int, start: int, end: int, passed: str) -> Activity:
        dump = self._folder / "activity.vcd"
        dump.unlink(missing_ok=True)
        # Just before the clock's edge, so that the edge's transitions belong to its cycle.
        early = max(1, int(period * HOLD / 2))
        start, end = max(0, start - early), end - early
        if end <= start:
            raise UserError(f"activity must be counted over some time, not from {start} to {end}")
        # The stimulus' own testbench ends after its last check.
        finish = "" if passed or scope == BENCH_SCOPE else "$finish;"
        sources = {
            "bench.v": bench,
            "dump.v": _DUMP.format(
                timescale=self._timescale,
                file=dump.name,
                scope=scope,
                start=start,
                span=end - start,
                finish=finish,
            ),
        }
        for name, text in sources.items():
            (self._folder / name).write_text(text + "\n", encoding="utf-8")
        _call(
            ["iverilog", "-g2005", "-o", "gates.vvp", "-s", "mixpe_dump", *_tops(bench), *sources, "gates.v"],
            self._folder,
        )
        output = _call(["vvp", "-n", "gates.vvp"], self._folder)
        write_file(self._folder / "simulation.log", output)
        where = f"(all of the simulator's output is in {self._folder / 'simulation.log'})"
        if mismatch := re.search(r"^MISMATCH (.*)$", output, re.MULTILINE):
            raise GateError(f"gates of module {self.top} compute wrong results: {mismatch[1]} {where}")
        if passed and not re.search(rf"^{re.escape(passed)}", output, re.MULTILINE):
            last = (output.strip().splitlines() or ["it printed nothing"])[-1]
            raise GateError(f"gate-level simulation of module {self.top} did not pass: {last} {where}")
        if "mixpe: counted" not in output:
            raise GateError(
                f"gate-level simulation of module {self.top} ended before the time to count to {where}"
            )
        counts = count_transitions(dump, start, end)
        dump.unlink()
        return self._activity(counts, (end - start) / period, end - start)

    def _activity(self, counts: Counts, cycles: float, span: int) -> Activity:
        per_net = {
            int(name[1:]): (int(toggles) / cycles, min(1.0, float(high) / span))
            for name, toggles, high in zip(counts.names, counts.transitions, counts.high, strict=True)
        }
        unknown = {int(name[1:]) for name in counts.unknown}
        pins: dict[str, tuple[float, float]] = {}
        for instance in self.gates.instances:
            for pin, bit in instance.pins.items():
                if bit in unknown:
                    raise GateError(
                        f"gate-level simulation of module {self.top}: "
                        f"pin {instance.path}/{pin} is unknown (x)"
                    )
                pins[f"{instance.path}/{pin}"] = _of(bit, per_net)
        ports = {
            _bit_name(name, index, len(bits)): _of(bit, per_net)
            for name, (_, bits) in self.gates.ports.items()
            for index, bit in enumerate(bits)
        }
        clock = {bit for name in ("clk",) if name in self.gates.ports for bit in self.gates.ports[name][1]}
        if not any(toggles for net, (toggles, _) in per_net.items() if net not in clock):
            raise GateError(f"gate-level simulation of module {self.top} toggles nothing but the clock")
        return Activity(pins, ports, cycles)


def _of(bit: Bit, per_net: dict[int, tuple[float, float]]) -> tuple[float, float]:
    return per_net[bit] if isinstance(bit, int) else (0.0, float(bit == "1"))


def _bit_name(port: str, index: int, width: int) -> str:
    return port if width == 1 else f"{port}[{index}]"


_DUMP = """\
{timescale}
module mixpe_dump;
  initial begin
    $dumpfile("{file}");
    #{start} $dumpvars(2, {scope}.nets);
    #{span} $dumpoff;
    $display("mixpe: counted");
    {finish}
  end
endmodule"""


def _tops(bench: str) -> list[str]:
    """Returns options that name the modules of `bench` that no other places, for Icarus to find them."""
    modules = re.findall(r"^\s*module\s+(\w+)", bench, re.MULTILINE)
    placed = {
        name
        for name in modules
        if re.search(rf"^\s*{name}\s+(?:#\s*\(.*?\)\s*)?\w+\s*\(", bench, re.MULTILINE)
    }
    return [option for name in modules if name not in placed for option in ("-s", name)]


def _call(command: list[str], folder: Path) -> str:
    status, output = run_program(command, folder, variables={"TMPDIR": str(folder.resolve())})
    if status:
        first = next((line for line in output.splitlines() if line.strip()), f"exit status {status}")
        raise GateError(f"{command[0]} failed: {first}")
    return output
