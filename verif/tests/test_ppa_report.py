"""The report of area, delay and energy: every ratio recomputed by hand, and its tables."""

import csv
import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from mixpe.ppa.report import claims, points
from mixpe.ppa.report.conditions import conditions
from mixpe.ppa.report.markdown import markdown
from mixpe.ppa.report.paper import csv_table, latex_table
from mixpe.ppa.report.points import LEAST_AREA, LEAST_PRODUCT, SHORTEST_PERIOD, OperatingPoint
from mixpe.ppa.report.readme import block
from mixpe.ppa.report.table import BEST_INT8, PLAIN_INT8, View
from mixpe.ppa.report.terminal import summary
from mixpe.ppa.report.text import number
from mixpe.spec.array import Config
from mixpe.spec.errors import UserError
from mixpe.synth.clock_gates import LEAST
from mixpe.synth.mapping import Way
from verif.samples.records import RECORDS, record, section

VIEW = View(baseline="int8_mul")


def test_operating_points():
    heap = RECORDS[4:6]
    assert points.cost(RECORDS[0]) == 12000.0
    assert LEAST_AREA.choose(heap) is heap[0]
    assert SHORTEST_PERIOD.choose(heap) is heap[1]
    assert LEAST_PRODUCT.choose(heap) is heap[0]
    assert OperatingPoint.parse("7").choose(heap) is heap[1]
    assert OperatingPoint.parse("6.99").choose(heap) is None
    for name, point in (("area", LEAST_AREA), ("period", SHORTEST_PERIOD), ("product", LEAST_PRODUCT)):
        assert OperatingPoint.parse(name) == point
    assert points.DEFAULT.label == "least area x delay x energy"
    assert OperatingPoint.parse("8").label == "least area at a period of 8.00 ns"


@pytest.mark.parametrize("text", ["fast", "0", "-1", "nan", "inf", ""])
def test_operating_points_that_are_none(text):
    with pytest.raises(
        UserError, match=rf"--point must be product, area, period, or a period in ns above 0, not '{text}'"
    ):
        OperatingPoint.parse(text)


def test_efficiencies():
    """100 um2 that make a MAC every 2 ns: 5e6 MAC/s/um2. 0.5 pJ: 2e12 MAC/J."""
    one = record("w4a8_heap", 400.0, 2.0, 0.5, macs=4)
    assert claims.area_efficiency(one, 2.0) == 5e6
    assert claims.power_efficiency(one) == 2e12


def test_roles_come_from_the_configuration():
    one = record("w4a8_heap", 1.0, 1.0, 1.0)
    assert claims.is_w4a8(one)
    assert not claims.is_w4a8(replace(one, role="baseline"))
    assert not claims.is_w4a8(record("w4a8_heap", 1.0, 1.0, 1.0, kind="array"))
    assert not claims.is_w4a8(record("w4a8_heap", 1.0, 1.0, 1.0, element="outside"))
    other = record("int8_heap", 1.0, 1.0, 1.0)
    assert claims.is_hard_baseline(other)
    assert not claims.is_multiplier(other)
    multiplier = record("int8_mul", 1.0, 1.0, 1.0)
    assert claims.is_multiplier(multiplier)
    assert not claims.is_hard_baseline(multiplier)
    wide = Config(weight_bits=8, act_bits=16, datapath="bit_heap")
    assert not claims.is_hard_baseline(record("int8_heap", 1.0, 1.0, 1.0, config=wide))


