"""Static timing of a mapped netlist: the least clock period, and the path that sets it.

Every design is timed under the same terms, those of a block among flip-flops:
- an ideal clock on port `clk`: no skew, no transition time; without that port, on none. It stays ideal behind
  a clock gate, whose delay counts as part of the clock tree; the gate's enable has the gate's own setup time;
- inputs change at the clock edge, driven by the library's smallest flip-flop: its load-dependent delay and
  transition count, its fixed delay does not;
- outputs must settle within the period, each loaded with the data pin of that flip-flop;
- wires as the library's default wire load has them (sky130hd, sg13g2), or none (asap7).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..spec.errors import UserError
from .groups import LibertyText
from .liberty import Library
from .sta import TimingError, run_sta

# The clock period of the analysis, for which slacks are turned into delays. OpenSTA counts in 32-bit
# floats: a long period would blur short paths.
_PERIOD_NS = 10.0

_NEXT = "mixpe: next netlist"


@dataclass(frozen=True)
class FlipFlop:
    """The library's smallest positive-edge flip-flop: data straight from a pin, set and reset allowed.

    `capacitance_pf` is that of the data pin.
    """

    cell: str
    data: str
    clock: str
    output: str
    capacitance_pf: float


@dataclass(frozen=True)
class Timing:
    """Delays in ns.

    min_period_ns: the longest path between registers, inputs and outputs, with the setup time of its end.
    start, end: of that path: an input or output port, a register by the net it drives, or the enable of the
        clock gate of such a register.
    """

    min_period_ns: float
    start: str
    end: str


def analyze_timing(
    netlist: Path,
    top: str,
    library: Library,
    folder: Path,
    log: Path,
    *,
    sdf: Path | None = None,
) -> Timing:
    """Times module `top` of the mapped Verilog file `netlist`, under the terms above.

    `sdf` is written with the delays of every instance (SDF 3.0). `folder` takes temporary files, `log` what
    OpenSTA prints.

    Raises `TimingError` for a cell that is not of the library, a combinational loop, a register without a
    clock, an endpoint that no path from an input or register reaches (unless it is constant), and a
    netlist without paths.
    """
    commands: list[str] = []
    if sdf is not None:
        sdf.unlink(missing_ok=True)
        commands.append(f"write_sdf -digits 6 -no_timestamp {{{sdf.resolve()}}}")
    return _analyze([netlist], top, library, folder, log, commands)[0]


def analyze_timings(
    netlists: Sequence[Path], top: str, library: Library, folder: Path, log: Path
) -> list[Timing]:
    """Times module `top` of each of `netlists` as `analyze_timing` does; the library is read once."""
    return _analyze(netlists, top, library, folder, log, [])


def _analyze(
    netlists: Sequence[Path], top: str, library: Library, folder: Path, log: Path, commands: list[str]
) -> list[Timing]:
    gates = " ".join(cell.name for cell in library.cells.values() if cell.kind == "clock gate")
    script = [*library_commands(library), f"set mixpe_gates {{{gates}}}", _CHECKS]
    for netlist in netlists:
        script += [
            f'puts "{_NEXT}"',
            *netlist_commands(netlist, top),
            *constraint_commands(library, _PERIOD_NS),
            "mixpe_checks; mixpe_worst",
            *commands,
        ]
    texts = run_sta("\n".join(script), folder, log).split(_NEXT)[1:]
    return [_timing(text, top, library, log) for text in texts]


def _timing(text: str, top: str, library: Library, log: Path) -> Timing:
    lines = [line.split("\t") for line in text.splitlines() if "\t" in line]
    _refuse(text, lines, top, library, log)
    worst = next(line for line in lines if line[0] == "worst")
    return Timing(
        min_period_ns=_PERIOD_NS - float(worst[1]) * 1e9,
        start=worst[2],
        end=worst[3],
    )


def library_commands(library: Library) -> list[str]:
    """OpenSTA's commands that read the library."""
    return [f"read_liberty {{{path.resolve()}}}" for path in library.paths]


def netlist_commands(netlist: Path, top: str) -> Iterator[str]:
    """OpenSTA's commands that read a netlist, in place of one before. Units of what follows are ns and pF."""
    yield f"read_verilog {{{netlist.resolve()}}}"
    yield f"if {{![link_design {top}]}} {{error {{module {top} cannot be linked}}}}"
    yield "set_cmd_units -time ns -capacitance pF"


def constraint_commands(library: Library, period_ns: float) -> Iterator[str]:
    """OpenSTA's commands for the terms above, with a clock of `period_ns`."""
    register = flip_flop(library)
    yield _PORTS
    yield f"create_clock -name clk -period {period_ns!r} $mixpe_clocks"
    yield "set_input_delay 0 -clock clk $mixpe_inputs"
    yield f"set_driving_cell -lib_cell {register.cell} -pin {register.output} $mixpe_inputs"
    yield "set_output_delay 0 -clock clk [all_outputs]"
    yield f"set_load {register.capacitance_pf!r} [all_outputs]"


def refuse_black_box(text: str, top: str, library: Library, log: Path) -> None:
    """Raises `TimingError` if OpenSTA, printing `text`, has met a cell that is not of the library."""
    if box := _BLACK_BOX.search(text):
        raise TimingError(
            f"module {top}: cell {box[1]} (instance {box[2]}) is not of library {library.name} "
            f"(all of OpenSTA's output is in {log})"
        )


