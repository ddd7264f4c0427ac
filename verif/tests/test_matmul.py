"""Whole arrays against the golden model, under every simulator."""

import pytest

from mixpe.gen.write import design_verilog
from mixpe.hw.config import Config
from mixpe.verif.matmul import simulate_matmul
from mixpe.verif.runner import SIMULATORS

CONFIGS = {
    "1x1": Config(rows=1, cols=1, group=8),
    "row, unsigned, lanes": Config(
        rows=1, cols=5, group=16, weight_signed=False, zero_point=True, lanes=4, act_bits=6
    ),
    "column, token scale": Config(rows=6, cols=1, group=9, lanes=2, token_scale=True, out_format="fp16"),
    "3x5, unsigned only": Config(
        rows=3, cols=5, group=5, weight_bits=3, weight_signed=False, out_format="bf16"
    ),
    "4x7, wide": Config(
        rows=4, cols=7, group=40, weight_bits=8, act_bits=16, zero_point=True, token_scale=True
    ),
    "2x3, groups of one": Config(
        rows=2, cols=3, group=1, weight_bits=2, act_bits=4, lanes=8, datapath="multiplier", zero_point=True
    ),
    "16x16": Config(),
    "16x16, lanes": Config(
        group=64,
        lanes=4,
        weight_signed=False,
        zero_point=True,
        datapath="multiplier",
        token_scale=True,
        out_format="fp16",
    ),
}


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_matmul(config, simulator, tmp_path):
    simulate_matmul(config, design_verilog(config), simulator, tmp_path)
