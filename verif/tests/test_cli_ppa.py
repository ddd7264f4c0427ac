"""`mixpe ppa` with designs and measurements made up: what it writes, prints and refuses."""

import csv
import json
import os
import sys

import pytest

from mixpe.cli.main import main
from mixpe.ppa import designs
from mixpe.ppa.designs import CoreDesign, Design
from mixpe.ppa.jobs.job import Job
from mixpe.ppa.record import Block, Built, CoreRecord, Record, to_values
from mixpe.ppa.report import plots
from mixpe.ppa.report.points import by_library
from mixpe.spec.array import Config
from mixpe.spec.errors import UserError
from mixpe.support import data
from mixpe.support.files import write_file
from verif.samples.records import RECORDS, record

DESIGNS = {
    name: Design(name, title, kind, role, Built(Config(rows=1, cols=1, **fields), element))
    for name, title, kind, role, element, fields in (
        (
            "int8_multiplier",
            "INT8 [plain]",
            "pe",
            "baseline",
            "pe",
            {"weight_bits": 8, "datapath": "multiplier"},
        ),
        ("w4a8", "W4A8 bit heap", "pe", "mixpe", "pe", {"datapath": "bit_heap"}),
        ("array", "W4A8 array", "array", "mixpe", "array", {"datapath": "bit_heap"}),
    )
}
FIGURES = {"int8_multiplier": (1000.0, 8.0, 1.5), "w4a8": (400.0, 10.0, 0.5), "array": (8000.0, 10.0, 0.6)}


def figures(job: Job, target: float | None) -> Record:
    """Returns the record that the fake measurement makes of a design."""
    design = job.design
    assert isinstance(design, Design)
    area, period, energy = FIGURES.get(design.name, (100.0, 1.0, 1.0))
    scale = 1 if target is None else 1.5
    return record(
        design.name,
        area * scale,
        period / scale,
        energy * scale**0.5,
        title=design.title,
        role=design.role,
        kind=design.kind,
        built=design.built,
        target=target,
        library=job.library,
    )


def core_record(job: Job) -> CoreRecord:
    assert isinstance(job.design, CoreDesign)
    return CoreRecord(
        design=job.design.name,
        title=job.design.title,
        core=job.design.config,
        library=job.library,
        corner=None,
        blocks=(Block("dequantizer", 16, 1600.0, 100.0, 0), Block("writer", 1, 12.0, 0.0469, 81920)),
        clock_gate="",
        tools=RECORDS[0].tools,
        liberty_files=(),
    )


@pytest.fixture
def measured(monkeypatch):
    """The jobs measured so far; INT8 with library `bad` is refused, and with `stop` interrupted."""
    jobs: list[Job] = []

    def measure(job):
        jobs.append(job)
        if (job.design.name, job.library) == ("int8_multiplier", "bad"):
            raise UserError("12 paths are not constrained")
        if (job.design.name, job.library) == ("int8_multiplier", "stop") and len(jobs) < 3:
            raise KeyboardInterrupt
        if isinstance(job.design, CoreDesign):
            return [core_record(job)]
        return [figures(job, target) for target in job.targets or (None, 5.0)]

    monkeypatch.setattr(designs, "DESIGNS", DESIGNS)
    monkeypatch.setattr(designs, "QUICK", ("w4a8", "int8_multiplier"))
    monkeypatch.setattr("mixpe.ppa.measure.measure", measure)
    monkeypatch.setattr("mixpe.ppa.elements.verilog", repr)
    return jobs


@pytest.fixture
def ppa(measured, tmp_path, monkeypatch, capsys):
    """Runs `mixpe ppa` in a folder with two libraries, on one core; returns status, output and error.

    It draws nothing, which takes long: an empty plot stands for all of a library.
    """

    def draw(records, folder, form, point):
        paths = [folder / f"area_pe_{library}.{form}" for library in by_library(records)]
        return [write_file(path, "") for path in paths]

    monkeypatch.setattr(plots, "draw", draw)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("MIXPE_DATA", str(tmp_path / "data"))
    for name in ("one", "two"):
        (tmp_path / f"{name}.lib").write_text(f"library ({name}) {{}}")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mixpe", "ppa", "--jobs", "1", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        assert isinstance(end.value.code, int)
        return end.value.code, *capsys.readouterr()

    return run


