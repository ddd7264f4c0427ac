"""The report of area, delay and energy: every ratio recomputed by hand, and its tables."""

import json

import pytest
from rich.console import Console

from mixpe.ppa.report import points
from mixpe.ppa.report.markdown import conditions, markdown, number, to_json
from mixpe.ppa.report.summary import summary
from verif.samples.records import RECORDS, record, section


def test_points():
    heap = RECORDS[4:6]
    assert points.cost(RECORDS[0]) == 12000.0
    assert points.smallest(heap) is heap[0]
    assert points.fastest(heap) is heap[1]
    assert points.best(heap) is heap[0]
    assert points.within(heap, 7.0) == [heap[1]]
    assert points.within(heap, 6.99) == []
    assert points.best([record("a", 1.0, 1.0, None)]) is None


def test_efficiencies():
    """100 um2 that make a MAC every 2 ns: 5e6 MAC/s/um2. 0.5 pJ: 2e12 MAC/J."""
    one = record("w4a8_heap", 400.0, 2.0, 0.5, macs=4)
    assert points.area_efficiency(one, 2.0) == 5e6
    assert points.power_efficiency(one) == 2e12


def test_roles_come_from_the_configuration():
    one = record("w4a8_heap", 1.0, 1.0, 1.0)
    assert points.is_w4a8(one)
    assert not points.is_w4a8(one | {"role": "baseline"})
    assert not points.is_w4a8(one | {"kind": "array"})
    assert not points.is_w4a8(one | {"configuration": {}})
    other = record("int8_heap", 1.0, 1.0, 1.0)
    assert points.is_hard_baseline(other)
    assert not points.is_multiplier(other)
    multiplier = other["configuration"] | {"datapath": "multiplier"}
    assert points.is_multiplier(other | {"configuration": multiplier})
    assert not points.is_hard_baseline(other | {"configuration": multiplier})
    assert not points.is_hard_baseline(other | {"configuration": multiplier | {"act_bits": 16}})


def test_baseline_has_one_lane():
    four = record("int8_mul_4", 3000.0, 8.0, 1.0, macs=4)
    assert points.baseline([four, *RECORDS]) is RECORDS[0]
    assert points.baseline([four]) is None


def test_comparisons():
    """Each at its best: W4A8 4800 (480 x 10 x 1), INT8 9000 (900 x 10 x 1) and `*` 12000 (1000 x 8 x 1.5).

    At the `*` PE's 8 ns, the first point of each is too slow: area x energy is 700 x 1 against 1600 x 1 and
    1000 x 1.5.
    """
    found = [
        (c.period_ns, c.ours["target_ns"], c.theirs["design"], c.area_ratio, c.power_ratio, c.ratio)
        for c in points.comparisons(RECORDS)
    ]
    assert found == [
        (None, None, "int8_heap", pytest.approx(9000 / 4800), 1.0, pytest.approx(1.875)),
        (8.0, 7.0, "int8_heap", pytest.approx(1600 / 700), 1.0, pytest.approx(16 / 7)),
        (None, None, "int8_mul", pytest.approx(8000 / 4800), pytest.approx(1.5), pytest.approx(2.5)),
        (8.0, 7.0, "int8_mul", pytest.approx(1000 / 700), pytest.approx(1.5), pytest.approx(15 / 7)),
    ]


