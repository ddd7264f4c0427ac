"""FP4 weights and FP6 activations: codes, integers at the door, quantizers, arrays and a core."""

import ml_dtypes
import numpy as np
import pytest

from mixpe.driver.accelerator import Accelerator
from mixpe.gen.write import design_verilog
from mixpe.hw.array.door import FloatDoor
from mixpe.quant.golden import mpgemm
from mixpe.quant.quantize import quantize_activations, quantize_weights
from mixpe.sim.fast import SimulatedCore
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig
from mixpe.spec.errors import UserError
from mixpe.spec.formats.numbers import FloatFormat
from mixpe.spec.formats.weights import WEIGHT_FORMATS, WeightFormat
from verif.harness.matmul import simulate_matmul
from verif.reference.exact import random_operands as integer_operands
from verif.reference.exact import reference
from verif.reference.exact_float import float_reference, random_float_operands
from verif.samples.products import random_product, same

FP4 = {"weight_format": "fp4_e2m1"}
FP6 = {"act_format": "fp6_e3m2"}
MAC = {"fp_scheme": "fp_mac"}

ARRAYS = {
    "FP4, INT8": Config(rows=3, cols=2, group=6, **FP4),
    "FP4, INT8, booth": Config(rows=2, cols=3, group=20, lanes=4, datapath="booth", token_scale=True, **FP4),
    "FP4, INT11, carry-save": Config(rows=2, cols=2, group=9, datapath="carry_save", act_bits=11, **FP4),
    "FP4, FP16 aligned": Config(
        rows=2, cols=2, group=8, act_format="fp16", align_bits=13, datapath="bit_heap", **FP4
    ),
    "FP4, BF16 as it is": Config(rows=2, cols=3, group=7, act_format="bf16", lanes=2, **MAC, **FP4),
    "FP4, FP6 aligned": Config(rows=3, cols=2, group=8, out_format="bf16", **FP4, **FP6),
    "FP4, FP6 as it is": Config(rows=2, cols=2, group=6, lanes=2, **MAC, **FP4, **FP6),
    "INT4, FP6 aligned": Config(rows=2, cols=3, group=10, weight_signed=False, zero_point=True, **FP6),
    "INT5, FP6 rounded": Config(rows=2, cols=2, group=6, weight_bits=5, align_bits=8, lanes=2, **FP6),
    "UINT4, FP6 as it is": Config(
        rows=2, cols=2, group=6, weight_signed=False, token_scale=True, **MAC, **FP6
    ),
}


@pytest.fixture
def rng():
    return np.random.default_rng(64)


BOTH = ("FP4, FP6 aligned",)
"""Arrays that run under Verilator too, which takes longer to build; the others do so in nightly."""


def runs():
    """Yields every array with every simulator."""
    for name in ARRAYS:
        yield pytest.param(ARRAYS[name], "icarus", id=f"{name}-icarus")
        marks = [] if name in BOTH else [pytest.mark.nightly]
        yield pytest.param(ARRAYS[name], "verilator", id=f"{name}-verilator", marks=marks)


@pytest.mark.parametrize(("config", "simulator"), list(runs()))
def test_arrays(config, simulator, tmp_path):
    simulate_matmul(config, design_verilog(config), simulator, tmp_path)


@pytest.mark.parametrize("config", ARRAYS.values(), ids=ARRAYS)
@pytest.mark.parametrize("scales", ["any", "plain"])
def test_golden_model_in_exact_arithmetic(config, scales, rng):
    """Every bit against rational arithmetic that decodes the codes by itself."""
    floats = isinstance(config.act_code, FloatFormat)
    draw, exact = (random_float_operands, float_reference) if floats else (integer_operands, reference)
    for k in (1, 5, 6, 23):
        a, weights, t = draw(rng, config, 3, k, 4, scales)
        out = mpgemm(a, weights, t=t, config=config)
        np.testing.assert_array_equal(out.view(f"u{out.itemsize}"), exact(a, weights, t, config))


def test_integers_are_twice_the_numbers_of_ml_dtypes():
    weight = WEIGHT_FORMATS["fp4_e2m1"]
    numbers = np.arange(16, dtype=np.uint8).view(ml_dtypes.float4_e2m1fn).astype(np.float64)
    assert [weight.inside(code) for code in range(16)] == (2 * numbers).astype(int).tolist()
    assert (weight.integer.bits, weight.exponent, weight.limits) == (5, -1, (-12, 12))


