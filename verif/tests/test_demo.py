"""What `mixpe demo` is made of: products played through Verilog, the reports, and the errors."""

from io import StringIO

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from mixpe.bench.accuracy import ARITHMETICS, errors
from mixpe.cli import demo as demo_command
from mixpe.cli.demo import SCHEMES, Run, demo, report, run, utilization
from mixpe.models.record import Layer, quantized, relative_error
from mixpe.quant.golden import mpgemm
from mixpe.sim.cocotb.player import Played
from mixpe.spec.array import Config


@pytest.fixture(scope="module")
def layers():
    rng = np.random.default_rng(7)
    shapes = [(3, 6, 4), (5, 13, 9), (1, 1, 1)]
    return [
        Layer(f"layer{i}", rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32))
        for i, (m, k, n) in enumerate(shapes)
    ]


@pytest.fixture(scope="module", params=list(SCHEMES))
def played(request, layers, tmp_path_factory) -> Run:
    config = Config(rows=3, cols=4, group=6, **SCHEMES[request.param])
    return run(request.param, layers, config, "icarus", tmp_path_factory.mktemp("demo"))


def text(table) -> str:
    console = Console(file=StringIO(), width=80)
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined]


def golden_play(products, config, *_):
    """In place of a simulation."""
    for p in products:
        yield None
        yield Played(mpgemm(p.a, p.weights, t=p.t, config=config), 100)


def test_layers_equal_the_golden_model(layers, played):
    assert len(played.results) == len(layers)
    assert played.wrong(layers) == []


def test_results_are_near_the_layers(layers, played):
    """What the golden model and the hardware may both get wrong: rounding W4 in small groups costs little."""
    for layer, result in zip(layers, played.results, strict=True):
        assert relative_error(result.out, layer.exact) < 0.2


