"""What `mixpe bench` times: both simulations, on a core of two elements. No test of how fast they are."""

import sys

import pytest

from mixpe.bench import speed
from mixpe.bench.golden import BenchResult
from mixpe.bench.speed import Speed, cocotb_speeds, fast_speed
from mixpe.cli import bench as command
from mixpe.cli.main import main
from mixpe.sim.cocotb.runner import SimulationError
from mixpe.spec import cycles as traffic
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig
from mixpe.spec.errors import UserError

CORE = CoreConfig(array=Config(rows=2, cols=1, group=8, lanes=2), data_bits=64, name="two")
SHAPE = (3, 21, 4)


@pytest.mark.nightly
def test_both_simulations(tmp_path):
    found = [fast_speed(CORE, SHAPE), fast_speed(CORE, SHAPE, 0.5)]
    found += cocotb_speeds(CORE, SHAPE, [0.0, 0.5], tmp_path)
    assert len(found) == 4
    for each in found:
        assert each.cycles > traffic.beats(*SHAPE, CORE)
        assert each.seconds > 0
        assert each.rate == each.cycles / each.seconds


def test_wrong_results(monkeypatch):
    right = speed.mpgemm
    monkeypatch.setattr(speed, "mpgemm", lambda *operands, **options: -right(*operands, **options))
    with pytest.raises(SimulationError, match=r"^two: results differ from the golden model's$"):
        fast_speed(CORE, SHAPE)


@pytest.fixture
def mixpe(tmp_path, monkeypatch, capsys):
    """Runs `mixpe bench` on speeds made up; returns exit status, output and errors."""
    golden = BenchResult(256, 4096, 4096, 128, 0.1, 3.0, 2.0, True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "measure", lambda: golden)
    monkeypatch.setattr(speed, "fast_speed", lambda core, shape, chance: Speed(9000, 0.02 + chance))
    monkeypatch.setattr(speed, "cocotb_speeds", lambda *_: [Speed(9000, 0.5), Speed(11000, 2.2)])

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mixpe", "bench", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        assert isinstance(end.value.code, int)
        return end.value.code, *capsys.readouterr()

    return run


def test_command(mixpe):
    status, out, _ = mixpe()
    assert status == 0
    lines = out.splitlines()
    assert lines[0].endswith("naive int64 einsum over all groups 3.000 s: 30.0 times as fast, same bits")
    assert lines[1].endswith("int64 einsum group by group 2.000 s: 20.0 times as fast, same bits")
    assert lines[2].startswith("core_w4a8_16x16, 32 x 512 x 128, a memory that is always ready: ")
    assert lines[2].endswith("fast simulation 450,000 cycles/s, cocotb 18,000 cycles/s: 25.0 times as fast")
    assert lines[3].endswith("fast simulation 17,308 cycles/s, cocotb 5,000 cycles/s: 3.5 times as fast")
    assert len(mixpe("--golden-only")[1].splitlines()) == 2


def test_bench_that_fails(mixpe, monkeypatch):
    def fail(*_):
        raise SimulationError("no results")

    monkeypatch.setattr(speed, "cocotb_speeds", fail)
    status, out, err = mixpe()
    assert status == 1
    assert len(out.splitlines()) == 2
    assert err.splitlines()[-1] == "mixpe: error: no results"


def test_without_cocotbext(monkeypatch, tmp_path):
    monkeypatch.setattr(speed, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"^cocotbext-axi is not installed; type: pip install 'mixpe\[sim\]'"):
        cocotb_speeds(CORE, SHAPE, [0.0], tmp_path)
