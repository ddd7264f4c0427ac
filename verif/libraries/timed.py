"""A Liberty library of a few cells whose delays and energies are plain numbers, for tests."""

import re
from pathlib import Path

from mixpe.synth.liberty import Library, read_library

# Delays in ns, capacitances in pF, energies in pJ, leakage in nW: constants, except BUF's delay, which is
# proportional to its load.
INV, XOR, CLK_TO_Q, SETUP = 0.10, 0.15, 0.30, 0.05
BUF_PER_PF = 10.0
PIN, D_PIN, CLOCK_PIN = 0.001, 0.002, 0.004
INV_ENERGY, CLOCK_ENERGY = 0.5, 0.25
LEAKAGE = 3.0
VOLTS = 2.0

HEAD = f"""\
library (timed) {{
  delay_model : table_lookup;
  time_unit : "1ns";
  capacitive_load_unit (1, pf);
  voltage_unit : "1V";
  current_unit : "1mA";
  leakage_power_unit : "1nW";
  nom_voltage : {VOLTS};
  nom_process : 1;
  nom_temperature : 25;
  operating_conditions (typical) {{ process : 1; voltage : {VOLTS}; temperature : 25; }}
  default_operating_conditions : typical;
  slew_lower_threshold_pct_rise : 20; slew_upper_threshold_pct_rise : 80;
  slew_lower_threshold_pct_fall : 20; slew_upper_threshold_pct_fall : 80;
  input_threshold_pct_rise : 50; output_threshold_pct_rise : 50;
  input_threshold_pct_fall : 50; output_threshold_pct_fall : 50;
  lu_table_template (load) {{ variable_1 : total_output_net_capacitance; index_1 ("0, 1"); }}
"""


def arc(pin: str, delay: float, extra: str = "") -> str:
    tables = "".join(f' {name} (scalar) {{ values ("{delay}"); }}' for name in ("cell_rise", "cell_fall"))
    slews = "".join(
        f' {name} (scalar) {{ values ("0.01"); }}' for name in ("rise_transition", "fall_transition")
    )
    return f'timing () {{ related_pin : "{pin}"; {extra}{tables}{slews} }}'


def energy(value: float, related: str = "") -> str:
    tables = "".join(f' {name} (scalar) {{ values ("{value}"); }}' for name in ("rise_power", "fall_power"))
    return f"internal_power () {{ {related}{tables} }}"


def pin(name: str, capacitance: float = PIN, extra: str = "") -> str:
    return f"pin ({name}) {{ direction : input; capacitance : {capacitance}; {extra} }}\n"


def output(name: str, function: str, extra: str) -> str:
    return f'pin ({name}) {{ direction : output; function : "{function}"; {extra} }}\n'


def cell(name: str, area: float, body: str) -> str:
    return f"cell ({name}) {{ area : {area}; cell_leakage_power : {LEAKAGE};\n{body}}}\n"


BUF_ARC = (
    arc("A", 0)
    .replace('cell_rise (scalar) { values ("0"); }', f'cell_rise (load) {{ values ("0, {BUF_PER_PF}"); }}')
    .replace('cell_fall (scalar) { values ("0"); }', f'cell_fall (load) {{ values ("0, {BUF_PER_PF}"); }}')
)
SETUP_ARC = (
    'timing () { related_pin : "C"; timing_type : setup_rising;'
    + "".join(f' {edge}_constraint (scalar) {{ values ("{SETUP}"); }}' for edge in ("rise", "fall"))
    + " }"
)
LOGIC = (
    cell("INV", 1, pin("A") + output("Y", "!A", arc("A", INV) + energy(INV_ENERGY, 'related_pin : "A";')))
    + cell("BUF", 2, pin("A") + output("Y", "A", BUF_ARC))
    + cell("NAND2", 2, pin("A") + pin("B") + output("Y", "!(A&B)", arc("A", INV) + arc("B", INV)))
    + cell("NOR2", 2, pin("A") + pin("B") + output("Y", "!(A|B)", arc("A", INV) + arc("B", INV)))
    + cell("XOR2", 4, pin("A") + pin("B") + output("Y", "A^B", arc("A", XOR) + arc("B", XOR)))
)
REGISTER = cell(
    "DFF",
    10,
    'ff (IQ, IQN) { clocked_on : "C"; next_state : "D"; }\n'
    + pin("D", D_PIN, SETUP_ARC)
    + pin("C", CLOCK_PIN, "clock : true; " + energy(CLOCK_ENERGY))
    + output("Q", "IQ", arc("C", CLK_TO_Q, "timing_type : rising_edge; ")),
)
TIMED = HEAD + LOGIC + REGISTER + "}\n"

# A clock gate: its delay, what its enable's setup is, and energies of its pins.
GATE_DELAY, GATE_SETUP = 0.75, 0.4
GATE_CLOCK_PIN, GATE_ENABLE_PIN = 0.003, 0.0015
GATE_CLOCK_ENERGY, GATE_ENABLE_ENERGY, GATE_OUTPUT_ENERGY = 0.0625, 0.125, 0.03125


def clock_gate(name: str, area: float, kind: str = "latch_posedge", extra: str = "") -> str:
    """Returns the Liberty text of a clock gate of `kind`; `extra` are attributes, and more pins."""
    setup = SETUP_ARC.replace('"C"', '"CK"').replace(str(SETUP), str(GATE_SETUP))
    through = arc("CK", GATE_DELAY, "timing_sense : positive_unate;")
    through += energy(GATE_OUTPUT_ENERGY, 'related_pin : "CK";')
    clock = "clock : true; clock_gate_clock_pin : true; " + energy(GATE_CLOCK_ENERGY)
    return cell(
        name,
        area,
        f"clock_gating_integrated_cell : {kind};\n{extra}\n"
        'statetable ("CK EN", "held") { table : "L L : - : L, L H : - : H, H - : - : N"; }\n'
        'pin (held) { direction : internal; internal_node : "held"; }\n'
        + pin("EN", GATE_ENABLE_PIN, f"clock_gate_enable_pin : true; {energy(GATE_ENABLE_ENERGY)} {setup}")
        + pin("CK", GATE_CLOCK_PIN, clock)
        + 'pin (GCK) { direction : output; clock_gate_out_pin : true; state_function : "CK * held"; '
        + f"{through} }}\n",
    )


def library_of(folder: Path, text: str) -> Library:
    """Reads the Liberty `text` as library `timed`."""
    source = folder / "timed.lib"
    source.write_text(text)
    return read_library("timed", [source], folder / "liberty")


def tabled(text: str) -> str:
    """Returns the Liberty `text` as ABC reads it: delays are tables of slew and load."""
    grid = (
        "lu_table_template (grid) { variable_1 : input_net_transition; "
        'variable_2 : total_output_net_capacitance; index_1 ("0, 1"); index_2 ("0, 1"); }\n'
    )
    kinds = "cell_rise|cell_fall|rise_transition|fall_transition"
    table = re.compile(rf'({kinds}) \((?:scalar|load)\) {{ values \("([^",]*)[^"]*"\); }}')

    def as_table(found: re.Match[str]) -> str:
        least = float(found[2]) + 0.01
        row = f"{least}, {least + BUF_PER_PF}"
        return f'{found[1]} (grid) {{ values ("{row}", "{row}"); }}'

    return table.sub(as_table, text).replace("lu_table_template", f"{grid}  lu_table_template", 1)