def test_cycles_follow_the_formula(layers, played):
    for layer, result in zip(layers, played.results, strict=True):
        (m, k), n = layer.x.shape, layer.w.shape[1]
        tiles = -(-m // played.config.rows) * -(-n // played.config.cols)
        assert result.cycles == played.config.run_cycles(k, tiles)


@pytest.mark.parametrize("scheme", list(SCHEMES))
def test_a_wrong_bit_is_reported(layers, scheme):
    config = Config(group=6, **SCHEMES[scheme])
    products = [quantized(layer, config) for layer in layers]
    results = [result for result in golden_play(products, config) if result]
    assert Run("", config, products, results).wrong(layers) == []
    results[1].out.view(np.uint32)[2, 3] ^= 1
    assert Run("", config, products, results).wrong(layers) == ["layer1"]


def test_utilization_of_a_full_array_is_one():
    assert utilization(3 * 4 * 100, 100, Config(rows=3, cols=4)) == 1.0


def test_the_report_has_cycles_utilization_and_error_of_every_run():
    layer = Layer("it", np.full((2, 4), 2, np.float32), np.full((4, 8), 0.5, np.float32))
    config = Config(rows=2, cols=8)
    outs = [np.full((2, 8), value, np.float32) for value in (4, 5)]
    runs = [Run(f"R{i}", config, [], [Played(out, 1000 * i + 8)]) for i, out in enumerate(outs)]
    rows = [line.split() for line in text(report("Title", [layer], runs)).splitlines()]
    assert ["it", "2x4x8", "8", "50%", "1,008", "0%", "0.00%", "25.00%"] in rows
    assert ["all", "8", "50%", "1,008", "0%"] in rows
    assert ["R0", "R1", "R0", "R1"] in rows


@pytest.fixture
def mocked(layers, monkeypatch):
    monkeypatch.setattr(demo_command, "layers_of", lambda _: layers)
    monkeypatch.setattr(demo_command, "play", golden_play)
    monkeypatch.setattr(demo_command, "require_simulator", lambda _: None)
    return monkeypatch


def test_the_command_compares_every_scheme(mocked):
    result = CliRunner().invoke(demo, ["--group", "6"])
    assert result.exit_code == 0, result.output
    equal = "3 of 3 layers equal the golden model bit for bit\n"
    for title in ("W4A8", "W4A16 aligned", "W4A16 fp_mac"):
        assert f"\n{title}: {equal}" in result.stdout
    assert result.stdout.count("W4 group") == 1


def test_the_command_runs_the_chosen_schemes_only(mocked):
    result = CliRunner().invoke(demo, ["--scheme", "fp_mac", "--scheme", "w4a8"])
    lines = [line.split(":")[0] for line in result.stdout.splitlines() if "bit for bit" in line]
    assert lines == ["W4A16 fp_mac", "W4A8"] * 2


def test_the_command_fails_where_bits_differ(mocked):
    def broken(products, config, *_):
        for i, result in enumerate(golden_play(products, config)):
            if result is not None and i == 3 and config.scheme.name == "aligned":
                result.out.view(np.uint32)[0, 0] ^= 1 << 31
            yield result

    mocked.setattr(demo_command, "play", broken)
    result = CliRunner().invoke(demo, ["--group", "6"])
    assert result.exit_code == 1
    assert "W4A16 aligned: 2 of 3 layers equal the golden model bit for bit; not layer1\n" in result.stdout
    assert "W4A16 fp_mac: 3 of 3" in result.stdout


def test_errors_need_no_simulator(mocked):
    mocked.setattr(demo_command, "play", None)
    mocked.setattr(demo_command, "require_simulator", None)
    result = CliRunner().invoke(demo, ["--errors", "--group", "6"])
    assert result.exit_code == 0, result.output
    for name in ARITHMETICS:
        assert result.stdout.count(f" {name} ") == 1


def dequantized(w: np.ndarray, group: int) -> np.ndarray:
    """w in INT4 of groups with FP16 scales rounded up, from the definition."""
    values = np.empty(w.shape)
    for start in range(0, len(w), group):
        part = w[start : start + group].astype(np.float64)
        step = np.abs(part).max(axis=0) / 7
        scale = step.astype(np.float16)
        scale = np.where(scale < step, np.nextafter(scale, np.float16(np.inf)), scale).astype(np.float64)
        values[start : start + group] = np.rint(part / scale) * scale
    return values


def aligned(x: np.ndarray, bits: int, group: int) -> np.ndarray:
    """FP16 numbers as integers of `bits` bits with one exponent in a row's group, from the definition."""
    values = np.empty(x.shape)
    for start in range(0, x.shape[1], group):
        part = x[:, start : start + group].astype(np.float64)
        unit = 2.0 ** (np.floor(np.log2(np.abs(part).max(axis=1, keepdims=True))) - bits + 2)
        limit = 2 ** (bits - 1) - 1
        values[:, start : start + group] = np.clip(np.rint(part / unit), -limit, limit) * unit
    return values


def test_errors_are_those_of_the_definitions(layers):
    table = {row.arithmetic: row for row in errors(layers, 6)}
    assert list(table) == list(ARITHMETICS)
    for i, layer in enumerate(layers):
        w, fp16 = dequantized(layer.w, 6), layer.x.astype(np.float16).astype(np.float64)
        for bits in (8, 9, 10, 11, 12, 13, 16):
            row, out = table[f"FP16 aligned to {bits} bits"], aligned(fp16, bits, 6) @ w
            assert row.own[i] == pytest.approx(relative_error(out, fp16 @ w), abs=1e-6)
            assert row.total[i] == pytest.approx(relative_error(out, layer.exact), abs=1e-6)
        step = np.abs(layer.x).max(axis=1, keepdims=True) / 127
        int8 = np.rint(layer.x / step) * step
        assert table["INT8 per token"].own[i] == pytest.approx(relative_error(int8 @ w, fp16 @ w), abs=1e-5)
        for name in ("FP16 aligned, exact", "FP16 fp_mac"):
            assert table[name].own[i] < 1e-6
            assert table[name].total[i] == pytest.approx(relative_error(fp16 @ w, layer.exact), abs=1e-6)