def test_comparisons():
    """Each at its best: W4A8 4800 (480 x 10 x 1), INT8 9000 (900 x 10 x 1) and `*` 12000 (1000 x 8 x 1.5).

    At the `*` PE's 8 ns, the first point of each is too slow: area x energy is 700 x 1 against 1600 x 1 and
    1000 x 1.5.
    """
    found = [
        (c.period_ns, c.ours.target_ns, c.theirs.design, c.area_ratio, c.power_ratio, c.ratio)
        for c in claims.comparisons(RECORDS)
    ]
    assert found == [
        (None, None, "int8_heap", pytest.approx(9000 / 4800), 1.0, pytest.approx(1.875)),
        (8.0, 7.0, "int8_heap", pytest.approx(1600 / 700), 1.0, pytest.approx(16 / 7)),
        (None, None, "int8_mul", pytest.approx(8000 / 4800), pytest.approx(1.5), pytest.approx(2.5)),
        (8.0, 7.0, "int8_mul", pytest.approx(1000 / 700), pytest.approx(1.5), pytest.approx(15 / 7)),
    ]


def test_comparisons_of_w4a16():
    """Aligned 400 x 5 x 2, FP16 sums 900 x 20 x 4; FP16 800 x 40 x 8, or dequantized first 1000 x 40 x 8."""
    fp_mac = {"act_format": "fp16", "fp_scheme": "fp_mac"}

    def fp16(design, area, period, energy, element="pe", **how):
        role = "mixpe" if element == "pe" else "baseline"
        return record(design, area, period, energy, element=element, config=Config(**how), role=role)

    records = [
        fp16("aligned", 400.0, 5.0, 2.0, act_format="fp16", align_bits=13),
        fp16("wider", 100.0, 5.0, 2.0, act_format="fp16", align_bits=16),
        fp16("fp_mac", 900.0, 20.0, 4.0, **fp_mac),
        fp16("mac", 800.0, 40.0, 8.0, element="float_mac", **fp_mac),
        fp16("first", 1000.0, 40.0, 8.0, element="dequantize_first_float", **fp_mac),
    ]
    found = [
        (c.ours.design, c.theirs.design, c.period_ns, round(c.ratio, 6)) for c in claims.comparisons(records)
    ]
    assert found == [
        ("aligned", "mac", None, 64.0),
        ("aligned", "mac", 40.0, 8.0),
        ("aligned", "first", None, 80.0),
        ("aligned", "first", 40.0, 10.0),
        ("fp_mac", "mac", None, round(32 / 9, 6)),
        ("fp_mac", "mac", 40.0, round(16 / 9, 6)),
        ("fp_mac", "first", None, round(40 / 9, 6)),
        ("fp_mac", "first", 40.0, round(20 / 9, 6)),
    ]


def test_comparisons_without_opponents():
    assert claims.comparisons([r for r in RECORDS if r.role == "mixpe"]) == []
    assert claims.comparisons([r for r in RECORDS if r.role == "baseline"]) == []
    # No point of ours is fast enough for the common period.
    slow = [r for r in RECORDS if r.target_ns != 7.0]
    assert {c.period_ns for c in claims.comparisons(slow)} == {None}


def test_ratios():
    """480 um2, 10 ns and 1 pJ over 1000 um2, 8 ns and 1.5 pJ."""
    rows = {row.first.design: row for row in VIEW.rows(RECORDS)}
    assert rows["w4a8_heap"].ratios == pytest.approx((0.48, 1.25, 1 / 1.5, 0.4))
    assert rows["int8_mul"].ratios == (1.0, 1.0, 1.0, 1.0)
    # At 7 ns the baseline is at 1500 um2, 5 ns and 2 pJ; four lanes and the INT8 heap are too slow.
    fast = View(OperatingPoint.parse("7"), "int8_mul")
    rows = {row.first.design: row for row in fast.rows(RECORDS)}
    assert rows["w4a8_heap"].ratios == pytest.approx((700 / 1500, 1.4, 0.5, 700 / 1500 * 1.4 * 0.5))
    assert rows["w4a8_heap_4"].point is None
    assert rows["w4a8_heap_4"].ratios is None