def names(jobs: list[Job]) -> list[tuple[str, str]]:
    return [(job.design.name, job.library) for job in jobs]


def test_clock_gates_are_a_choice_of_each_job(ppa, measured):
    """On, if not switched off; the cache tells both apart."""
    for option, asked, count in (("", True, 2), ("--no-clock-gates", False, 2), ("--clock-gates", True, 0)):
        assert ppa("--quick", "--lib", "one.lib", *filter(None, [option]))[0] == 0
        assert [job.clock_gates for job in measured] == [asked] * count
        measured.clear()


def test_files_and_output(ppa, measured, tmp_path):
    status, out, err = ppa("--lib", "one.lib", "--lib", "two.lib")
    assert status == 0
    assert names(measured) == [(name, lib) for lib in ("one", "two") for name in DESIGNS]
    written = json.loads((tmp_path / "build/ppa/ppa.json").read_text())
    assert written == [to_values(figures(job, target)) for job in measured for target in (None, 5.0)]
    report = (tmp_path / "build/ppa/ppa.md").read_text()
    assert {path.name for path in (tmp_path / "build/ppa/plots").iterdir()} == {
        "area_pe_one.svg",
        "area_pe_two.svg",
    }
    assert all(f"(plots/area_pe_{name}.svg)" in report for name in ("one", "two"))
    assert "one (tt_025C, 1.8 V, 25 °C), per MAC: least area x delay x energy;" in out
    # Area x delay x energy: 1000 x 8 x 1.5 over 400 x 10 x 0.5.
    own = "each at its least area x delay x energy"
    assert f"{own}: 6.00x (w4a8 over int8_multiplier; paper 2.29x)" in " ".join(out.split())
    assert [line for line in out.splitlines() if line.startswith("wrote ")][:2] == [
        "wrote build/ppa/ppa.json",
        "wrote build/ppa/ppa.md",
    ]
    assert err.splitlines()[:2] == ["0/6 int8_multiplier with one", "1/6 w4a8 with one"]


def test_second_run_measures_nothing(ppa, measured):
    first = ppa("--lib", "one.lib")
    assert len(measured) == 3
    assert ppa("--lib", "one.lib") == (0, first[1], "")
    assert len(measured) == 3
    assert ppa("--lib", "one.lib", "--no-cache")[:2] == first[:2]
    assert len(measured) == 6


def test_choice_of_designs_and_targets(ppa, measured):
    assert (
        ppa(
            "--lib=one.lib", "--design=array", "--design=int8_multiplier", "--target-ns=4", "--target-ns=6.5"
        )[0]
        == 0
    )
    assert names(measured) == [("int8_multiplier", "one"), ("array", "one")]
    assert {job.targets for job in measured} == {(None, 6.5, 4.0)}


def test_quick(ppa, measured):
    assert ppa("--quick", "--lib", "one.lib")[0] == 0
    assert names(measured) == [("int8_multiplier", "one"), ("w4a8", "one")]
    measured.clear()
    assert ppa("--quick", "--lib", "two.lib", "--group", "64")[0] == 0
    own = [("w4a8_16x16_g64_pe", "two"), ("w4a8_16x16_g64_array", "two")]
    assert names(measured) == [("int8_multiplier", "two"), ("w4a8", "two"), *own]


def test_default_libraries(ppa, measured, tmp_path, monkeypatch):
    """Those whose files are all there; quick: the first of them."""
    monkeypatch.setattr(
        data, "LIBRARIES", {"first": ("none",), "second": ("b.lib", "c.lib"), "third": ("d.lib",)}
    )
    monkeypatch.setattr("mixpe.cli.ppa.LIBRARIES", data.LIBRARIES)
    for name in ("b", "c", "d"):
        (tmp_path / f"data/{name}.lib").write_text(name)
    assert ppa("--design", "int8_multiplier")[0] == 0
    assert names(measured) == [("int8_multiplier", "second"), ("int8_multiplier", "third")]
    assert [path.name for path in measured[0].sources] == ["b.lib", "c.lib"]
    measured.clear()
    assert ppa("--design", "w4a8", "--quick")[0] == 0
    assert names(measured) == [("w4a8", "second")]


