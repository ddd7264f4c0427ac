"""`mixpe ppa` with designs and measurements made up: what it writes, prints and refuses."""

import json
import os
import sys
from dataclasses import dataclass
from types import ModuleType

import pytest

from mixpe.cli.main import main
from mixpe.ppa.jobs import Job
from mixpe.ppa.report import plots
from mixpe.ppa.report.points import by
from mixpe.spec.errors import UserError
from mixpe.support import data
from mixpe.support.files import write_file


@dataclass(frozen=True)
class Design:
    name: str
    title: str
    kind: str
    role: str


DESIGNS = {
    name: Design(name, title, kind, role)
    for name, title, kind, role in (
        ("int8", "INT8 [plain]", "pe", "baseline"),
        ("w4a8", "W4A8 bit heap", "pe", "mixpe"),
        ("array", "W4A8 array", "array", "mixpe"),
    )
}
FIGURES = {"int8": (1000.0, 8.0, 1.5, 1), "w4a8": (400.0, 10.0, 0.5, 1), "array": (8000.0, 10.0, 0.6, 16)}


def own(config):
    raise AssertionError(f"no test asks for the designs of {config.name}")


def job(design, library, sources, targets):
    return Job(design, library, sources, targets or (None, 5.0))


def record(job: Job, target: float | None) -> dict:
    area, period, energy, macs = FIGURES[job.design.name]
    scale = 1 if target is None else 1.5
    return {
        **vars(job.design),
        "design": job.design.name,
        "configuration": {
            "weight_bits": 8 if job.design.name == "int8" else 4,
            "act_bits": 8,
            "act_format": "int",
            "element": "array" if job.design.name == "array" else "pe",
            "datapath": "multiplier" if job.design.name == "int8" else "bit_heap",
            "lanes": 1,
        },
        "library": job.library,
        "corner": None,
        "voltage_v": None,
        "temperature_c": None,
        "target_ns": target,
        "area_um2": area * scale,
        "area_registers_um2": area * scale / 2,
        "area_adders_um2": None,
        "area_logic_um2": area * scale / 2,
        "min_period_ns": period / scale,
        "critical_path": "a -> b",
        "energy_pj_per_mac": energy,
        "energy_breakdown_pj": {"all": energy},
        "area_breakdown_um2": {"all": area * scale},
        "leakage_uw": 0.1,
        "macs_per_cycle": macs,
        "area_per_mac_um2": area * scale / macs,
        "area_delay_um2_ns_per_mac": area * period / macs,
        "energy_delay_pj_ns_per_mac": energy * period / scale,
        "full_adders": None,
        "full_adder_floor": None,
        "operands": "made up",
        "clock_ns": 10.0,
        "recipe": {},
        "tools": {"yosys": "0"},
        "liberty_files": [str(path) for path in job.sources],
    }


@pytest.fixture
def measured(monkeypatch):
    """The jobs measured so far; `int8` of library `bad` is refused, and of `stop` interrupted."""
    jobs: list[Job] = []

    def measure(job):
        jobs.append(job)
        if (job.design.name, job.library) == ("int8", "bad"):
            raise UserError("12 paths are not constrained")
        if (job.design.name, job.library) == ("int8", "stop") and len(jobs) < 3:
            raise KeyboardInterrupt
        return [record(job, target) for target in job.targets]

    designs = ModuleType("designs")
    vars(designs).update(DESIGNS=DESIGNS, QUICK=("w4a8", "int8"), job=job, own=own)
    measurement = ModuleType("measure")
    vars(measurement).update(measure=measure)
    monkeypatch.setitem(sys.modules, "mixpe.ppa.designs", designs)
    monkeypatch.setitem(sys.modules, "mixpe.ppa.measure", measurement)
    return jobs


@pytest.fixture
def ppa(measured, tmp_path, monkeypatch, capsys):
    """Runs `mixpe ppa` in a folder with two libraries, on one core; returns status, output and error.

    It draws nothing, which takes long: an empty plot stands for all of a library.
    """

    def draw(records, folder, form):
        paths = [folder / f"area_pe_{library}.{form}" for library in by(records, "library")]
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


