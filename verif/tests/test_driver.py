"""The driver: products, what it refuses, and memory. On a core in plain Python."""

import dataclasses
import itertools

import numpy as np
import pytest

from mixpe.driver.accelerator import Accelerator
from mixpe.driver.allocator import Allocator
from mixpe.quant.packing import memory
from mixpe.spec import layout
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig
from mixpe.spec.errors import UserError
from mixpe.spec.registers import ID_VALUE
from verif.reference.core import ReferenceCore
from verif.samples.products import Product, matrix, random_product, same

PLAIN = CoreConfig(name="plain", array=Config(rows=3, cols=4, group=8), data_bits=64, queue=2)
FULL = CoreConfig(
    name="full",
    array=Config(
        rows=2,
        cols=5,
        group=7,
        lanes=4,
        weight_bits=3,
        weight_signed=False,
        zero_point=True,
        token_scale=True,
        act_format="bf16",
        fp_scheme="fp_mac",
        out_format="bf16",
    ),
    data_bits=128,
    address_bits=36,
    queue=1,
)
NARROW = CoreConfig(
    name="narrow",
    array=Config(rows=5, cols=2, group=32, lanes=2, weight_bits=8, act_bits=4, out_format="fp16"),
    data_bits=256,
    queue=15,
)
CORES = [PLAIN, FULL, NARROW]


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def core():
    return ReferenceCore(PLAIN)


@pytest.fixture
def accelerator(core):
    return Accelerator(core, PLAIN, patience=1000)


def product(rng, config: CoreConfig, m=3, k=20, n=6, *, extreme=False) -> Product:
    return random_product(rng, config.array, m, k, n, extreme=extreme)


def refusal(action, *args, **kwargs) -> str:
    with pytest.raises(UserError) as error:
        action(*args, **kwargs)
    return str(error.value)


# Products


@pytest.mark.parametrize("config", CORES, ids=lambda config: config.name)
def test_matmul_is_the_golden_models(config, rng):
    """Bit for bit, whatever lay in memory before, at addresses that need the high registers."""
    core = ReferenceCore(config, memory_base=(1 << config.address_bits) - (1 << 20))
    core.memory[:] = 0xA5
    accelerator = Accelerator(core, config)
    for extreme, m, k, n in itertools.product((False, True), (1, 4), (1, 7, 33), (1, 11)):
        a, quantized, t, expected = product(rng, config, m, k, n, extreme=extreme)
        weights = accelerator.load_weights(quantized)
        assert (weights.k, weights.n) == (k, n)
        assert weights.bytes == layout.weight_bytes(k, n, config.array) + layout.scale_bytes(
            k, n, config.array
        )
        assert same(accelerator.matmul(a, weights, t), expected)
        weights.free()
        weights.free()
    assert accelerator.free_bytes == core.memory_bytes


def test_packed_weights(accelerator, rng):
    a, quantized, _, expected = product(rng, PLAIN)
    packed = memory.pack_weights(quantized, PLAIN.array)
    assert same(accelerator.matmul(a, accelerator.load_weights(packed)), expected)
    other = memory.pack_weights(quantized, Config(rows=3, cols=6, group=8))
    assert "cols" in refusal(accelerator.load_weights, other)
    with pytest.raises(UserError, match="layout"):
        dataclasses.replace(packed, layout=layout.LAYOUT_VERSION + 1)


def test_weights_stay_between_products(accelerator, rng):
    first, second = product(rng, PLAIN), product(rng, PLAIN, k=9, n=3)
    one, two = (accelerator.load_weights(each.weights) for each in (first, second))
    for _ in range(2):
        assert same(accelerator.matmul(second[0], two), second[-1])
        assert same(accelerator.matmul(first[0], one), first[-1])


# What the core is


