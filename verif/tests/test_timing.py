"""Static timing: periods known from the library's numbers, on netlists of a few cells; every bad netlist."""

import re
from pathlib import Path

import pytest

from mixpe.spec.errors import UserError
from mixpe.synth.liberty import Library
from mixpe.synth.sta import TimingError, require_sta, run_sta, sta_version
from mixpe.synth.timing import Timing, analyze_timing, flip_flop
from verif.libraries.timed import (
    BUF_PER_PF,
    CLK_TO_Q,
    D_PIN,
    HEAD,
    INV,
    LOGIC,
    PIN,
    REGISTER,
    SETUP,
    TIMED,
    XOR,
    library_of,
)

PIPELINE = """\
module t(clk, a, y, z);
  input clk, a; output y, z;
  wire q, n1, n2, n3, p;
  DFF first(.C(clk), .D(a), .Q(q));
  INV i1(.A(q), .Y(n1)); INV i2(.A(n1), .Y(n2)); INV i3(.A(n2), .Y(n3));
  DFF second(.C(clk), .D(n3), .Q(p));
  INV i4(.A(p), .Y(y));
  INV i5(.A(a), .Y(z));
endmodule
"""


@pytest.fixture
def timed(tmp_path: Path) -> Library:
    return library_of(tmp_path, TIMED)


def time(tmp_path: Path, library: Library, text: str, **options) -> Timing:
    netlist = tmp_path / "netlist.v"
    netlist.write_text(text)
    return analyze_timing(netlist, "t", library, tmp_path, tmp_path / "sta.log", **options)


# Periods


def test_register_to_register(tmp_path: Path, timed: Library) -> None:
    timing = time(tmp_path, timed, PIPELINE)
    assert timing.min_period_ns == pytest.approx(CLK_TO_Q + 3 * INV + SETUP, abs=1e-5)
    assert (timing.start, timing.end) == ("q", "p")


@pytest.mark.parametrize(
    ("body", "expected", "ends"),
    [
        ("INV i(.A(a), .Y(d)); DFF r(.C(clk), .D(d), .Q(y));", CLK_TO_Q, ("y", "y")),
        ("INV i(.A(a), .Y(b)); INV j(.A(b), .Y(y));", 2 * INV, ("a", "y")),
        ("BUF i(.A(a), .Y(y));", D_PIN * BUF_PER_PF, ("a", "y")),
        ("BUF i(.A(a), .Y(d)); INV j(.A(d), .Y(y));", PIN * BUF_PER_PF + INV, ("a", "y")),
        ("DFF r(.C(clk), .D(a), .Q(q)); XOR2 x(.A(q), .B(1'b1), .Y(y));", CLK_TO_Q + XOR, ("q", "y")),
    ],
)
def test_other_paths(
    tmp_path: Path, timed: Library, body: str, expected: float, ends: tuple[str, str]
) -> None:
    """From inputs, to outputs, both; outputs carry the load of a flip-flop."""
    text = f"module t(clk, a, y); input clk, a; output y; wire b, d, q; {body} endmodule"
    timing = time(tmp_path, timed, text)
    assert timing.min_period_ns == pytest.approx(expected, abs=1e-5)
    assert (timing.start, timing.end) == ends


def test_units_of_the_library(tmp_path: Path) -> None:
    """The same library in ps and fF."""

    def scaled(match: re.Match) -> str:
        return f"{match[1]}{', '.join(str(1000 * float(value)) for value in match[2].split(','))}{match[3]}"

    text = re.sub(
        r'((?:cell|constraint|transition|rise|fall)[a-z_]* \(\w+\) \{ values \(")([^"]+)(")', scaled, TIMED
    )
    text = re.sub(r"(capacitance : )([\d.]+)(;)", scaled, text)
    text = (
        text.replace('"1ns"', '"1ps"')
        .replace("(1, pf)", "(1, ff)")
        .replace('index_1 ("0, 1")', 'index_1 ("0, 1000")')
    )
    library = library_of(tmp_path, text)
    assert flip_flop(library).capacitance_pf == pytest.approx(D_PIN)
    assert time(tmp_path, library, PIPELINE).min_period_ns == pytest.approx(0.65, abs=1e-5)
    buffered = "module t(clk, a, y); input clk, a; output y; BUF i(.A(a), .Y(y)); endmodule"
    assert time(tmp_path, library, buffered).min_period_ns == pytest.approx(D_PIN * BUF_PER_PF, abs=1e-5)


