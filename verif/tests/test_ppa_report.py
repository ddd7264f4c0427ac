"""The report of area, delay and energy: every ratio recomputed by hand, and the files that show them."""

import json
import re

import pytest
from rich.console import Console

from mixpe.hw.errors import UserError
from mixpe.ppa import plots, points, readme
from mixpe.ppa.plots import draw
from mixpe.ppa.report import conditions, markdown, number, to_json
from mixpe.ppa.summary import summary


def record(design, area, period, energy, *, target=None, macs=1, library="sky130hd", kind="pe", **changes):
    """A record; `area` in um2 of the whole design, `energy` in pJ per MAC."""
    width = 8 if design.startswith("int8") else 4
    datapath = "multiplier" if "mul" in design else "bit_heap"
    values = {
        "design": design,
        "title": f"{design}, titled",
        "role": "baseline" if width == 8 else "mixpe",
        "kind": kind,
        "configuration": {"weight_bits": width, "act_bits": 8, "datapath": datapath, "lanes": macs},
        "library": library,
        "corner": "tt_025C",
        "voltage_v": 1.8,
        "temperature_c": 25.0,
        "target_ns": target,
        "area_um2": area,
        "area_registers_um2": area * 0.5,
        "area_adders_um2": area * 0.25,
        "area_logic_um2": area * 0.25,
        "min_period_ns": period,
        "critical_path": "weight -> sum",
        "energy_pj_per_mac": energy,
        "energy_breakdown_pj": {"registers": energy, "logic": 0.0} if energy else None,
        "area_breakdown_um2": {"PEs": area * 0.75, "dequantizer": area * 0.25} if kind == "array" else {},
        "leakage_uw": 0.02,
        "macs_per_cycle": macs,
        "area_per_mac_um2": area / macs,
        "area_delay_um2_ns_per_mac": area / macs * period,
        "energy_delay_pj_ns_per_mac": energy and energy * period,
        "full_adders": 32 if datapath == "bit_heap" else None,
        "full_adder_floor": 31 if datapath == "bit_heap" else None,
        "operands": "stories260K, layer 2",
        "clock_ns": 10.0,
        "recipe": {"booth": True},
        "tools": {"yosys": "0.70", "opensta": "2.0.17"},
        "liberty_files": [{"file": "sky.lib.gz", "sha256": "12"}],
    }
    return values | changes


# Area x delay x energy:               12000 / 15000, 9000, 12800 / 4800, 4900, 6400 and 1.5
RECORDS = [
    record("int8_mul", 1000.0, 8.0, 1.5),
    record("int8_mul", 1500.0, 5.0, 2.0, target=5.0),
    record("int8_heap", 900.0, 10.0, 1.0),
    record("int8_heap", 1600.0, 8.0, 1.0, target=8.0),
    record("w4a8_heap", 480.0, 10.0, 1.0),
    record("w4a8_heap", 700.0, 7.0, 1.0, target=7.0),
    record("w4a8_heap_4", 1600.0, 16.0, 1.0, macs=4),
]


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


def section(text: str, heading: str) -> list[list[str]]:
    """Cells of the first table below a heading, without its rules."""
    below = text.split(f"{heading}\n", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert table
    rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table[0].splitlines()]
    return [rows[0], *rows[2:]]


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
    rows = section(text, "### W4A8 over INT8: area efficiency x power efficiency")[1:]
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


# The README


