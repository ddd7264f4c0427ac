"""Products played through an array: what comes back is the golden model's, whatever the types."""

import numpy as np
import pytest

from mixpe.quant.golden import mpgemm
from mixpe.quant.operands import Operands, float_dtype
from mixpe.sim.cocotb.player import play
from mixpe.spec.array import Config
from verif.samples.products import matrix

CONFIGS = [
    Config(rows=2, cols=2, group=8, act_format="bf16", align_bits=9, out_format="bf16"),
    Config(rows=2, cols=2, group=8, act_format="fp8_e4m3", fp_scheme="fp_mac"),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_types_that_numpy_has_not(config, tmp_path):
    rng = np.random.default_rng(4)
    a = rng.standard_normal((3, 11)).astype(float_dtype(config.act_float))
    q = rng.integers(-8, 8, (11, 3))
    weights = matrix(config, q, rng.uniform(0.01, 0.1, (2, 3)).astype(np.float16))
    products = [Operands(config, a, weights)]
    played = [found for found in play(products, config, "icarus", tmp_path) if found is not None]
    assert len(played) == 1
    assert played[0].out.dtype == float_dtype(config.out)
    assert played[0].out.tobytes() == mpgemm(a, weights, config=config).tobytes()
