"""Small cores of all kinds, for their tests: every width of bus, lanes 1 to 8, all sorts of operands."""

from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig


def core(array: Config, **sizes: int) -> CoreConfig:
    return CoreConfig(array=array, name="core", **sizes)


# Bursts of more than 64 bytes do not always begin at their boundary.
SMALL = {"burst": 4, "weight_words": 16, "scale_words": 16, "act_words": 8}

CORES = {
    "3x2, token scales across words": core(
        Config(rows=3, cols=2, group=8, token_scale=True), data_bits=64, **SMALL
    ),
    "4x3, ragged groups, zero points, FP16 results": core(
        Config(
            rows=4, cols=3, group=9, lanes=2, weight_bits=3, zero_point=True, out_format="fp16", act_bits=7
        ),
        data_bits=64,
        burst=16,
        weight_words=32,
        scale_words=32,
        act_words=16,
    ),
    "2x3, one of everything, unsigned, 16-bit activations": core(
        Config(
            rows=2,
            cols=3,
            group=30,
            lanes=4,
            act_bits=16,
            weight_bits=8,
            weight_signed=False,
            token_scale=True,
            out_format="bf16",
        ),
        data_bits=128,
        burst=1,
        weight_words=4,
        scale_words=2,
        act_words=2,
        outstanding=1,
        queue=1,
    ),
    "1x1, a beat for a group, pages as bursts": core(
        Config(rows=1, cols=1, group=7, lanes=8, weight_bits=2),
        data_bits=512,
        address_bits=64,
        burst=64,
        weight_words=128,
        scale_words=128,
        act_words=64,
    ),
    "4x4, FP16 aligned, zero points, token scales": core(
        Config(rows=4, cols=4, group=12, act_format="fp16", align_bits=13, token_scale=True, zero_point=True),
        data_bits=64,
        address_bits=32,
        **SMALL,
    ),
    "2x24, rows of results across pages": core(
        Config(rows=2, cols=24, group=16, weight_bits=2, lanes=2, act_bits=5, token_scale=True),
        data_bits=64,
        burst=32,
        weight_words=64,
        scale_words=64,
        act_words=32,
        queue=2,
    ),
    "3x6, groups of one, 4-bit activations": core(
        Config(rows=3, cols=6, group=1, lanes=2, act_bits=4, weight_bits=5, token_scale=True),
        data_bits=256,
        burst=4,
        weight_words=16,
        scale_words=16,
        act_words=4,
        outstanding=2,
    ),
    "2x2, BF16 as it is": core(
        Config(rows=2, cols=2, group=6, act_format="bf16", fp_scheme="fp_mac", lanes=2),
        data_bits=64,
        **SMALL,
    ),
}

SIMULATED = CoreConfig(
    name="sim_core",
    array=Config(rows=2, cols=3, group=7, lanes=2, weight_signed=False, zero_point=True, token_scale=True),
    data_bits=64,
    burst=16,
    outstanding=2,
    act_words=16,
    weight_words=32,
    scale_words=32,
    queue=2,
)
"""The core of all tests of the fast simulation, which compile it once."""

TINY = CoreConfig(
    name="tiny_core",
    array=Config(rows=2, cols=1, group=4, weight_bits=2, act_bits=4, out_format="bf16"),
    data_bits=64,
    address_bits=32,
    burst=2,
    outstanding=2,
    act_words=4,
    weight_words=4,
    scale_words=4,
    queue=1,
)
"""The core of the tests that compile it anew, with faults."""
