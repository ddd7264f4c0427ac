"""Whole arrays against the golden model, under every simulator."""

from dataclasses import replace

import numpy as np
import pytest

from mixpe.gen.configurations import load_config, named_configurations
from mixpe.gen.write import design_verilog
from mixpe.sim.cocotb.runner import SIMULATORS
from mixpe.spec.array import DATAPATHS, Config
from mixpe.spec.fields import ALIGN_BITS, exact_align_bits
from mixpe.spec.formats.numbers import ACT_FORMATS
from verif.harness.matmul import simulate_matmul

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
    "3x4, bit heap": Config(rows=3, cols=4, group=20, datapath="bit_heap", weight_bits=3, lanes=2),
    "4x3, booth": Config(
        rows=4, cols=3, group=24, datapath="booth", weight_bits=5, weight_signed=False, zero_point=True
    ),
    "4x4, carry-save": Config(
        rows=4, cols=4, group=30, datapath="carry_save", weight_signed=False, zero_point=True, lanes=2
    ),
    "2x3, carry-save, 32-bit sums": Config(rows=2, cols=3, group=3, datapath="carry_save", acc_bits=32),
    "4x3, FP16 aligned to 13 bits": Config(
        rows=4, cols=3, group=20, act_format="fp16", align_bits=13, datapath="booth"
    ),
    "3x4, FP16 exact, zero points": Config(
        rows=3, cols=4, group=9, act_format="fp16", weight_signed=False, zero_point=True, lanes=2
    ),
    "5x2, BF16 aligned, carry-save": Config(
        rows=5, cols=2, group=24, act_format="bf16", align_bits=11, datapath="carry_save", lanes=4
    ),
    "2x3, E4M3 exact, zero points": Config(
        rows=2, cols=3, group=16, act_format="fp8_e4m3", zero_point=True, out_format="fp16"
    ),
    "3x3, E5M2 aligned, unsigned only": Config(
        rows=3, cols=3, group=12, act_format="fp8_e5m2", align_bits=8, weight_signed=False, token_scale=True
    ),
    "3x4, FP16 as it is": Config(rows=3, cols=4, group=20, act_format="fp16", fp_scheme="fp_mac"),
    "4x3, BF16 as it is, zero points": Config(
        rows=4,
        cols=3,
        group=9,
        act_format="bf16",
        fp_scheme="fp_mac",
        weight_signed=False,
        zero_point=True,
        lanes=2,
    ),
    "2x2, E5M2 as it is, unsigned only": Config(
        rows=2,
        cols=2,
        group=16,
        act_format="fp8_e5m2",
        fp_scheme="fp_mac",
        weight_bits=3,
        weight_signed=False,
        lanes=4,
        out_format="fp16",
        token_scale=True,
    ),
    "3x6, banks of 3, carry-save, zero points": Config(
        rows=3,
        cols=6,
        group=10,
        share=3,
        datapath="carry_save",
        zero_point=True,
        token_scale=True,
        out_format="fp16",
    ),
    "4x4, banks of 4, FP16 aligned, zero points": Config(
        rows=4, cols=4, group=16, share=4, act_format="fp16", align_bits=11, zero_point=True
    ),
    "4x6, clusters, banks of 3, zero points": Config(
        rows=4, cols=6, group=12, cluster=2, share=3, zero_point=True, weight_signed=False, lanes=2
    ),
    "6x4, clusters, E5M2 aligned, zero points": Config(
        rows=6,
        cols=4,
        group=7,
        cluster=2,
        act_format="fp8_e5m2",
        align_bits=9,
        zero_point=True,
        datapath="carry_save",
        token_scale=True,
    ),
    "2x4, clusters, FP16 as it is, zero points": Config(
        rows=2, cols=4, group=14, cluster=2, act_format="fp16", fp_scheme="fp_mac", zero_point=True
    ),
    "2x10, banks of 5": Config(rows=2, cols=10, group=12, share=5, lanes=2, token_scale=True),
    "3x4, banks of 2, FP16 as it is, zero points": Config(
        rows=3, cols=4, group=14, share=2, act_format="fp16", fp_scheme="fp_mac", zero_point=True
    ),
    "16x3, two segments, zero points": Config(rows=16, cols=3, group=8, zero_point=True, token_scale=True),
    "28x2, four segments, FP16 aligned": Config(
        rows=28, cols=2, group=3, act_format="fp16", align_bits=11, zero_point=True
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


FLOATS = [name for name in named_configurations() if name.startswith("w4a16")]

BOTH = ("4x3, booth", "4x3, FP16 aligned to 13 bits")
"""Arrays that run under both simulators each time; of the others, the large ones under Verilator, small ones
under Icarus, and in nightly all under both."""


def runs():
    """Yields every array with every simulator."""
    for name, config in CONFIGS.items():
        usual = "verilator" if config.rows * config.cols > 100 or config.scheme_name == "fp_mac" else "icarus"
        for simulator in SIMULATORS:
            marks = [] if simulator == usual or name in BOTH else [pytest.mark.nightly]
            yield pytest.param(name, simulator, id=f"{name}-{simulator}", marks=marks)


@pytest.mark.parametrize(("name", "simulator"), list(runs()))
def test_matmul(name, simulator, tmp_path):
    config = CONFIGS[name]
    simulate_matmul(config, design_verilog(config), simulator, tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("name", FLOATS)
def test_corner_of_a_packaged_float_configuration(name, tmp_path):
    config = replace(load_config(name), rows=3, cols=4)
    simulate_matmul(config, design_verilog(config), "verilator", tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("name", FLOATS)
def test_packaged_float_configuration(name, simulator, tmp_path):
    config = load_config(name)
    simulate_matmul(config, design_verilog(config), simulator, tmp_path)


def random_config(seed: int) -> Config:
    """A configuration drawn from all fields' ranges, of a size that a simulator takes in its stride."""
    rng = np.random.default_rng(seed)
    if seed % 2:
        return random_float_config(rng)
    return Config(
        **random_shape(rng, 9),
        weight_bits=int(rng.integers(2, 9)),
        weight_signed=bool(rng.integers(2)),
        zero_point=bool(rng.integers(2)),
        act_bits=int(rng.integers(4, 17)),
        group=int(rng.choice([1, 2, 3, 7, 8, 13, 32, 33, 64, 100, 300])),
        lanes=int(rng.choice([1, 2, 4, 8])),
        datapath=str(rng.choice(DATAPATHS)),
        target=str(rng.choice(["asic", "fpga"])),
        out_format=str(rng.choice(["fp32", "fp16", "bf16"])),
        token_scale=bool(rng.integers(2)),
    )


def random_shape(rng: np.random.Generator, most: int) -> dict[str, int]:
    """Rows, columns, and how they share: half of the time as is best, else in any way that is legal."""
    rows, cols = (int(size) for size in rng.integers(1, most, 2, endpoint=True))
    shape = {"rows": rows, "cols": cols, "cluster": 1, "share": 0}
    if rng.random() < 0.3:
        shape |= {"rows": rows + rows % 2, "cols": cols + cols % 2, "cluster": 2}
    if rng.random() < 0.5:
        counts = range(shape["cluster"], shape["cols"] + 1)
        shape["share"] = int(rng.choice([each for each in counts if shape["cols"] % each == 0]))
    return shape


def random_float_config(rng: np.random.Generator) -> Config:
    form = ACT_FORMATS[str(rng.choice([*ACT_FORMATS]))]
    aligned = bool(rng.integers(2))
    widest = min(exact_align_bits(form), ALIGN_BITS[1])
    return Config(
        **random_shape(rng, 7),
        weight_bits=int(rng.integers(2, 9)),
        weight_signed=bool(rng.integers(2)),
        zero_point=bool(rng.integers(2)),
        act_format=form.name,
        fp_scheme="aligned" if aligned else "fp_mac",
        align_bits=int(rng.integers(ALIGN_BITS[0], widest, endpoint=True)) if aligned else 0,
        group=int(rng.choice([1, 2, 3, 7, 8, 13, 32, 33, 64])),
        lanes=int(rng.choice([1, 2, 4, 8])),
        datapath=str(rng.choice(DATAPATHS)) if aligned else "shift_add",
        target=str(rng.choice(["asic", "fpga"])),
        out_format=str(rng.choice(["fp32", "fp16", "bf16"])),
        token_scale=bool(rng.integers(2)),
    )


@pytest.mark.nightly
@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("seed", range(32))
def test_random_configuration(seed, simulator, tmp_path):
    config = random_config(seed)
    simulate_matmul(config, design_verilog(config), simulator, tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize(
    "config",
    [Config(rows=32, cols=32), Config(rows=64, cols=2, group=32), Config(rows=2, cols=64, group=16, lanes=8)],
    ids=lambda config: config.name,
)
def test_large_array(config, tmp_path):
    simulate_matmul(config, design_verilog(config), "verilator", tmp_path)
