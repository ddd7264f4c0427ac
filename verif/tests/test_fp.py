"""The floating-point units against NumPy, under every simulator, and what becomes of wrong ones."""

import pytest
from amaranth.hdl import Cat, Const

from mixpe.hw.fp import FloatCast, FloatMultiplier, IntToFloat
from mixpe.hw.fp.normalize import round_and_pack
from mixpe.sim.cocotb.runner import SimulationError, simulate
from mixpe.spec.errors import UserError
from mixpe.spec.formats.numbers import FP16, FP32, FloatFormat
from verif.benches.fp import VECTORS
from verif.benches.fp_bank import bank_verilog


def run_bank(simulator, folder, **kwargs):
    source = folder / "fp_bank.v"
    source.write_text(bank_verilog())
    simulate(
        sources=[source],
        top="fp_bank",
        bench="verif.benches.fp",
        simulator=simulator,
        build_dir=folder / simulator,
        **kwargs,
    )


# Variants of a class of units share its operands: each takes at least a tenth of them. Icarus is some twenty
# times slower than Verilator.
@pytest.mark.parametrize(
    ("simulator", "vectors"),
    [
        pytest.param("icarus", 20_000, id="icarus"),
        pytest.param("verilator", 1_000_000, id="verilator"),
        pytest.param("icarus", 1_000_000, id="icarus-more", marks=pytest.mark.nightly),
        pytest.param("verilator", 20_000_000, id="verilator-more", marks=pytest.mark.nightly),
    ],
)
def test_units_match_numpy(simulator, vectors, tmp_path):
    run_bank(simulator, tmp_path, env={VECTORS: str(vectors)}, optimize=simulator == "verilator")


def test_wrong_rounding_is_caught_in_every_unit(tmp_path, monkeypatch):
    def ties_up(m, exponent, significand, fraction_bits, *, name):
        """As if the last bit kept were always odd."""
        dropped = len(significand) - 1 - fraction_bits
        odd = Cat(significand[:dropped], Const(1, 1), significand[dropped + 1 :])
        rounded = round_and_pack(m, exponent, odd, fraction_bits, name=name)
        return (rounded - ~significand[dropped])[: len(rounded)]

    for unit in ("add", "multiply", "convert"):
        monkeypatch.setattr(f"mixpe.hw.fp.{unit}.round_and_pack", ties_up)
    with pytest.raises(SimulationError) as failure:
        run_bank("icarus", tmp_path, env={VECTORS: "8"})
    for unit in ("add", "multiply_fp32_fp16", "multiply_fp32_fp32", "int38", "cast_fp16"):
        assert f"{unit}: " in str(failure.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: IntToFloat(1), "width of the integer must be 2 to 64, not 1"),
        (lambda: IntToFloat(65), "width of the integer must be 2 to 64, not 65"),
        (
            lambda: FloatCast(FloatFormat("fp8", 4, 3)),
            "format of a cast must be one of fp32, fp16, bf16, not",
        ),
        (lambda: FloatMultiplier(FloatFormat("fp8", 4, 3), FP32), "a_format must be one of fp32, fp16, bf16"),
        (lambda: FloatMultiplier(FP32, FloatFormat("fp8", 4, 3)), "b_format must be one of fp32, fp16, bf16"),
        (
            lambda: FloatMultiplier(FP32, FP32, a_integer=19),
            "a_integer needs a_format FP32 and b_format FP16",
        ),
        (lambda: FloatMultiplier(FP32, FP16, a_integer=65), "a_integer must be 2 to 64, not 65"),
    ],
)
def test_rejects(make, message):
    with pytest.raises(UserError, match=message):
        make()