@pytest.mark.parametrize("config", CORES, ids=lambda config: config.name)
def test_core_tells_what_it_is(config, rng):
    accelerator = Accelerator(ReferenceCore(config))
    told, array = accelerator.array, config.array
    for name in (
        "rows",
        "cols",
        "lanes",
        "group",
        "weight_bits",
        "weight_signed",
        "zero_point",
        "token_scale",
    ):
        assert getattr(told, name) == getattr(array, name)
    assert (told.act_code, told.out) == (array.act_code, array.out)
    a, quantized, t, expected = product(rng, config)
    assert same(accelerator.matmul(a, accelerator.load_weights(quantized), t), expected)


def test_another_core():
    """A line for each difference, with both values."""
    other = CoreConfig(
        name="other",
        array=Config(rows=3, cols=3, group=8, token_scale=True, out_format="fp16"),
        data_bits=128,
    )
    assert refusal(Accelerator, ReferenceCore(PLAIN), other).splitlines() == [
        "SHAPE.COLS must be 3 for other, and the core has 4",
        "FORMAT.TOKEN_SCALE must be 1 for other, and the core has 0",
        "FORMAT.OUT_FORMAT must be fp16 for other, and the core has fp32",
        "BUS.DATA_BYTES must be 16 for other, and the core has 8",
        "BUS.QUEUE must be 4 for other, and the core has 2",
    ]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ID", 0, f"ID must be {ID_VALUE:#010x}, not 0x00000000: no accelerator core is there"),
        ("VERSION", 0x0102, "the core's memory layout must be of version 1 for this software, not 2"),
        ("VERSION", 0x0301, "the core's register map must be of version 1 for this software, not 3"),
    ],
)
def test_foreign_core(name, value, message, core):
    core.values[name] = value
    assert refusal(Accelerator, core) == message


def test_memory_beyond_the_address_bus():
    core = ReferenceCore(PLAIN, memory_base=(1 << PLAIN.address_bits) - 64)
    assert refusal(Accelerator, core).startswith(
        "memory must end at 2**40, the core's addresses, not at 0x100"
    )


# Operands are refused before the hardware is touched


def broken_calls():
    """What is wrong, a call of `matmul` or `load_weights` with it, and the message."""

    def call(name, wrong, message):
        return pytest.param(wrong, message, id=name)

    def zeros(k, n):
        scales = np.zeros((PLAIN.array.matrix.groups(k), n), np.float16)
        return matrix(PLAIN.array, np.zeros((k, n), np.int8), scales)

    nan = np.full((3, 6), np.nan, np.float16)
    return [
        call("acts of another type", lambda x, a, p, w: x.matmul(a * 0.5, w), "^a must have an integer"),
        call("acts beyond the format", lambda x, a, p, w: x.matmul(a + 1000, w), r"^a\[\d, \d+\] must be"),
        call(
            "no acts", lambda x, a, p, w: x.matmul(a[:0], w), r"^a must have at least one .*, not \(0, 20\)$"
        ),
        call(
            "another K",
            lambda x, a, p, w: x.matmul(a[:, 1:], w),
            r"^a must have K = 20 columns, .* \(3, 19\)",
        ),
        call("unasked t", lambda x, a, p, w: x.matmul(a, w, np.ones(3, np.float32)), "^t must be None"),
        call("no weights", lambda x, a, p, w: x.matmul(a, p), "^weights must be what load_weights returned"),
        call("codes alone", lambda x, a, p, w: x.load_weights(p.codes), "^weights must be a QuantizedMatrix"),
        call(
            "other groups",
            lambda x, a, p, w: x.load_weights(matrix(Config(group=16), p.codes, nan[:2])),
            "^the weights are quantized as INT4 in groups of 16 with s in FP16, and the array takes INT4 in "
            "groups of 8 with s in FP16",
        ),
        call(
            "unasked z",
            lambda x, a, p, w: x.load_weights(
                matrix(Config(group=8, zero_point=True), p.codes, nan, p.codes[:3])
            ),
            "^the weights are quantized as INT4 .* with s in FP16, z in INT4, and the array takes .* FP16: ",
        ),
        call(
            "wide weights",
            lambda x, a, p, w: x.load_weights(matrix(Config(group=8, weight_bits=8), p.codes * 3 + 9, nan)),
            "^the weights are quantized as INT8 .*, and the array takes INT4 ",
        ),
        call(
            "too many columns",
            lambda x, a, p, w: x.load_weights(zeros(1, 1 << 24)),
            "^n must be an integer of 1 to 16777215",
        ),
        call(
            "too many rows",
            lambda x, a, p, w: x.matmul(np.broadcast_to(np.int8(0), (1 << 24, 20)), w),
            "^a must have at most 16777215 rows, not 16777216",
        ),
        call(
            "freed weights",
            lambda x, a, p, w: (w.free(), x.matmul(a, w)),
            r"^the weights \[20, 6\] are freed",
        ),
        call(
            "no room",
            lambda x, a, p, w: x.matmul(np.zeros((1 << 14, 20), np.int8), w),
            "^memory must have 1048576 free bytes in a piece for activations and results of M = 16384, ",
        ),
        call(
            "no room for weights",
            lambda x, a, p, w: x.load_weights(zeros(1024, 2048)),
            r"^memory must have 1048576 free bytes in a piece for weights .*, and has 104\d{4} of 1048576$",
        ),
    ]