def test_comparisons_of_w4a16():
    """Aligned 400 x 5 x 2, FP16 sums 900 x 20 x 4; FP16 800 x 40 x 8, or dequantized first 1000 x 40 x 8."""

    def fp16(design, area, period, energy, element="pe", **how):
        configuration = {"weight_bits": 4, "act_format": "fp16", "lanes": 1, "element": element, **how}
        role = "mixpe" if element == "pe" else "baseline"
        return record(design, area, period, energy, configuration=configuration, role=role)

    records = [
        fp16("aligned", 400.0, 5.0, 2.0, fp_scheme="aligned", align_bits=13),
        fp16("wider", 100.0, 5.0, 2.0, fp_scheme="aligned", align_bits=16),
        fp16("fp_mac", 900.0, 20.0, 4.0, fp_scheme="fp_mac"),
        fp16("mac", 800.0, 40.0, 8.0, element="float_mac"),
        fp16("first", 1000.0, 40.0, 8.0, element="dequantize_first_float"),
    ]
    found = [
        (c.ours["design"], c.theirs["design"], c.period_ns, round(c.ratio, 6))
        for c in points.comparisons(records)
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
    assert points.comparisons([r for r in RECORDS if r["role"] == "mixpe"]) == []
    assert points.comparisons([r for r in RECORDS if r["role"] == "baseline"]) == []
    # No point of ours is fast enough for the common period.
    slow = [r for r in RECORDS if r["target_ns"] != 7.0]
    assert {c.period_ns for c in points.comparisons(slow)} == {None}


def test_json():
    assert json.loads(to_json(RECORDS)) == RECORDS
    assert to_json(iter(RECORDS)) == to_json(RECORDS)


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
    assert "- Tools: yosys 0.70, opensta 2.0.17.\n" in text
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


def test_markdown_points():
    text = markdown(RECORDS)
    line = "| `w4a8_heap` | area | 480.0 | 240.0 | 120.0 | 120.0 | 10.00 | 1.00 | 0.0200 |"
    assert line in text
    assert section(text, "### PEs: shortest period")[3][:3] == ["`w4a8_heap`", "7.00", "700.0"]
    least = section(text, "### PEs: least area x delay x energy")
    assert [row[:2] for row in least[1:]] == [
        ["`int8_mul`", "area"],
        ["`int8_heap`", "area"],
        ["`w4a8_heap`", "area"],
        ["`w4a8_heap_4`", "area"],
    ]


def test_markdown_ratios():
    """At no more than 8 ns: 1600, 700 of 1000 um2; 1 of 1.5 pJ; four lanes need 16 ns."""
    text = markdown(RECORDS)
    assert section(text, "### PEs per MAC, no slower than the baseline")[1:] == [
        ["`int8_mul`", "1,000", "8.00", "1.50", "1.00x", "1.00x", "1.00x"],
        ["`int8_heap`", "1,600", "8.00", "1.00", "1.60x", "0.67x", "1.07x"],
        ["`w4a8_heap`", "700.0", "7.00", "1.00", "0.70x", "0.67x", "0.47x"],
        ["`w4a8_heap_4`", "too slow", "-", "-", "-", "-", "-"],
    ]
    rows = section(text, "### W4A8: area efficiency x power efficiency")[1:]
    assert [row[-3:] for row in rows] == [
        ["1.88x", "1.00x", "1.88x"],
        ["2.29x", "1.00x", "2.29x"],
        ["1.67x", "1.50x", "2.50x"],
        ["1.43x", "1.50x", "2.14x"],
    ]
    assert "arXiv 2411.16158) claims 2.29x." in text


def test_markdown_full_adders():
    assert section(markdown(RECORDS), "## Full adders")[1:] == [
        ["`int8_heap`", "32", "31"],
        ["`w4a8_heap`", "32", "31"],
        ["`w4a8_heap_4`", "32", "31"],
    ]
    assert "## Full adders" not in markdown(RECORDS[:2])


def test_markdown_arrays():
    array = record("w4a8_4x4", 16000.0, 10.0, 2.0, macs=16, kind="array")
    array["energy_breakdown_pj"] = {"PEs": 1.5, "clock": 0.5}
    text = markdown([array])
    assert section(text, "### Arrays")[1:] == [
        ["`w4a8_4x4`", "area", "16,000", "1,000", "10.00", "2.00", "0.0200"]
    ]
    assert section(text, "Parts of `w4a8_4x4` at its least area:")[1:] == [
        ["PEs", "12,000", "75%", "1.50", "75%"],
        ["dequantizer", "4,000", "25%", "-", "-"],
        ["clock", "-", "-", "0.500", "25%"],
    ]
    assert "### PEs" not in text


def test_markdown_without_baseline_or_energy():
    text = markdown([record("w4a8_heap", 480.0, 10.0, None, clock_ns=None)])
    assert "No ratios: no INT8 PE with Yosys's `*` and one lane was measured." in text
    assert "no energy figures" in text
    assert "W4A8 over INT8" not in text


def test_summary(capsys):
    Console(width=120).print(summary(RECORDS))
    out = capsys.readouterr().out
    assert "sky130hd (tt_025C, 1.8 V, 25 °C), per MAC" in out
    assert ["w4a8_heap", "480.0", "10.00", "1.00", "7.00", "0.70x", "0.67x"] in map(
        str.split, out.splitlines()
    )
    assert ["w4a8_heap_4", "400.0", "16.00", "1.00", "16.00", "too", "slow", "-"] in map(
        str.split, out.splitlines()
    )
    flat = " ".join(out.split())
    assert "own datapaths, each at its best: 1.88x (w4a8_heap over int8_heap; paper 2.29x)" in flat
    assert "Yosys's `*`, both at 8.00 ns: 2.14x (w4a8_heap over int8_mul; paper 2.29x)" in flat