def test_constant_endpoints_are_no_paths(tmp_path: Path, timed: Library) -> None:
    text = """module t(clk, a, y, z, k); input clk, a; output y, z, k; wire c;
      assign z = 1'b1;
      NAND2 n(.A(1'b0), .B(1'b1), .Y(c)); DFF r(.C(clk), .D(c), .Q(k));
      INV i(.A(a), .Y(y));
    endmodule"""
    assert time(tmp_path, timed, text).min_period_ns == pytest.approx(CLK_TO_Q, abs=1e-5)


def test_smallest_flip_flop(tmp_path: Path) -> None:
    """Not the smaller one whose data goes through a gate; an inverting one will do."""
    scan = REGISTER.replace("(DFF)", "(SCAN)").replace('"D"', '"D & C"').replace("area : 10", "area : 1")
    inverting = REGISTER.replace("(DFF)", "(DFFN)").replace('"D"', '"!D"').replace("area : 10", "area : 9")
    library = library_of(tmp_path, HEAD + LOGIC + scan + REGISTER + inverting + "}")
    found = flip_flop(library)
    assert (found.cell, found.data, found.clock, found.output) == ("DFFN", "D", "C", "Q")
    with pytest.raises(UserError, match="timed has no positive-edge flip-flop that takes its data straight"):
        flip_flop(library_of(tmp_path, HEAD + LOGIC + scan + "}"))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "NAND2 g(.A(a), .B(q), .Y(p)); NAND2 h(.A(a), .B(p), .Y(q)); assign y = p;",
            r"combinational loop through [gh]/[BY] [gh]/[BY] [gh]/[BY] [gh]/[BY] \(",
        ),
        ("DFF r(.C(a), .D(a), .Q(y));", "register pin r/C gets no clock"),
        ("DFF r(.C(clk), .D(p), .Q(y));", "endpoint r/D is reached by no path"),
        ("INV i(.A(p), .Y(y));", "endpoint y is reached by no path"),
        ("ABSENT u(.A(a), .Y(y));", r"cell ABSENT \(instance u\) is not of library timed"),
        ("assign y = 1'b0;", "no path begins at an input or a register"),
        ("assign y = ;", "syntax error"),
    ],
)
def test_bad_netlist(tmp_path: Path, timed: Library, body: str, message: str) -> None:
    text = f"module t(clk, a, y);\n input clk, a; output y; wire p, q;\n {body}\nendmodule\n"
    with pytest.raises(TimingError, match=message) as error:
        time(tmp_path, timed, text)
    assert "\n" not in str(error.value)
    assert str(tmp_path / "sta.log") in str(error.value)


def test_no_clock_port_and_no_module(tmp_path: Path, timed: Library) -> None:
    gates = "module t(a, y); input a; output y; INV i(.A(a), .Y(y)); endmodule"
    assert time(tmp_path, timed, gates).min_period_ns == pytest.approx(INV, abs=1e-5)
    with pytest.raises(TimingError, match="register pin first/C gets no clock from port clk"):
        time(tmp_path, timed, PIPELINE.replace("clk", "clock"))
    with pytest.raises(TimingError, match=r"t is not a verilog module|module t cannot be linked"):
        time(tmp_path, timed, PIPELINE.replace("module t", "module other"))


def test_missing_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIXPE_STA", "no-such-sta")
    with pytest.raises(UserError, match="MIXPE_STA must name OpenSTA's executable, not 'no-such-sta'"):
        require_sta()
    monkeypatch.delenv("MIXPE_STA")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"OpenSTA \(sta\) is not installed; .*opensta"):
        require_sta()


def test_errors_of_the_tool(tmp_path: Path) -> None:
    """It goes on after an error and ends with status 0."""
    assert re.match(r"\d+\.\d+", sta_version())
    assert "seven" in run_sta("puts seven", tmp_path, tmp_path / "log")
    for script in ("read_liberty absent.lib\nputs on", "nonsense\nputs on", "error {no luck}"):
        with pytest.raises(TimingError, match="OpenSTA failed: ") as error:
            run_sta(script, tmp_path, tmp_path / "log")
        assert "\n" not in str(error.value)
