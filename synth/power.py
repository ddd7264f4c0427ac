"""Power of a mapped netlist from its switching activity, under the terms of `synth.timing`.

OpenSTA gives transition times, loads (pins and wire load) and leakage, the library's tables energies:
- switching: C*V^2/2 for every transition of every wire, those of input ports and clock included;
- internal: the energy of every transition of a cell's pin, by the pin's transition time and load. An output
  transition takes the mean over the inputs that cause it, weighted by their transitions; conditions
  (`when`) are weighted by their probability from the pins' shares of time at 1.
The clock pin of a flip-flop behind a clock gate has the transitions of its own, gated clock; the gate itself
has the energy of each edge of the clock, of its enable's transitions and of the pulses that it lets through.
OpenSTA's own `report_power` is not used: version 2.0 adds the energies of rise and fall, and of all inputs
that may cause a transition, where one is due, and finds no power in cells between ports only.
Energy of a clock cycle is power times period.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from .energy_tables import EnergyTables
from .internal_power import Pin, internal_pj
from .liberty import Library
from .sta import TimingError, run_sta
from .timing import constraint_commands, library_commands, netlist_commands, refuse_black_box

# Negative power of single cells, as a share of the total, that is still taken: tables of real libraries give
# some idle cells slightly negative energy.
_NEGATIVE_SHARE = 0.01


class Activity(Protocol):
    """Transitions per clock cycle and share of time at 1, by cell pin "instance/pin" and by bit of a port."""

    @property
    def pins(self) -> Mapping[str, tuple[float, float]]: ...

    @property
    def ports(self) -> Mapping[str, tuple[float, float]]: ...


@dataclass(frozen=True)
class CellPower:
    """Power of one cell instance, in watts: inside it, of the wires it drives, leakage."""

    cell: str
    internal: float
    switching: float
    leakage: float

    @property
    def total(self) -> float:
        return self.internal + self.switching + self.leakage


@dataclass(frozen=True)
class Power:
    """Power in watts, with a clock of `period_ns`.

    instances: by path of cell instances ("/" between names). clock_port: of the wire on port clk, with all
    clock pins. input_ports: of the wires on the other input ports. registers: of the flip-flops, with the
    internal power of their clock pins.
    """

    period_ns: float
    instances: dict[str, CellPower] = field(repr=False)
    clock_port: float
    input_ports: float
    registers: float

    @property
    def internal(self) -> float:
        return sum(power.internal for power in self.instances.values())

    @property
    def switching(self) -> float:
        return sum(power.switching for power in self.instances.values()) + self.clock_port + self.input_ports

    @property
    def leakage(self) -> float:
        return sum(power.leakage for power in self.instances.values())

    @property
    def total(self) -> float:
        return self.internal + self.switching + self.leakage

    @property
    def energy_pj(self) -> float:
        """Returns the energy of a clock cycle, leakage included, in pJ."""
        return self.total * self.period_ns * 1e3


def analyze_power(
    netlist: Path,
    top: str,
    library: Library,
    activity: Activity,
    period_ns: float,
    folder: Path,
    log: Path,
) -> Power:
    """Returns the power of module `top` of the mapped Verilog `netlist`, at the library's voltage.

    `activity` must have every connected pin of every cell and every bit of every input port; `folder` takes
    temporary files, `log` what OpenSTA prints. Raises `TimingError` where activity is missing, for a cell
    that is not of the library, for power that is negative, no number, or zero, and for a library without
    voltage; `UserError` for unreadable power tables.
    """
    script = [
        *library_commands(library),
        *netlist_commands(netlist, top),
        *constraint_commands(library, period_ns),
        _POWER,
    ]
    text = run_sta("\n".join([*script, "mixpe_electrical"]), folder, log)
    refuse_black_box(text, top, library, log)
    volts = next((file.voltage for file in library.files if file.voltage), None)
    if volts is None:
        raise TimingError(f"library {library.name} names no voltage (nom_voltage)")
    design = _Design(EnergyTables(library), activity, volts, period_ns)
    for line in text.splitlines():
        if "\t" in line:
            design.add(line.split("\t"))
    design.close()
    if design.missing:
        raise TimingError(
            f"module {top}: the activity lacks {len(design.missing)} pins, {design.missing[0]} for instance"
        )
    _check(top, design.instances)
    registers = sum(
        power.total for power in design.instances.values() if library.cells[power.cell].kind == "register"
    )
    return Power(period_ns, design.instances, design.clock_port, design.input_ports, registers)


class _Design:
    """Adds up power, instance by instance, from the lines that `mixpe_electrical` prints."""

    def __init__(self, tables: EnergyTables, activity: Activity, volts: float, period_ns: float):
        self._tables, self._activity, self._volts = tables, activity, volts
        self._watts_per_pj = 1e-3 / period_ns
        self.instances: dict[str, CellPower] = {}
        self.missing: list[str] = []
        self.clock_port = self.input_ports = 0.0
        self._path = self._cell = ""
        self._leakage = 0.0
        self._pins: dict[str, Pin] = {}

    def add(self, words: list[str]) -> None:
        kind, name = words[:2]
        if kind == "instance":
            self.close()
            self._path, self._cell, self._leakage, self._pins = name, words[2], float(words[3]), {}
        elif kind == "pin":
            load = float(words[3]) * 1e12 if len(words) > 3 else None
            # The clock is ideal at every flip-flop, behind a clock gate too.
            slew = 0.0 if name == self._tables[self._cell].clock else float(words[2]) * 1e9
            self._pins[name] = Pin(slew, load)
        elif name == "clk":
            self.clock_port += self._switching(2.0, float(words[2]) * 1e12)
        elif name not in self._activity.ports:
            self.missing.append(name)
        else:
            toggles = self._activity.ports[name][0]
            self.input_ports += self._switching(toggles, float(words[2]) * 1e12)

    def _switching(self, toggles: float, load: float) -> float:
        return toggles / 2 * load * self._volts**2 * self._watts_per_pj

    def close(self) -> None:
        """Ends the instance whose pins have been added."""
        if not self._path:
            return
        known = {pin: self._activity.pins.get(f"{self._path}/{pin}") for pin in self._pins}
        self.missing += [f"{self._path}/{pin}" for pin, values in known.items() if values is None]
        values = {pin: found for pin, found in known.items() if found is not None}
        switching = sum(
            self._switching(values[pin][0], own.load)
            for pin, own in self._pins.items()
            if own.load is not None and pin in values
        )
        internal = internal_pj(self._tables[self._cell], self._pins, values) * self._watts_per_pj
        self.instances[self._path] = CellPower(self._cell, internal, switching, self._leakage)
        self._path = ""


def _check(top: str, instances: dict[str, CellPower]) -> None:
    for path, power in instances.items():
        if not math.isfinite(power.total):
            raise TimingError(f"module {top}: power of instance {path} ({power.cell}) is no number")
    total = sum(power.total for power in instances.values())
    negative = {path: power.total for path, power in instances.items() if power.total < 0}
    if -sum(negative.values()) > _NEGATIVE_SHARE * max(total, 0):
        path = min(negative, key=lambda path: negative[path])
        raise TimingError(
            f"module {top}: power of instance {path} ({instances[path].cell}) is negative: "
            f"{negative[path]:g} W"
        )
    if not total > 0:
        raise TimingError(f"module {top}: power is zero")


_POWER = r"""
proc mixpe_plain {object} { return [string map {\\ ""} [get_full_name $object]] }
proc mixpe_capacitance {net corner} {
  return [expr {([$net capacitance rise $corner max] + [$net capacitance fall $corner max]) / 2}]
}
proc mixpe_electrical {} {
  set corner [sta::cmd_corner]
  foreach instance [sta::network_leaf_instances] {
    set leakage [lindex [sta::instance_power $instance $corner] 2]
    puts "instance\t[mixpe_plain $instance]\t[get_property $instance ref_name]\t$leakage"
    foreach pin [get_pins -of_objects $instance] {
      if {[$pin net] eq "NULL"} { continue }
      set slew 0
      foreach vertex [$pin vertices] {
        set slew [expr {([$vertex slew rise max] + [$vertex slew fall max]) / 2}]
      }
      set line "pin\t[$pin port_name]\t$slew"
      if {[$pin is_driver]} { append line "\t[mixpe_capacitance [$pin net] $corner]" }
      puts $line
    }
  }
  foreach port [all_inputs] {
    puts "port\t[mixpe_plain $port]\t[mixpe_capacitance [sta::find_net [get_full_name $port]] $corner]"
  }
}
"""