@pytest.mark.parametrize(("wrong", "message"), broken_calls())
def test_refused_operands(wrong, message, core, accelerator, rng):
    a, quantized, _, expected = product(rng, PLAIN)
    weights = accelerator.load_weights(quantized)
    again = accelerator.load_weights(quantized)
    accesses, free = core.accesses, accelerator.free_bytes
    with pytest.raises(UserError, match=message) as error:
        wrong(accelerator, a, quantized, weights)
    assert "\n" not in str(error.value)
    assert core.accesses == accesses
    assert accelerator.free_bytes == free + ("freed" in message) * weights.bytes
    assert same(accelerator.matmul(a, again), expected)


def test_token_scales_of_another_length(rng):
    accelerator = Accelerator(ReferenceCore(FULL), FULL)
    a, quantized, t, _ = product(rng, FULL)
    assert t is not None
    weights = accelerator.load_weights(quantized)
    assert refusal(accelerator.matmul, a, weights).startswith("t is missing")
    assert refusal(accelerator.matmul, a, weights, t[1:]) == "t must have shape [M] = (3,), not (2,)"


def test_weights_of_another_accelerator(accelerator, rng):
    a, quantized, *_ = product(rng, PLAIN)
    foreign = Accelerator(ReferenceCore(PLAIN)).load_weights(quantized)
    assert (
        refusal(accelerator.matmul, a, foreign)
        == "weights must be loaded in this accelerator, not in another"
    )


# Memory


def test_allocator(rng):
    """Regions never overlap, all are aligned, and what is released is whole again."""
    regions, allocator = {}, Allocator(100, 64 * 100)
    whole = allocator.free_bytes
    assert whole == 64 * 99  # from 128 on
    for _ in range(500):
        if regions and rng.random() < 0.5:
            allocator.release(regions.pop(rng.choice(list(regions)))[0])
            continue
        sizes = [int(x) for x in rng.integers(0, 400, rng.integers(1, 4))]
        before = allocator.free_bytes
        try:
            addresses = allocator.allocate(sizes, "anything")
        except UserError:
            assert allocator.free_bytes == before
            continue
        for address, size in zip(addresses, sizes, strict=True):
            assert address % 64 == 0
            assert 128 <= address <= address + max(1, size) <= 6500
            for other, length in regions.values():
                assert address + size <= other or other + length <= address
            regions[address] = (address, max(1, size))
    for address, _ in regions.values():
        allocator.release(address)
    assert allocator.free_bytes == whole
    assert allocator.allocate([whole], "all") == (128,)
    assert refusal(allocator.allocate, [1], "a byte") == (
        "memory must have 64 free bytes in a piece for a byte, and has 0 of 6336"
    )
    with pytest.raises(KeyError):
        allocator.release(64)
