"""A Liberty library of a few cells whose areas are plain numbers, for tests of synthesis."""

from pathlib import Path

from mixpe.synth.liberty import Library, read_library

# Areas in um2.
INV, BUF, NAND, NOR, XOR, DFF = 1.0, 1.5, 2.0, 2.5, 5.0, 10.25

HEAD = """\
/* A library of few cells; cell (COMMENTED_OUT) { area : 1; } */
library ("few") {
  time_unit : "1ns";
  capacitive_load_unit (1, pf);
  nom_voltage : 1.2;
  nom_temperature : 25;
  comment : "a string with ; and ff () in it";
  operating_conditions (typical) { process : 1; }
"""
PIN = " pin ({0}) {{ direction : input; capacitance : 0.001; }}"


def gate(name: str, area: float, function: str, extra: str = "") -> str:
    """Returns the Liberty text of a cell with output Y = `function` of A and B; `extra` are attributes."""
    inputs = "".join(PIN.format(pin) for pin in "AB" if pin in function)
    output = f' pin (Y) {{ direction : output; function : "{function}"; }}'
    return f"  cell ({name}) {{ area : {area};{extra}{inputs}{output} }}\n"


LOGIC = "".join(
    gate(*cell)
    for cell in (
        ("INV", INV, "!A"),
        ("BUF", BUF, "A"),
        ("NAND2", NAND, "!(A&B)"),
        ("NOR2", NOR, "!(A|B)"),
        ("XOR2", XOR, "A^B"),
    )
)
# An isolation cell is an AND gate to whoever reads only its function.
ISOLATION = gate("ISO", 0.5, "A&B", " is_isolation_cell : true;")
REGISTER = (
    f'  cell (DFF) {{ area : {DFF}; ff (IQ, IQN) {{ clocked_on : "C"; next_state : "D"; }}'
    f"{PIN.format('C')}{PIN.format('D')}"
    ' pin (Q) { direction : output; function : "IQ"; } }\n'
)
LATCH = (
    '  cell (LAT) { area : 6; latch (IQ, IQN) { enable : "G"; data_in : "D"; }'
    f"{PIN.format('G')}{PIN.format('D')}"
    ' pin (Q) { direction : output; function : "IQ"; } }\n'
)
LIBRARY = HEAD + LOGIC + ISOLATION + LATCH + REGISTER + "}\n"


def library_of(folder: Path, *texts: str) -> Library:
    """Reads the Liberty `texts`, written to few0.lib, few1.lib ... in `folder`, as library `few`."""
    sources = [folder / f"few{i}.lib" for i in range(len(texts))]
    for source, text in zip(sources, texts, strict=True):
        source.write_text(text)
    return read_library("few", sources, folder / "liberty")
