"""The runner of the benches: nothing passes that did not run and pass. Under Icarus, which is quick."""

import os
import sys
import time

import pytest

from mixpe.sim.cocotb import runner
from mixpe.sim.cocotb.runner import SIMULATORS, SimulationError, require_simulator, simulate
from mixpe.spec.errors import UserError
from mixpe.support.programs import run_program

INVERTER = """\
module inverter #(parameter ZERO = 0) (input a, output y);
  assign y = ZERO ? 1'b0 : ~a;
endmodule
"""

BENCH = '''\
"""A bench of an inverter."""

import os
import random

import cocotb
from cocotb.triggers import Timer


async def output(dut, a):
    dut.a.value = a
    await Timer(1, "ns")
    return int(dut.y.value)


@cocotb.test()
async def inverts(dut):
    assert await output(dut, 0) == 1
    assert await output(dut, 1) == 0


@cocotb.test()
async def inverts_not(dut):
    assert await output(dut, 1) == 1, "y is low"


@cocotb.test()
async def stops_the_simulator(dut):
    os._exit(0)


@cocotb.test()
async def tells(dut):
    with open(os.environ["TOLD"], "w") as file:
        file.write(f"{cocotb.RANDOM_SEED} {random.random()}")
'''


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Simulates with the bench's text, or that of a broken one, and options of `simulate`."""
    monkeypatch.syspath_prepend(tmp_path)  # cocotb hands the path on to the simulator
    monkeypatch.delenv("COCOTB_RANDOM_SEED", raising=False)
    (tmp_path / "inverter.v").write_text(INVERTER)

    def simulated(text: str = BENCH, top: str = "inverter", **options) -> None:
        (tmp_path / "bench_of_inverter.py").write_text(text)
        simulate(
            sources=[tmp_path / "inverter.v"],
            top=top,
            bench="bench_of_inverter",
            simulator="icarus",
            build_dir=tmp_path / "build",
            **options,
        )

    return simulated


def test_passing_test(run, tmp_path):
    run(testcase="inverts")
    assert (tmp_path / "build/results.xml").exists()


def test_failing_test(run):
    with pytest.raises(SimulationError, match=r"failed 1 of 1 tests\ninverts_not: y is low"):
        run(testcase="inverts_not")


def test_one_failing_test_of_two(run):
    with pytest.raises(SimulationError, match=r"failed 1 of 2 tests\ninverts_not: "):
        run(testcase=["inverts", "inverts_not"])


def test_broken_design(run):
    """The parameter reaches the design, and the design's fault the caller."""
    with pytest.raises(SimulationError, match=r"failed 1 of 1 tests\ninverts: "):
        run(testcase="inverts", parameters={"ZERO": 1})


def test_unknown_test(run):
    with pytest.raises(SimulationError, match="no test named absent ran"):
        run(testcase="absent")
    # Not even the beginning of a name.
    with pytest.raises(SimulationError, match="no test named invert ran"):
        run(testcase="invert")


def test_unknown_test_beside_a_known_one(run):
    with pytest.raises(SimulationError, match="no test named absent ran"):
        run(testcase=["inverts", "absent"])


def test_only_skipped_tests(run):
    head = BENCH[: BENCH.index("@cocotb.test()")]
    with pytest.raises(SimulationError, match=r"\): no test ran$"):
        run(head + "@cocotb.test(skip=True)\nasync def left_out(dut):\n    pass\n")


@pytest.mark.parametrize(
    "text", ["import cocotb\n", BENCH[: BENCH.index("@cocotb.test()")]], ids=["empty", "no test"]
)
def test_bench_without_a_test(text, run):
    with pytest.raises(SimulationError, match=r"ended without results$|\): no test ran$"):
        run(text)


@pytest.mark.parametrize("text", ["import absent_module\n", "def broken(:\n"], ids=["import", "syntax"])
def test_bench_that_is_no_module(text, run):
    with pytest.raises(SimulationError, match=r"ended without results$"):
        run(text)


def test_simulator_that_ends_early(run):
    """Even with status 0, and with the results of an earlier run in place."""
    run(testcase="inverts")
    with pytest.raises(SimulationError, match=r"ended without results$"):
        run(testcase="stops_the_simulator")


def test_verilog_that_does_not_build(run, tmp_path):
    (tmp_path / "inverter.v").write_text(INVERTER.replace("assign", "asign"))
    with pytest.raises(SimulationError, match=r"icarus did not build inverter:\n.*inverter\.v:2: "):
        run(testcase="inverts")


def test_unknown_top(run):
    with pytest.raises(SimulationError, match="icarus did not build inverted"):
        run(testcase="inverts", top="inverted")


