"""What `mixpe demo` is made of: products played through Verilog, and the report."""

import numpy as np
import pytest

from mixpe.cli.demo import Layer, quantized, report, simulated, utilization
from mixpe.hw.config import Config
from mixpe.verif.player import Played

CONFIG = Config(rows=3, cols=4, group=6, token_scale=True)


@pytest.fixture(scope="module")
def layers():
    rng = np.random.default_rng(7)
    shapes = [(3, 6, 4), (5, 13, 9), (1, 1, 1)]
    return [
        Layer(f"layer{i}", rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32))
        for i, (m, k, n) in enumerate(shapes)
    ]


@pytest.fixture(scope="module")
def played(layers, tmp_path_factory):
    products = [quantized(layer, CONFIG) for layer in layers]
    return products, simulated(products, CONFIG, "icarus", tmp_path_factory.mktemp("demo"))


def test_layers_equal_the_golden_model(layers, played):
    products, results = played
    table, wrong = report(layers, products, results, CONFIG)
    assert wrong == []
    assert table.row_count == len(layers) + 1


def test_cycles_follow_the_formula(layers, played):
    for layer, result in zip(layers, played[1], strict=True):
        (m, k), n = layer.x.shape, layer.w.shape[1]
        tiles = -(-m // CONFIG.rows) * -(-n // CONFIG.cols)
        assert result.cycles == CONFIG.run_cycles(k, tiles)


def test_a_wrong_bit_is_reported(layers, played):
    products, results = played
    out = results[1].out.copy()
    out.view(np.uint32)[2, 3] ^= 1
    _, wrong = report(layers, products, [results[0], Played(out, 1), results[2]], CONFIG)
    assert wrong == ["layer1"]


def test_utilization_of_a_full_array_is_one():
    assert utilization(3 * 4 * 100, 100, CONFIG) == 1.0