def test_a_design_of_options(ppa, measured, tmp_path):
    """As other commands have it: CONFIG, or a field of it, is measured as element and array."""
    assert ppa("--lib", "one.lib", "--weight-bits", "3", "--group", "64")[0] == 0
    assert names(measured) == [("w3a8_16x16_g64_pe", "one"), ("w3a8_16x16_g64_array", "one")]
    assert {job.design.config.weight_bits for job in measured} == {3}
    measured.clear()
    assert ppa("w4a8_16x16_g128", "--rows", "4", "--lib", "one.lib", "--design", "w4a8")[0] == 0
    assert names(measured)[0] == ("w4a8", "one")
    assert measured[2].design.config.rows == 4
    # A core: element and array, and the area of its blocks.
    measured.clear()
    status, out, _ = ppa("core_w4a8_16x16", "--lib", "one.lib")
    assert status == 0
    assert [type(job.design) for job in measured] == [Design, Design, CoreDesign]
    assert "core_w4a8_16x16 with one: area by block, one instance each, without memories" in out
    assert ["dequantizer", "16", "1,600", "100.0", "-"] in map(str.split, out.splitlines())
    assert "| writer | 1 | 12.00 | 0.0469 | 10.00 |" in (tmp_path / "build/ppa/ppa.md").read_text()
    assert json.loads((tmp_path / "build/ppa/ppa.json").read_text())[-1]["kind"] == "core"


def test_point_and_baseline(ppa, tmp_path):
    """With a target of 5 ns: 1500 um2 and 600 um2 at 1.5 times the speed."""
    files = ("--csv", "out/all.csv", "--latex", "all.tex")
    status, out, _ = ppa("--lib=one.lib", "--quick", "--point", "period", "--baseline", "w4a8", *files)
    assert status == 0
    assert "per MAC: shortest period; ratios to w4a8" in " ".join(out.split())
    with open(tmp_path / "out/all.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(row["design"], row["area_per_mac_um2"], row["area_ratio"]) for row in rows] == [
        ("int8_multiplier", "1500.0", "2.5"),
        ("w4a8", "600.0", "1"),
    ]
    assert "W4A8 bit heap & 600.0 & 6.67 & 0.612 & 1.00" in (tmp_path / "all.tex").read_text()
    assert {"wrote out/all.csv", "wrote all.tex"} <= set(out.splitlines())


def test_a_missing_baseline_is_said(ppa):
    _, out, _ = ppa("--lib=one.lib", "--design", "w4a8")
    assert "warning: no ratios to INT8 with one: the best INT8 PE, int8_carry_save_l4, was not" in out


def test_list(ppa, measured):
    status, out, err = ppa("--list")
    assert (status, err, measured) == (0, "", [])
    assert out.splitlines()[1].split() == ["int8_multiplier", "pe", "baseline", "yes", "INT8", "[plain]"]
    assert out.splitlines()[3].split() == ["array", "array", "mixpe", "W4A8", "array"]


def test_readme(ppa, tmp_path):
    path = tmp_path / "README.md"
    path.write_text("# Mine\n<!-- ppa:begin -->\n<!-- ppa:end -->\nEnd\n")
    assert "wrote README.md\n" in ppa("--lib", "one.lib", "--readme", "README.md")[1]
    text = path.read_text()
    assert text.startswith("# Mine\n<!-- ppa:begin -->\n")
    assert text.endswith("<!-- ppa:end -->\nEnd\n")
    assert "| W4A8 bit heap | 400.0 | 10.00 | 0.500 |" in text


def test_png(ppa, tmp_path):
    assert ppa("--lib", "one.lib", "--design", "int8_multiplier", "--png", "--out-dir", "out")[0] == 0
    assert {path.suffix for path in (tmp_path / "out/plots").iterdir()} == {".png"}


def test_interrupted_run_is_resumed(ppa, measured, tmp_path):
    (tmp_path / "stop.lib").write_text("library (stop) {}")
    arguments = ("--lib", "one.lib", "--lib", "stop.lib", "--design", "int8_multiplier")
    status, out, err = ppa(*arguments)
    assert (status, out) == (130, "")
    assert err.splitlines()[-1] == "mixpe: interrupted, 1 of 2 measured: the same command goes on from there"
    assert not (tmp_path / "build").exists()
    measured_before = len(measured)
    assert ppa(*arguments)[0] == 0
    assert names(measured[measured_before:]) == [("int8_multiplier", "stop")]