def test_the_best_int8_is_the_usual_baseline():
    best, plain = record(BEST_INT8, 1.0, 1.0, 1.0), record(PLAIN_INT8, 2.0, 1.0, 1.0)
    ours = record("w4a8_heap", 1.0, 1.0, 1.0)
    assert View().base([plain, best, ours]) is best
    assert View().warnings([plain, best, ours], "lib7") == []
    assert View().base([plain, ours]) is plain
    (weaker,) = View().warnings([plain, ours], "lib7")
    assert weaker == (
        f"ratios with lib7 are to {PLAIN_INT8}, a weaker baseline: the best INT8 PE, {BEST_INT8}, was not "
        f"measured (add --design {BEST_INT8}, or give --baseline)"
    )
    assert View().base([ours]) is None
    assert View().warnings([ours], "lib7")[0].startswith("no ratios to INT8 with lib7: the best INT8 PE, ")
    assert View(baseline="w4a8_heap").warnings([plain, ours], "lib7") == []
    assert View(baseline="w4a8_heap").warnings([plain], "lib7") == [
        "no ratios with lib7: the baseline w4a8_heap was not measured"
    ]
    slow = View(OperatingPoint.parse("0.5"), "w4a8_heap")
    assert slow.warnings([ours], "lib7") == [
        "no ratios with lib7: the baseline w4a8_heap has no point that fast"
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0.0"),
        (32, "32"),
        (1234567.8, "1,234,568"),
        (123.46, "123.5"),
        (7.7, "7.70"),
        (0.0123456, "0.0123"),
    ],
)
def test_number(value, text):
    assert number(value) == text


def test_markdown_conditions():
    text = markdown(RECORDS)
    assert section(text, "# Area, delay and energy")[1] == [
        "sky130hd",
        "tt_025C, 1.8 V, 25 °C",
        "`sky.lib.gz`",
    ]
    assert "- Tools: mixpe 0.1.0, yosys 0.70, opensta 2.0.17.\n" in text
    assert "- Operands: stories260K, layer 2.\n" in text
    assert "- Clock: ideal; energy at a clock of 10.00 ns.\n" in text
    assert "- Recipe: of each point, the best of several mappings, named in ppa.json.\n" in text
    assert "- Not counted: a clock tree, routing" in text
    assert "wire load" in text


def test_conditions_that_differ():
    other = record("w4a8_heap", 1.0, 1.0, 1.0, clock_ns=5.0, operands="random")
    facts = dict(conditions([*RECORDS, other]))
    assert facts["Clock"] == "ideal; energy at clocks of 5.00 to 10.00 ns, listed in ppa.json"
    assert facts["Operands"] == "stories260K, layer 2 (and 1 alike, in ppa.json)"


def test_conditions_name_clock_gates():
    """The cell of each library, a library that has none, and that they were not asked for."""
    without = record("w4a8_heap", 1.0, 1.0, 1.0, library="lib7", clock_gate="")
    used = f"ICG (sky130hd), for {LEAST} registers with one enable or more"
    assert dict(conditions(RECORDS))["Clock gates"] == used
    text = f"{used}; none in lib7, where enables are multiplexers"
    assert dict(conditions([*RECORDS, without]))["Clock gates"] == text
    off = replace(without, recipe=Way("area", clock_gates=False))
    assert dict(conditions([off]))["Clock gates"] == "none, enables are multiplexers"


def test_markdown_points():
    text = markdown(RECORDS)
    least = section(text, "### PEs, whole: least area\n")
    areas = ["480.0", "240.0", "60.00", "120.0", "60.00"]
    assert least[3] == ["`w4a8_heap`", "area", *areas, "10.00", "1.00", "0.0200"]
    assert section(text, "### PEs, whole: shortest period\n")[3][:3] == ["`w4a8_heap`", "7.00", "700.0"]
    product = section(text, "### PEs, whole: least area x delay x energy\n")
    assert [row[:2] for row in product[1:]] == [
        ["`int8_mul`", "area"],
        ["`int8_heap`", "area"],
        ["`w4a8_heap`", "area"],
        ["`w4a8_heap_4`", "area"],
    ]


