"""Mutants of arrays: each is killed by the testbench that ships, proved equal, or listed here.

Yosys chooses them by a seed and by the Verilog: a change of the hardware brings others. One that lives
is a hole of the testbench, which is to be mended; or what it changes cannot be seen, and it is to be listed.
"""

from dataclasses import replace

import pytest

from mixpe.spec.array import Config
from verif.harness.array_mutants import judge, make, reason
from verif.harness.verdicts import table, unknown

SHAPE = {"rows": 2, "cols": 2, "group": 6}
INTEGERS = Config(name="ints", weight_signed=False, zero_point=True, token_scale=True, **SHAPE)

NIGHTLY: dict[str, tuple[Config, int, str]] = {
    "integers, FP16 results": (replace(INTEGERS, name="half", out_format="fp16"), 100, ".*"),
    "integers": (INTEGERS, 120, ".*"),
    "carry_save": (Config(name="carry", lanes=2, datapath="carry_save", **SHAPE), 80, ".*"),
    "aligned": (
        Config(name="aligned", act_format="fp16", align_bits=11, zero_point=True, **SHAPE),
        100,
        ".*",
    ),
    "fp_mac": (Config(name="fpmac", act_format="fp16", fp_scheme="fp_mac", **SHAPE), 100, ".*"),
    "FP4 weights, booth": (
        Config(name="fpfour", weight_format="fp4_e2m1", datapath="booth", **SHAPE),
        60,
        ".*",
    ),
    "banks": (
        Config(name="banked", rows=2, cols=4, group=20, share=2, weight_signed=False, token_scale=True),
        80,
        "|drain|pacer|read_out|conversion|column|.*hold.*",
    ),
    "clusters": (
        Config(name="clustered", rows=4, cols=2, group=24, cluster=2, zero_point=True),
        80,
        "|drain|pacer|read_out|row|array|pe.*|column|.*hold.*",
    ),
    "segments": (
        Config(name="cut", rows=12, cols=1, group=4, zero_point=True),
        40,
        "|drain|array.*|read_out|pacer",
    ),
    "multiplier": (Config(name="multip", datapath="multiplier", **SHAPE), 20, "pe|.*adder"),
    "bit_heap": (Config(name="heap", datapath="bit_heap", **SHAPE), 30, "pe|full_adder|half_adder"),
}


def tried(config: Config, count: int, seed: int, folder, modules: str = ".*", **options) -> list[str]:
    """Returns the keys of those of `count` mutants that live without a known reason."""
    verdicts = judge(make(config, count, seed, folder, modules), config, **options)
    print(table(verdicts, reason))
    keys = unknown(verdicts, reason)
    print("\n".join(keys))
    return keys


def test_sample(tmp_path):
    assert not tried(INTEGERS, 20, 1, tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("name", NIGHTLY)
def test_hundreds(name, tmp_path):
    config, count, modules = NIGHTLY[name]
    assert not tried(config, count, 2, tmp_path, modules, processes=2)