def test_seed(run, tmp_path, monkeypatch, capfd):
    told = tmp_path / "told"

    def tell(**options) -> str:
        run(testcase="tells", env={"TOLD": str(told)}, **options)
        return told.read_text()

    first = tell(seed=7)
    assert tell(seed=7) == first
    assert tell(seed=8) != first
    monkeypatch.setenv("COCOTB_RANDOM_SEED", "7")
    assert tell(seed=8) == first
    monkeypatch.delenv("COCOTB_RANDOM_SEED")
    assert tell() != tell()
    out = capfd.readouterr().out
    assert "COCOTB_RANDOM_SEED=7" in out
    assert "COCOTB_RANDOM_SEED=8" in out


def test_failure_tells_the_seed(run):
    with pytest.raises(SimulationError, match="COCOTB_RANDOM_SEED=11"):
        run(testcase="inverts_not", seed=11)


def test_environment_is_left_alone(run):
    before = dict(os.environ)
    run(testcase="tells", env={"TOLD": os.devnull}, seed=1)
    assert dict(os.environ) == before


def test_quiet(run, tmp_path, capfd):
    run(testcase="inverts", quiet=True)
    assert "inverts" not in capfd.readouterr().out.replace("bench_of_inverter", "")
    assert "inverts" in (tmp_path / "build/sim.log").read_text()
    with pytest.raises(SimulationError, match="y is low"):
        run(testcase="inverts_not", quiet=True)


# Simulators that are not there


def refusal(name: str) -> str:
    with pytest.raises(UserError) as error:
        require_simulator(name)
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("platform", "command"), [("linux", "sudo apt-get install"), ("darwin", "brew install")]
)
def test_missing_simulator(platform, command, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "platform", platform)
    brew = platform == "darwin"
    icarus = f"{command} {'icarus-verilog' if brew else 'iverilog'}"
    assert refusal("icarus") == f"simulator icarus needs iverilog, vvp; type: {icarus}"
    compiler = f"{command} {'gcc' if brew else 'g++'} make perl"
    assert refusal("verilator") == f"simulator verilator needs perl, make, c++; type: {compiler}"


def test_half_a_simulator(tmp_path, monkeypatch):
    (tmp_path / "iverilog").write_text("")
    (tmp_path / "iverilog").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert refusal("icarus") == "simulator icarus needs vvp; type: sudo apt-get install iverilog"


@pytest.mark.parametrize(("platform", "command"), [("linux", "sudo apt-get install lib"), ("darwin", "brew")])
def test_missing_library_of_python(platform, command, monkeypatch):
    """Minimal systems have Python's program without its shared library, which simulators load."""
    monkeypatch.setattr(runner, "find_libpython", lambda: None)
    monkeypatch.setattr(sys, "platform", platform)
    message = refusal("icarus")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert message.startswith(f"cocotb needs the shared library of Python {version}; type: {command}")
    monkeypatch.setenv("LIBPYTHON_LOC", "/lib/libpython.so")  # cocotb's own variable
    require_simulator("icarus")


def test_missing_simulator_stops_a_run(run, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match=r"^simulator icarus needs iverilog, vvp; type: "):
        run(testcase="inverts")
    assert not (tmp_path / "build").exists()


def test_unknown_simulator():
    assert refusal("questa") == "simulator must be one of icarus, verilator, not 'questa'"


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("name", ["two words", "$HOME #1: 100%"])
def test_folder_that_no_makefile_takes(name, simulator, tmp_path, monkeypatch):
    """It is called by a link; the source and the build lie below it."""
    folder = tmp_path / name
    folder.mkdir()
    (folder / "inverter.v").write_text(INVERTER)
    (tmp_path / "bench_of_inverter.py").write_text(BENCH)
    monkeypatch.syspath_prepend(tmp_path)
    simulate(
        sources=[folder / "inverter.v"],
        top="inverter",
        bench="bench_of_inverter",
        simulator=simulator,
        build_dir=folder / "build",
        testcase="inverts",
        quiet=True,
    )
    assert (folder / "build/results.xml").exists()


# Programs


def test_program(tmp_path):
    lines = []
    script = 'echo "$TOLD"; pwd >&2; exit 3'
    status, text = run_program(
        ["sh", "-c", script], tmp_path, variables={"TOLD": "one"}, line_printed=lines.append
    )
    assert (status, text) == (3, f"one\n{tmp_path.resolve()}\n")
    assert lines == text.splitlines(keepends=True)


def test_interrupted_program_ends_with_all_it_started(tmp_path):
    def interrupt(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_program(
            ["sh", "-c", "(sleep 0.5; touch late) & echo started; wait"], tmp_path, line_printed=interrupt
        )
    time.sleep(1)
    assert not (tmp_path / "late").exists()