def test_markdown_ratios():
    """At no more than 8 ns: 1600, 700 of 1000 um2; 1 of 1.5 pJ; four lanes need 16 ns."""
    text = markdown(RECORDS, view=VIEW)
    same = "### PEs per MAC: least area at a period of 8.00 ns; ratios to int8_mul\n"
    assert [row[:3] + row[4:] for row in section(text, same)[1:]] == [
        ["`int8_mul`", "1,000", "8.00", "1.00x", "1.00x", "1.00x", "1.00x"],
        ["`int8_heap`", "1,600", "8.00", "1.60x", "1.00x", "0.67x", "1.07x"],
        ["`w4a8_heap`", "700.0", "7.00", "0.70x", "0.88x", "0.67x", "0.41x"],
        ["`w4a8_heap_4`", "too slow", "-", "-", "-", "-", "-"],
    ]
    own = "### PEs per MAC: least area x delay x energy; ratios to int8_mul\n"
    assert section(text, own)[3][1:] == ["480.0", "10.00", "1.00", "0.48x", "1.25x", "0.67x", "0.40x"]
    rows = section(text, "### W4A8: area efficiency x power efficiency")[1:]
    assert [row[-3:] for row in rows] == [
        ["1.88x", "1.00x", "1.88x"],
        ["2.29x", "1.00x", "2.29x"],
        ["1.67x", "1.50x", "2.50x"],
        ["1.43x", "1.50x", "2.14x"],
    ]
    assert "arXiv 2411.16158) claims 2.29x." in text


def test_every_form_shows_the_same_point():
    """480 um2 at 10 ns is the least area and the least product; 700 um2 at 7 ns the shortest period."""
    fastest = View(SHORTEST_PERIOD, "int8_mul")
    for view, figures in ((View(), ("480.0", "10.00")), (fastest, ("700.0", "7.00"))):
        markdown_text = markdown(RECORDS, view=view)
        assert f"### PEs per MAC: {view.point.label};" in markdown_text
        console = Console(width=150, file=io.StringIO())
        console.print(summary(RECORDS, view))
        shown = console.file.getvalue()
        assert view.point.label in " ".join(shown.split())
        readme = block(RECORDS, view)
        assert f"each design at its point of {view.point.label} (" in readme
        paper = latex_table(RECORDS, view)
        assert f"at its point of {view.point.label}" in paper
        for text, first in (
            (markdown_text.split("### PEs per MAC")[1], r"`w4a8_heap` \|"),
            (shown, "w4a8_heap "),
            (readme, r"w4a8_heap, titled \|"),
            (paper, r"w4a8\\_heap, titled &"),
        ):
            assert re.search(rf"{first} +{figures[0]} +[|&]? *{figures[1]}", text), text
        (row,) = [row for row in _rows(csv_table(RECORDS, view)) if row["design"] == "w4a8_heap"]
        assert (float(row["area_per_mac_um2"]), float(row["min_period_ns"])) == tuple(map(float, figures))
        assert row["operating_point"] == view.point.label


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv():
    """A figure or an empty cell in every column, as spreadsheets read them."""
    rows = _rows(csv_table(RECORDS, View(OperatingPoint.parse("8"), "int8_mul")))
    assert [row["design"] for row in rows] == ["int8_mul", "int8_heap", "w4a8_heap", "w4a8_heap_4"]
    assert rows[2] == {
        "design": "w4a8_heap",
        "title": "w4a8_heap, titled",
        "kind": "pe",
        "role": "mixpe",
        "library": "sky130hd",
        "operating_point": "least area at a period of 8.00 ns",
        "macs_per_cycle": "1",
        "area_per_mac_um2": "700.0",
        "min_period_ns": "7.0",
        "energy_pj_per_mac": "1.0",
        "leakage_uw": "0.02",
        "target_ns": "7.0",
        "clock_ns": "10.0",
        "baseline": "int8_mul",
        "area_ratio": "0.7",
        "period_ratio": "0.875",
        "energy_ratio": "0.666667",
        "product_ratio": "0.408333",
    }
    assert rows[3]["area_per_mac_um2"] == rows[3]["product_ratio"] == ""