def test_readme_block():
    text = readme.block([*RECORDS, record("int8_mul", 2000.0, 7.0, 3.0, library="sg13g2", corner="typ")])
    assert section(text, "(least period in ns):\n") == [
        ["design", "sky130hd: um2", "ns", "pJ", "sg13g2: um2", "ns", "pJ"],
        ["int8_mul, titled", "1,000", "8.00", "1.50", "2,000", "7.00", "3.00"],
        ["int8_heap, titled", "900.0", "10.00", "1.00", "-", "-", "-"],
        ["w4a8_heap, titled", "480.0", "10.00", "1.00", "-", "-", "-"],
        ["w4a8_heap_4, titled", "400.0", "16.00", "1.00", "-", "-", "-"],
    ]
    rows = section(text, "2.29x):\n")
    assert rows[0] == ["over", "sky130hd", "sg13g2"]
    assert [row[1:] for row in rows[1:]] == [["1.88x", "-"], ["2.29x", "-"], ["2.50x", "-"], ["2.14x", "-"]]
    for part in ("sg13g2: typ, 1.8 V, 25 °C", "yosys 0.70", "clock of 10.00 ns", "stories260K, layer 2"):
        assert part in text


def test_readme_is_replaced_between_the_markers(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n")
    readme.check(path)
    readme.update(path, RECORDS)
    first = path.read_text()
    assert first == f"before\n{readme.BEGIN}\n{readme.block(RECORDS)}{readme.END}\nafter\n"
    readme.update(path, RECORDS)
    assert path.read_text() == first


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        readme.BEGIN,
        readme.END,
        f"{readme.END}{readme.BEGIN}",
        f"{readme.BEGIN}{readme.END}{readme.END}",
        f"{readme.BEGIN}{readme.BEGIN}{readme.END}",
    ],
)
def test_readme_without_markers(text, tmp_path):
    path = tmp_path / "README.md"
    path.write_text(text)
    for action in (lambda: readme.check(path), lambda: readme.update(path, RECORDS)):
        with pytest.raises(UserError, match=r"must hold the lines <!-- ppa:begin --> and <!-- ppa:end -->"):
            action()
    assert path.read_text() == text


def test_readme_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"none\.md cannot be read: No such file"):
        readme.check(tmp_path / "none.md")
    (tmp_path / "latin.md").write_bytes(b"\xe4")
    with pytest.raises(UserError, match=r"latin\.md is not text in UTF-8"):
        readme.check(tmp_path / "latin.md")


# Plots


def test_plots(tmp_path, monkeypatch):
    """Same records, same bytes; every design and unit is named; nothing is drawn twice."""
    array = record("w4a8_4x4", 16000.0, 10.0, 2.0, macs=16, kind="array", library="my lib")
    some = [*RECORDS[:2], array]
    paths = draw(some, tmp_path / "a")
    assert [path.name for path in paths] == [
        *("area-delay_pe_sky130hd.svg", "energy_pe_sky130hd.svg", "area_pe_sky130hd.svg"),
        *("area-delay_array_my-lib.svg", "energy_array_my-lib.svg", "area_array_my-lib.svg"),
    ]
    assert sorted(paths) == sorted((tmp_path / "a").iterdir())
    for path, axis in zip(
        paths, ["area per MAC (um²)", "energy per MAC (pJ)", "area per MAC (um²)"] * 2, strict=True
    ):
        text = path.read_text()
        assert f">{axis}<" in text
        assert ">int8_mul<" in text or ">w4a8_4x4<" in text
        assert "(tt_025C, 1.8 V, 25 °C)" in text
    assert ">least period (ns)<" in paths[0].read_text()
    assert ">dequantizer<" in paths[5].read_text()
    again = draw([array], tmp_path / "b")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in paths[3:]]
    drawn = []
    monkeypatch.setattr(plots, "_draw", lambda name, records, title, path, state: drawn.append(path))
    assert draw(some, tmp_path / "a") == paths
    assert drawn == []
    assert draw([*some[1:], record("int8_mul", 1001.0, 8.0, 1.5)], tmp_path / "a") == paths
    assert drawn == paths[:3]


def test_plots_as_png(tmp_path):
    path = draw(RECORDS[:2], tmp_path, "png")[0]
    assert path.name == "area-delay_pe_sky130hd.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_plots_where_they_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*file"):
        draw(RECORDS[:1], tmp_path / "file")