def test_files_and_output(ppa, measured, tmp_path):
    status, out, err = ppa("--lib", "one.lib", "--lib", "two.lib")
    assert status == 0
    assert names(measured) == [(name, lib) for lib in ("one", "two") for name in DESIGNS]
    written = json.loads((tmp_path / "build/ppa/ppa.json").read_text())
    assert written == [record(job, target) for job in measured for target in (None, 5.0)]
    report = (tmp_path / "build/ppa/ppa.md").read_text()
    assert {path.name for path in (tmp_path / "build/ppa/plots").iterdir()} == {
        "area_pe_one.svg",
        "area_pe_two.svg",
    }
    assert all(f"(plots/area_pe_{name}.svg)" in report for name in ("one", "two"))
    assert "one (unnamed corner), per MAC" in out
    # Area x delay x energy: 1000 x 8 x 1.5 over 400 x 10 x 0.5.
    assert "each at its best: 6.00x (w4a8 over int8; paper 2.29x)" in " ".join(out.split())
    assert [line for line in out.splitlines() if line.startswith("wrote ")][:2] == [
        "wrote build/ppa/ppa.json",
        "wrote build/ppa/ppa.md",
    ]
    assert err.splitlines()[:2] == ["0/6 int8 with one", "1/6 w4a8 with one"]


def test_second_run_measures_nothing(ppa, measured):
    first = ppa("--lib", "one.lib")
    assert len(measured) == 3
    assert ppa("--lib", "one.lib") == (0, first[1], "")
    assert len(measured) == 3
    assert ppa("--lib", "one.lib", "--no-cache")[:2] == first[:2]
    assert len(measured) == 6


def test_choice_of_designs_and_targets(ppa, measured):
    assert ppa("--lib=one.lib", "--design=array", "--design=int8", "--target-ns=4", "--target-ns=6.5")[0] == 0
    assert names(measured) == [("int8", "one"), ("array", "one")]
    assert {job.targets for job in measured} == {(None, 6.5, 4.0)}


def test_quick(ppa, measured):
    assert ppa("--quick", "--lib", "one.lib")[0] == 0
    assert names(measured) == [("int8", "one"), ("w4a8", "one")]


def test_default_libraries(ppa, measured, tmp_path, monkeypatch):
    """Those whose files are all there; quick: the first of them."""
    monkeypatch.setattr(
        data, "LIBRARIES", {"first": ("none",), "second": ("b.lib", "c.lib"), "third": ("d.lib",)}
    )
    monkeypatch.setattr("mixpe.cli.ppa.LIBRARIES", data.LIBRARIES)
    for name in ("b", "c", "d"):
        (tmp_path / f"data/{name}.lib").write_text(name)
    assert ppa("--design", "int8")[0] == 0
    assert names(measured) == [("int8", "second"), ("int8", "third")]
    assert [path.name for path in measured[0].sources] == ["b.lib", "c.lib"]
    measured.clear()
    assert ppa("--design", "w4a8", "--quick")[0] == 0
    assert names(measured) == [("w4a8", "second")]


def test_list(ppa, measured):
    status, out, err = ppa("--list")
    assert (status, err, measured) == (0, "", [])
    assert out.splitlines()[1].split() == ["int8", "pe", "baseline", "yes", "INT8", "[plain]"]
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
    assert ppa("--lib", "one.lib", "--design", "int8", "--png", "--out-dir", "out")[0] == 0
    assert {path.suffix for path in (tmp_path / "out/plots").iterdir()} == {".png"}


def test_interrupted_run_is_resumed(ppa, measured, tmp_path):
    (tmp_path / "stop.lib").write_text("library (stop) {}")
    arguments = ("--lib", "one.lib", "--lib", "stop.lib", "--design", "int8")
    status, out, err = ppa(*arguments)
    assert (status, out) == (130, "")
    assert err.splitlines()[-1] == "mixpe: interrupted, 1 of 2 measured: the same command goes on from there"
    assert not (tmp_path / "build").exists()
    measured_before = len(measured)
    assert ppa(*arguments)[0] == 0
    assert names(measured[measured_before:]) == [("int8", "stop")]


def test_interrupted_run_without_cache(ppa, measured, tmp_path):
    (tmp_path / "stop.lib").write_text("library (stop) {}")
    status, _, err = ppa("--lib", "stop.lib", "--no-cache")
    assert status == 130
    assert err.splitlines()[-1] == "mixpe: interrupted, 0 of 3 measured: nothing is kept (--no-cache)"


def test_failing_measurement(ppa, tmp_path):
    (tmp_path / "bad.lib").write_text("library (bad) {}")
    status, out, err = ppa("--lib", "bad.lib")
    assert (status, out) == (2, "")
    assert err.splitlines()[-1] == "mixpe: error: int8 with bad: 12 paths are not constrained"
    assert "Traceback" not in err
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--design", "w8"], ["--design must be one of int8, w4a8, array, not 'w8'"]),
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
        (["extra"], ["extra"]),
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