def test_latex():
    """A gain is the baseline's product over the design's: 12000 / 4800 and 12000 / 6400."""
    special = record("w4a8_other", 1.0, 1.0, 1.0, title="a `*` & 50% of #1_b\\", library="sg13g2")
    text = latex_table([*RECORDS, special], VIEW)
    assert r"w4a8\_heap, titled & 480.0 & 10.00 & 1.00 & 2.50 & - & - & - & - \\" in text
    assert r"w4a8\_heap\_4, titled & 400.0 & 16.00 & 1.00 & 1.88 &" in text
    assert r"a * \& 50\% of \#1\_b\textbackslash{} & - & - & - & - & 1.00 & 1.00 & 1.00 & - \\" in text
    assert r" & \multicolumn{4}{c}{sky130hd} & \multicolumn{4}{c}{sg13g2} \\" in text
    assert r"\begin{tabular}{lrrrrrrrr}" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
    without = latex_table([special])
    assert r"\begin{tabular}{lrrr}" in without


def test_markdown_full_adders():
    assert section(markdown(RECORDS), "## Full adders")[1:] == [
        ["`int8_heap`", "32", "31"],
        ["`w4a8_heap`", "32", "31"],
        ["`w4a8_heap_4`", "32", "31"],
    ]
    assert "## Full adders" not in markdown(RECORDS[:2])


def test_markdown_arrays():
    parts = {"PEs": 1.5, "clock": 0.5}
    array = record("w4a8_4x4", 16000.0, 10.0, 2.0, macs=16, kind="array", energy_breakdown_pj=parts)
    text = markdown([array])
    assert section(text, "### Arrays per MAC: least area x delay x energy; no ratios\n")[1] == [
        *("`w4a8_4x4`", "1,000", "10.00", "2.00", "-", "-", "-", "-")
    ]
    assert section(text, "### Arrays, whole: least area\n")[1][:3] == ["`w4a8_4x4`", "area", "16,000"]
    assert section(text, "### Parts of `w4a8_4x4`: least area x delay x energy\n")[1:] == [
        ["PEs", "12,000", "75%", "750.0", "1.50", "75%"],
        ["dequantizer", "4,000", "25%", "250.0", "-", "-"],
        ["clock", "-", "-", "-", "0.500", "25%"],
    ]
    assert "### PEs" not in text


def test_warnings_are_shown(capsys):
    alone = [record("w4a8_heap", 480.0, 10.0, 1.0)]
    warning = f"no ratios to INT8 with sky130hd: the best INT8 PE, {BEST_INT8}, was not measured"
    assert warning in markdown(alone)
    Console(width=200).print(summary(alone))
    assert f"warning: {warning}" in capsys.readouterr().out


def test_summary(capsys):
    Console(width=150).print(summary(RECORDS, VIEW))
    out = capsys.readouterr().out
    flat = " ".join(out.split())
    assert (
        "sky130hd (tt_025C, 1.8 V, 25 °C), per MAC: least area x delay x energy; ratios to int8_mul" in flat
    )
    lines = [line.split() for line in out.splitlines()]
    assert ["w4a8_heap", "480.0", "10.00", "1.00", "0.48x", "1.25x", "0.67x", "0.40x"] in lines
    assert ["w4a8_heap_4", "400.0", "16.00", "1.00", "0.40x", "2.00x", "0.67x", "0.53x"] in lines
    own = "each at its least area x delay x energy"
    assert f"own datapaths, {own}: 1.88x (w4a8_heap over int8_heap; paper 2.29x)" in flat
    common = "each at its least area x energy, at the `*` PE's period (8.00 ns)"
    assert f"Yosys's `*`, {common}: 2.14x (w4a8_heap over int8_mul; paper 2.29x)" in flat
