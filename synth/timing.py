"""Static timing of a mapped netlist: the least clock period, and the longest path through every cell.

Every design is timed under the same terms, those of a block among flip-flops:
- an ideal clock on port `clk`: no skew, no transition time; without that port, on none;
- inputs change at the clock edge, driven by the library's smallest flip-flop: its load-dependent delay and
  transition count, its fixed delay does not;
- outputs must settle within the period, each loaded with the data pin of that flip-flop;
- wires as the library's default wire load has them (sky130hd, sg13g2), or none (asap7).
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..hw.errors import UserError
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
    start, end: of that path: an input or output port, or a register by the net it drives.
    cells: the path's cells as (instance, cell), in order.
    through_ns: of instances asked for, the longest path through any of their outputs; none where only
        constants pass.
    """

    min_period_ns: float
    start: str
    end: str
    cells: tuple[tuple[str, str], ...] = ()
    through_ns: dict[str, float] = field(default_factory=dict, repr=False)


def analyze_timing(
    netlist: Path,
    top: str,
    library: Library,
    folder: Path,
    log: Path,
    *,
    sdf: Path | None = None,
    through: Collection[str] = (),
) -> Timing:
    """Times module `top` of the mapped Verilog file `netlist`, under the terms above.

    `through` names cells of the library whose instances `Timing.through_ns` is to have. `sdf` is written
    with the delays of every instance (SDF 3.0). `folder` takes temporary files, `log` what OpenSTA prints.

    Raises `TimingError` for a cell that is not of the library, a combinational loop, a register without a
    clock, an endpoint that no path from an input or register reaches (unless it is constant), and a
    netlist without paths.
    """
    commands = [f"mixpe_through {{{' '.join(sorted(through))}}}"]
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
    script = [*library_commands(library), _CHECKS]
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
        cells=tuple((line[1], line[2]) for line in lines if line[0] == "step"),
        through_ns={line[1]: _PERIOD_NS - float(line[2]) * 1e9 for line in lines if line[0] == "through"},
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

# A register's pins say little: it is called by the net it drives.
proc mixpe_place {pin} {
  if {[$pin is_top_level_port]} { return [get_full_name $pin] }
  foreach own [get_pins -of_objects [$pin instance]] {
    if {[$own is_driver] && [$own net] ne "NULL"} {
      return [get_full_name [[$own net] highest_connected_net]]
    }
  }
  return [get_full_name $pin]
}
proc mixpe_worst {} {
  foreach end [find_timing_paths -sort_by_slack] {
    # From the end back to the port or register it begins at, and the clock.
    set pins [[$end path] pins]
    set steps {}
    set first ""
    foreach pin $pins {
      if {[$pin is_top_level_port] && [get_full_name $pin] eq "clk"} { break }
      set first $pin
      if {![$pin is_top_level_port] && [$pin is_driver]} {
        set instance [$pin instance]
        set steps [linsert $steps 0 "step\t[get_full_name $instance]\t[get_property $instance ref_name]"]
      }
    }
    puts "worst\t[$end slack]\t[mixpe_place $first]\t[mixpe_place [lindex $pins 0]]"
    foreach step $steps { puts $step }
  }
}
proc mixpe_through {cells} {
  if {![llength $cells]} { return }
  foreach instance [sta::network_leaf_instances] {
    if {[get_property $instance ref_name] ni $cells} { continue }
    set worst ""
    foreach pin [get_pins -of_objects $instance] {
      if {![$pin is_driver]} { continue }
      foreach vertex [$pin vertices] {
        # Least and largest; 1e30 where nothing passes.
        foreach edge {rise fall} {
          set slack [lindex [$vertex slacks $edge] 1]
          if {$slack < 1e29 && ($worst eq "" || $slack < $worst)} { set worst $slack }
        }
      }
    }
    if {$worst ne ""} { puts "through\t[get_full_name $instance]\t$worst" }
  }
}
"""


# The library's flip-flop

_CAPACITY = re.compile(r'capacitive_load_unit\s*\(\s*"?([\d.eE+-]+)"?\s*,\s*"?(\w+)"?\s*\)')
_PICOFARADS = {"ff": 1e-3, "pf": 1.0}
_FF = re.compile(r"\bff\s*\(\s*\"?(\w+)\"?\s*,\s*\"?(\w+)\"?\s*\)\s*\{([^{}]*)\}")
_PIN = re.compile(r'\bpin\s*\(\s*"?(\w+)"?\s*\)\s*\{')


def flip_flop(library: Library) -> FlipFlop:
    """The flip-flop that stands before every input and behind every output. Raises `UserError` for none."""
    texts: dict[str, str] = {}
    for file in library.files:
        if registers := [cell.name for cell in file.cells if cell.kind == "register" and cell.usable]:
            texts |= dict.fromkeys(registers, file.path.read_text(encoding="utf-8", errors="replace"))
    for name in sorted(texts, key=lambda name: (library.cells[name].area or 0, name)):
        if found := _flip_flop(name, texts[name]):
            return found
    raise UserError(
        f"library {library.name} has no positive-edge flip-flop that takes its data straight from a pin"
    )


def _flip_flop(name: str, text: str) -> FlipFlop | None:
    start = next(
        match
        for match in re.finditer(rf'\(\s*"?{re.escape(name)}"?\s*\)\s*\{{', text)
        if text[: match.start()].rstrip().endswith("cell")
    )
    body = _group(text, start.end())
    if not (ff := _FF.search(body)):
        return None
    state, inverse = ff[1], ff[2]
    data, clock = (_attribute(ff[3], "next_state") or "").lstrip("!"), _attribute(ff[3], "clocked_on") or ""
    pins = {match[1]: _group(body, match.end()) for match in _PIN.finditer(body)}
    outputs = [pin for pin, own in pins.items() if _attribute(own, "function") in (state, inverse)]
    if data not in pins or clock not in pins or not outputs:
        return None
    unit = _CAPACITY.search(text)
    if unit is None or unit[2].lower() not in _PICOFARADS:
        raise UserError(f"library of cell {name}: capacitive_load_unit must be in ff or pf")
    capacitance = _attribute(pins[data], "capacitance")
    if capacitance is None:
        raise UserError(f"cell {name}: pin {data} has no capacitance")
    return FlipFlop(
        name, data, clock, outputs[0], float(capacitance) * float(unit[1]) * _PICOFARADS[unit[2].lower()]
    )


def _group(text: str, start: int) -> str:
    """The text from `start` to the brace that closes what was opened before it."""
    depth = 1
    for brace in re.finditer(r"[{}]", text[start:]):
        depth += 1 if brace[0] == "{" else -1
        if not depth:
            return text[start : start + brace.start()]
    return text[start:]


def _attribute(body: str, name: str) -> str | None:
    """The value of a simple attribute, without parentheses around it."""
    match = re.search(rf'\b{name}\s*:\s*"?\(?\s*([^";()]+?)\s*\)?"?\s*;', body)
    return match[1] if match else None