def _refuse(text: str, lines: list[list[str]], top: str, library: Library, log: Path) -> None:
    found = {line[0]: line[1:] for line in reversed(lines)}
    refuse_black_box(text, top, library, log)
    if loop := _LOOP.search(text):
        pins = [line.strip() for line in loop[1].splitlines() if re.match(r"\s+[^\s|-]", line)]
        reason = f"combinational loop through {' '.join(dict.fromkeys(pins))}"
    elif unclocked := _UNCLOCKED.search(text):
        reason = f"register pin {unclocked[1]} gets no clock from port clk"
    elif "unconstrained" in found:
        reason = f"endpoint {found['unconstrained'][0]} is reached by no path from an input or a register"
    elif "worst" not in found:
        reason = "no path begins at an input or a register and ends at an output or a register"
    else:
        return
    raise TimingError(f"module {top} cannot be timed: {reason} (all of OpenSTA's output is in {log})")


_BLACK_BOX = re.compile(r"module (\S+) not found\.\s+Creating black box for (\S+?)\.\s")
_LOOP = re.compile(r"combinational loops? in the design\.\n(.*?)\n *-----", re.DOTALL)
_UNCLOCKED = re.compile(r"unclocked register/latch pins?\.\n\s+(\S+)")

_PORTS = """\
set mixpe_inputs {}
set mixpe_clocks {}
foreach port [all_inputs] {
  lappend mixpe_[expr {[get_full_name $port] eq "clk" ? "clocks" : "inputs"}] $port
}
"""

# A pin or net is constant if nothing but constants reaches it: then nothing ever arrives there, and there is
# nothing to constrain. What nothing drives is not.
_CHECKS = r"""
proc mixpe_constant {net depth} {
  if {$net eq "NULL" || $depth > 100} { return 0 }
  set net [$net highest_connected_net]
  if {[$net is_ground] || [$net is_power]} { return 1 }
  set drivers [sta::net_driver_pins $net]
  if {![llength $drivers]} { return 0 }
  foreach driver $drivers {
    if {[$driver is_top_level_port]} { return 0 }
    foreach pin [get_pins -of_objects [$driver instance]] {
      if {[$pin is_load] && ![mixpe_constant [$pin net] [expr {$depth + 1}]]} { return 0 }
    }
  }
  return 1
}
proc mixpe_checks {} {
  check_setup -verbose -loops > mixpe_loops.txt
  check_setup -verbose -no_clock > mixpe_clocks.txt
  check_setup -verbose -unconstrained_endpoints > mixpe_endpoints.txt
  foreach name {loops clocks endpoints} {
    set file [open mixpe_$name.txt]
    set text [read $file]
    close $file
    puts $text
  }
  foreach name [lrange [split $text "\n"] 1 end] {
    set name [string trim $name]
    if {$name eq ""} { continue }
    set pin [sta::find_pin $name]
    set net [expr {[$pin is_top_level_port] ? [[$pin term] net] : [$pin net]}]
    if {![mixpe_constant $net 0]} { puts "unconstrained\t$name" }
  }
}

proc mixpe_is_gate {pin} {
  global mixpe_gates
  if {[$pin is_top_level_port]} { return 0 }
  return [expr {[get_property [$pin instance] ref_name] in $mixpe_gates}]
}

# A register's pins say little: it is called by the net it drives, a clock gate by a register behind it.
proc mixpe_place {pin} {
  if {[$pin is_top_level_port]} { return [get_full_name $pin] }
  foreach own [get_pins -of_objects [$pin instance]] {
    if {[$own is_driver] && [$own net] ne "NULL"} {
      if {[mixpe_is_gate $pin]} {
        foreach load [sta::net_load_pins [$own net]] { return "enable of [mixpe_place $load]" }
      }
      return [get_full_name [[$own net] highest_connected_net]]
    }
  }
  return [get_full_name $pin]
}
proc mixpe_worst {} {
  foreach end [find_timing_paths -sort_by_slack] {
    # From the end back to the port or register it begins at, and the clock: the port, or a clock gate.
    set pins [[$end path] pins]
    set first ""
    foreach pin $pins {
      if {[$pin is_top_level_port] && [get_full_name $pin] eq "clk"} { break }
      if {$first ne "" && [mixpe_is_gate $pin]} { break }
      set first $pin
    }
    puts "worst\t[$end slack]\t[mixpe_place $first]\t[mixpe_place [lindex $pins 0]]"
  }
}
"""


# The library's flip-flop


def flip_flop(library: Library) -> FlipFlop:
    """Returns the flip-flop before every input and behind every output. Raises `UserError` for none."""
    texts: dict[str, LibertyText] = {}
    for file in library.files:
        if registers := [cell.name for cell in file.cells if cell.kind == "register" and cell.usable]:
            text = LibertyText(file.path.read_text(encoding="utf-8", errors="replace"))
            texts |= dict.fromkeys(registers, text)
    for name in sorted(texts, key=lambda name: (library.cells[name].area or 0, name)):
        if found := _flip_flop(name, texts[name]):
            return found
    raise UserError(
        f"library {library.name} has no positive-edge flip-flop that takes its data straight from a pin"
    )


def _flip_flop(name: str, text: LibertyText) -> FlipFlop | None:
    cell = text.cell(name)
    ff = next(cell.all("ff"), None)
    if ff is None:
        return None
    data, clock = ff.expression("next_state").lstrip("!"), ff.expression("clocked_on")
    pins = {pin: group for group in cell.all("pin") for pin in group.args}
    outputs = [pin for pin, group in pins.items() if group.expression("function") in ff.args]
    if data not in pins or clock not in pins or not outputs:
        return None
    capacitance = pins[data].get("capacitance")
    if capacitance is None:
        raise UserError(f"cell {name}: pin {data} has no capacitance")
    return FlipFlop(name, data, clock, outputs[0], float(capacitance) * text.units.pf)
