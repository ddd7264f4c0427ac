"""What shows the report to a reader: the README's block between its markers, and the plots."""

import pytest

from mixpe.ppa.report import plots, readme
from mixpe.ppa.report.plots import draw
from mixpe.spec.errors import UserError
from verif.samples.records import RECORDS, record, section

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
    with pytest.raises(UserError, match=r"latin\.md must be UTF-8"):
        readme.check(tmp_path / "latin.md")


# Plots


def test_plots(tmp_path, monkeypatch):
    """Same records, same bytes; every design and unit is named; nothing is drawn twice."""
    array = record("w4a8_4x4", 16000.0, 10.0, 2.0, macs=16, kind="array", library="my lib")
    some = [*RECORDS[:2], array]
    paths = draw(some, tmp_path / "a")
    assert [path.name for path in paths] == [
        "area-delay_pe_sky130hd.svg",
        "energy_pe_sky130hd.svg",
        "area_pe_sky130hd.svg",
        "area-delay_array_my-lib.svg",
        "energy_array_my-lib.svg",
        "area_array_my-lib.svg",
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
    monkeypatch.setattr(plots, "_draw", lambda name, records, title, path, *_: drawn.append(path))
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
