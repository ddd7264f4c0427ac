"""Groups as long as a K can be: widths, golden model, and arrays that count to the end of one."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from mixpe.gen.operand_bench import operand_testbench
from mixpe.gen.testbench import testbench as plain_testbench
from mixpe.gen.write import design_verilog
from mixpe.hw.fp.convert import INTEGER_BITS
from mixpe.quant.golden import mpgemm
from mixpe.quant.golden.integer_sums import exact_dtype
from mixpe.quant.packing.beats import pack_matmul, pack_outputs
from mixpe.quant.samples import random_operands
from mixpe.spec.array import Config
from mixpe.spec.core import SIZE_BITS, CoreConfig
from mixpe.spec.fields import LARGEST_ALIGNED_GROUP, LARGEST_GROUP
from verif.harness.testbench import run_testbench
from verif.reference.exact import codes, reference
from verif.reference.exact_float import float_reference
from verif.samples.products import matrix

PER_CHANNEL = 20000
"""A K, and a group, beyond the 16384 of an aligned array."""

ARRAYS = {
    "W4A8": Config(rows=2, cols=2, group=LARGEST_GROUP),
    "W8A16 with zero points": Config(
        rows=1, cols=2, group=LARGEST_GROUP, weight_bits=8, act_bits=16, weight_signed=False, zero_point=True
    ),
    "carry save": Config(rows=2, cols=1, group=LARGEST_GROUP, datapath="carry_save", lanes=2),
    "fp_mac": Config(
        rows=1, cols=1, group=LARGEST_GROUP, act_format="fp16", fp_scheme="fp_mac", zero_point=True
    ),
    "fp_mac of BF16": Config(
        rows=1, cols=2, group=LARGEST_GROUP, act_format="bf16", fp_scheme="fp_mac", lanes=2
    ),
}


def test_the_largest_group_is_the_largest_k():
    assert LARGEST_GROUP == (1 << SIZE_BITS) - 1


def test_widest_sums():
    """All integers of the hardware fit in what becomes FP32, and in float64 without rounding."""
    most = (0, 0)
    for signed, zero, datapath in product((False, True), (False, True), ("shift_add", "carry_save")):
        config = Config(
            group=LARGEST_GROUP,
            weight_bits=8,
            act_bits=16,
            weight_signed=signed,
            zero_point=zero,
            datapath=datapath,
            acc_bits=48,
        )
        most = max(most, (config.corrected_bits, config.sum_bits))
    assert most == ((255 * (1 << 15) * LARGEST_GROUP).bit_length() + 1, 48)
    assert most[0] <= INTEGER_BITS
    assert exact_dtype(LARGEST_GROUP, 255, 1 << 15) == np.float64


def test_widest_aligned_sums_fit_in_two_halves():
    """The bound that the golden model's two halves rest on."""
    assert (1 << 40) * 255 * LARGEST_ALIGNED_GROUP < 1 << 62
    assert (1 << 40) * 255 * LARGEST_GROUP > 1 << 63, "a longer group would need more than int64"


@pytest.mark.parametrize("name", ["W4A8", "W8A16 with zero points"])
def test_golden_model_per_channel(name):
    config = replace(ARRAYS[name], name="")
    rng = np.random.default_rng(3)
    a, weights, t = random_operands(rng, 2, PER_CHANNEL, 2, config, extreme=True)
    assert weights.groups["s"].shape == (1, 2)
    expected = reference(a, weights, t, config)
    np.testing.assert_array_equal(codes(mpgemm(a, weights, t=t, config=config)), expected)
    # The same, where the group is K itself.
    exact = replace(config, group=PER_CHANNEL)
    same = replace(weights, format=exact.matrix)
    np.testing.assert_array_equal(codes(mpgemm(a, same, t=t, config=exact)), expected)


def test_golden_model_adds_a_long_group_to_the_last_bit():
    """Extremes only: P is the least it can be over 2**20 weights, and one unit more."""
    config = Config(group=LARGEST_GROUP, weight_bits=8, act_bits=16)
    k = 1 << 20
    a = np.full((1, k), -(1 << 15))
    q = np.full((k, 2), 127)
    q[0, 1], a[0, 0] = 126, -1
    out = mpgemm(a, matrix(config, q, np.ones((1, 2), np.float16)), config=config)
    total = -127 * (1 << 15) * (k - 1)
    assert [float(each) for each in out[0]] == [np.float32(total - 127), np.float32(total - 126)]


@pytest.mark.parametrize("name", ["fp_mac", "fp_mac of BF16"])
def test_golden_model_in_floating_point_per_channel(name):
    config, rng = replace(ARRAYS[name], name=""), np.random.default_rng(5)
    a, weights, t = random_operands(rng, 1, 17000, config.cols, config)
    found = codes(mpgemm(a, weights, t=t, config=config))
    np.testing.assert_array_equal(found, float_reference(a, weights, t, config))


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(config, marks=[pytest.mark.nightly] * ("fp_mac" in name), id=name)
        for name, config in ARRAYS.items()
    ],
)
def test_short_k_in_the_largest_group(config, tmp_path):
    """A per-channel array multiplies a K of some hundreds as the golden model does; its bench stays small."""
    bench = plain_testbench(config)
    assert len(bench) < 400_000
    (line,) = run_testbench(design_verilog(config), bench, tmp_path)
    assert line.startswith("PASS")


@pytest.mark.parametrize(
    "config",
    [
        Config(rows=1, cols=1, group=PER_CHANNEL, zero_point=True),
        Config(rows=1, cols=1, group=PER_CHANNEL + 1, lanes=4, weight_bits=8, act_bits=16, datapath="booth"),
        Config(rows=1, cols=1, group=PER_CHANNEL, act_format="fp8_e5m2", fp_scheme="fp_mac", lanes=2),
    ],
    ids=lambda config: config.name,
)
def test_array_counts_to_the_end_of_a_long_group(config, tmp_path):
    """Two groups: one that ends by count, one that ends the tile."""
    k = config.group + 9
    a, weights, t = random_operands(np.random.default_rng(9), 1, k, 1, config, extreme=True)
    assert len(weights.groups["s"]) == 2
    results = pack_outputs(mpgemm(a, weights, t=t, config=config), config)
    bench, _ = operand_testbench(
        config, pack_matmul(a, weights, t=t, config=config), results, k, period_ns=10
    )
    (line,) = run_testbench(design_verilog(config), bench, tmp_path)
    assert line.startswith("PASS")


def test_core_of_the_largest_group():
    """Its register field holds the group."""
    core = CoreConfig(array=Config(rows=1, cols=1, group=65535), name="core")
    assert "module core(" in design_verilog(core)