@pytest.mark.parametrize("name", ["fp4_e2m1", "e2m3", "e3m2"])
def test_door_of_every_code(name, settled):
    """The circuit's integer for each code; E2M3 and E3M2 are what a further format would be."""
    forms = {
        "e2m3": FloatFormat("e2m3", 2, 3, infinities=False, nans=False),
        "e3m2": FloatFormat("e3m2", 3, 2, infinities=False, nans=False),
    }
    weight = WEIGHT_FORMATS.get(name) or WeightFormat(forms[name])
    width, codes = weight.integer.bits, range(1 << weight.bits)
    want = [weight.inside(code) % (1 << width) for code in codes]
    assert settled(lambda: FloatDoor(weight), codes) == want


@pytest.fixture
def settled():
    """A function that gives the outputs `o` of a combinational component for inputs `i`."""
    from amaranth.sim import Simulator

    def run(make, inputs):
        component, outputs = make(), []

        async def bench(ctx):
            for value in inputs:
                ctx.set(component.i, value)
                outputs.append(ctx.get(component.o))

        simulator = Simulator(component)
        simulator.add_testbench(bench)
        simulator.run()
        return outputs

    return run


@pytest.mark.parametrize("group", [1, 7, 32])
def test_quantized_weights_are_the_nearest(group, rng):
    """The stored scale takes the largest to at most 6; each code is that of ml_dtypes for w / s."""
    config = Config(group=group, **FP4)
    w = rng.standard_normal((45, 5)) * 2.0 ** rng.integers(-12, 12, 5)
    weights = quantize_weights(w, config)
    spread = np.repeat(weights.groups["s"].astype(np.float64), group, axis=0)[:45]
    quotients = w / np.where(spread == 0, 1, spread)
    assert np.abs(quotients).max() <= 6
    nearest = quotients.astype(np.float32).astype(ml_dtypes.float4_e2m1fn)
    exact = quotients.astype(np.float32) == quotients
    assert weights.codes.dtype == ml_dtypes.float4_e2m1fn
    assert (weights.codes.view(np.uint8) == nearest.view(np.uint8))[exact].all()
    step = np.where(np.abs(quotients) > 4, 1.0, np.where(np.abs(quotients) > 2, 0.5, 0.25))
    assert (np.abs(weights.codes.astype(np.float64) - quotients) <= step).all()
    np.testing.assert_array_equal(
        weights.dequantized(), weights.codes.astype(np.float32) * spread.astype(np.float32)
    )


def test_quantized_activations(rng):
    x = rng.standard_normal((4, 33)) * 100
    a, t = quantize_activations(x, Config(token_scale=True, **FP6))
    assert a.dtype == ml_dtypes.float6_e3m2fn
    assert np.abs(a.astype(np.float64)).max() <= 28
    assert np.linalg.norm(a.astype(np.float64) * t[:, None] - x) < 0.1 * np.linalg.norm(x)
    with pytest.raises(
        UserError, match=r"x\[0, \d+\] must be at most 28 in magnitude for act_format fp6_e3m2"
    ):
        quantize_activations(x, Config(**FP6))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"zero_point": True}, "zero_point must be false for weight_format fp4_e2m1, not true"),
        ({"weight_signed": False}, "weight_signed must be true for weight_format fp4_e2m1, not false"),
        ({"weight_bits": 5}, "weight_bits must be 4 for weight_format fp4_e2m1, not 5"),
    ],
)
def test_what_fp4_weights_lack(fields, message):
    with pytest.raises(UserError) as error:
        Config(**FP4, **fields)
    assert str(error.value) == message


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(FP4 | {"token_scale": True}, marks=pytest.mark.nightly),
        pytest.param(FP6, marks=pytest.mark.nightly),
        FP4 | FP6 | MAC,
    ],
    ids=["FP4", "FP6", "both"],
)
def test_core(fields, rng):
    """Products of a core by its driver, from memory to memory."""
    array = Config(rows=2, cols=3, group=7, lanes=2, **fields)
    core = CoreConfig(name="small_float_core", array=array, data_bits=64, burst=4, act_words=8, scale_words=8)
    with SimulatedCore(core, memory_bytes=1 << 20) as simulated:
        accelerator = Accelerator(simulated)  # which learns the formats from the registers
        assert accelerator.array.weight_format == array.weight_format
        assert accelerator.array.act_format == array.act_format
        for m, k, n in ((1, 1, 1), (5, 30, 7), (3, 64, 4)):
            for extreme in (False, True):
                product = random_product(rng, array, m, k, n, extreme=extreme)
                loaded = accelerator.load_weights(product.weights)
                assert same(accelerator.matmul(product.a, loaded, product.t), product.out)
                loaded.free()