def test_interrupted_run_without_cache(ppa, measured, tmp_path):
    (tmp_path / "stop.lib").write_text("library (stop) {}")
    status, _, err = ppa("--lib", "stop.lib", "--no-cache")
    assert status == 130
    assert err.splitlines()[-1] == "mixpe: interrupted, 0 of 3 measured: nothing is kept (--no-cache)"


def test_failing_measurement(ppa, tmp_path):
    (tmp_path / "bad.lib").write_text("library (bad) {}")
    status, out, err = ppa("--lib", "bad.lib")
    assert (status, out) == (2, "")
    assert err.splitlines()[-1] == "mixpe: error: int8_multiplier with bad: 12 paths are not constrained"
    assert "Traceback" not in err
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--design", "w8"], ["--design must be one of int8_multiplier, w4a8, array, not 'w8'"]),
        (["--target-ns", "0"], ["--target-ns must be a number of ns above 0, not 0"]),
        (["--target-ns", "-1"], ["above 0, not -1"]),
        (["--target-ns", "nan"], ["above 0, not nan"]),
        (["--target-ns", "inf"], ["above 0, not inf"]),
        (["--target-ns", "soon"], ["--target-ns", "soon"]),
        (["--jobs", "0"], ["--jobs", "0"]),
        (["--lib", "none.lib"], ["sky130hd, sg13g2, asap7", "'none.lib'"]),
        (["--lib", "one.lib", "--lib", "sub/one.lib"], ["--lib: two libraries are called one"]),
        (["--readme", "none.md"], ["none.md cannot be read"]),
        (["--readme", "plain.md"], ["plain.md must hold the lines <!-- ppa:begin -->"]),
        (["--out-dir", "plain.md"], ["cannot write plain.md", "is not a folder"]),
        (["--out-dir", "plain.md/below"], ["cannot write plain.md/below", "is not a folder"]),
        (["extra"], ["configuration must be one of", "'extra'"]),
        (["--weight-bits", "9"], ["weight_bits must be 0 or 2 to 8, not 9"]),
        (["--config", "core_w4a8"], ["configuration must be one of", "'core_w4a8'"]),
        (
            ["--point", "best"],
            ["--point must be product, area, period, or a period in ns above 0, not 'best'"],
        ),
        (["--baseline", "int4"], ["--baseline must be one of the designs measured, int8_multiplier, w4a8, "]),
        (["--csv", "sub"], ["cannot write sub: it is a folder"]),
        (["--latex", "plain.md/table.tex"], ["cannot write plain.md/table.tex", "is not a folder"]),
        (["--competitor", "mine.v"], ["--competitor must be a .toml file or a class", "'mine.v'"]),
        (["--competitor", "none.toml"], ["competitor none.toml cannot be read: No such file"]),
        (
            ["--competitor", "none.such:Mac"],
            ["competitor none.such:Mac: module none.such cannot be imported"],
        ),
        (["--scheduler", "pigeon://there"], ["--scheduler pigeon://there cannot be reached"]),
    ],
)
def test_refused_before_anything_is_measured(arguments, parts, ppa, measured, tmp_path):
    (tmp_path / "plain.md").write_text("nothing here")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/one.lib").write_text("library (other) {}")
    lib = () if "--lib" in arguments else ("--lib", "one.lib")
    status, out, err = ppa(*lib, *arguments)
    assert (status, out, measured) == (2, "", [])
    assert err.startswith("mixpe: error: ")
    assert len(err.splitlines()) == 1
    assert all(part in err for part in parts), err
    assert not (tmp_path / "build").exists()


def test_no_library_anywhere(ppa, measured, monkeypatch):
    def offline(*_):
        raise OSError("no network")

    monkeypatch.setattr(data, "_download", offline)
    status, out, err = ppa()
    assert (status, out, measured) == (2, "", [])
    assert len(err.splitlines()) == 1
    assert "set MIXPE_DATA to a folder that holds it" in err


def test_folder_without_permission(ppa, measured, monkeypatch):
    """Root may write anywhere: the refusal is made here."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    status, _, err = ppa("--lib", "one.lib", "--out-dir", "locked/out")
    assert (status, measured) == (2, [])
    assert err == "mixpe: error: cannot write locked/out: Permission denied\n"
