"""The elements after other people's ideas, against sums of NumPy integers, under Icarus Verilog."""

import itertools

import numpy as np
import pytest

from mixpe.hw.baselines import integer as baselines
from mixpe.hw.baselines.integer import (
    BitFusionPE,
    DequantizeFirstPE,
    fusion_mode,
    fusion_operands,
    fusion_products,
)
from mixpe.spec.array import Config
from mixpe.spec.errors import UserError
from verif.benches.baseline_bank import sums

# Of elements that refuse their configuration.
pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")

ADDERS = [{"adder": "ripple"}, {"adder": "prefix"}, {"target": "fpga"}]
DATAPATHS = [{"datapath": name} for name in ("bit_heap", "shift_add", "multiplier", "carry_save")]
FUSION_FORMATS = [(8, 8), (4, 8), (8, 4), (4, 4)]
GROUP = 32  # cycles of the longest sum


def ends_of(lengths):
    ends = np.zeros(sum(lengths), bool)
    ends[np.cumsum(lengths) - 1] = True
    return ends


def expected(products, ends):
    """Sums of products [cycles] up to each end, zero in between."""
    sums = np.zeros(len(ends), np.int64)
    sums[ends] = np.add.reduceat(products, np.concatenate([[0], np.flatnonzero(ends)[:-1] + 1]))
    return sums


def random_lengths(rng, group):
    return [*rng.integers(1, group, 30, endpoint=True), group, 1, group]


def compare(found, products, ends):
    exact = expected(products, ends)
    for element in found.T:
        np.testing.assert_array_equal(element, exact)


def packed(values, bits):
    """Words of lanes [cycles, lanes], the first lane lowest."""
    return ((values & ((1 << bits) - 1)) << (bits * np.arange(values.shape[1]))).sum(axis=1)


def legal_weights():
    """Every code, zero point and scale whose weight fits INT8: [3, weights]."""
    codes, zeros, scales = operands = np.mgrid[:16, :16, :16].reshape(3, -1)
    weights = scales * (codes - zeros)
    return operands[:, (weights >= -128) & (weights <= 127)]


def check_dequantized(elements, lanes, stride, folder):
    """One in `stride` weights times an extreme or random activation; sums of random lengths; largest sums.

    `elements`: (fields of the configuration, pipelined).
    """
    rng = np.random.default_rng(lanes)
    legal = legal_weights()
    some = legal[:, ::stride]
    single, lengths = some.shape[1], [*random_lengths(rng, GROUP), *[GROUP] * 2]
    ends = ends_of([*[1] * single, *lengths])
    others = legal[:, rng.integers(0, legal.shape[1], sum(lengths))]
    codes, zeros, scales = np.concatenate([some, others], axis=1)
    codes = np.repeat(codes[:, None], lanes, axis=1)
    acts = rng.integers(-128, 128, codes.shape)
    acts[:single:2] = rng.choice([-128, -1, 127], acts[:single:2].shape)
    acts[-2 * GROUP : -GROUP] = -128
    acts[-GROUP:] = 127
    codes[-2 * GROUP :], zeros[-2 * GROUP :], scales[-2 * GROUP :] = 0, 8, 15
    words = {"weights": packed(codes, 4), "zeros": zeros, "scales": scales, "acts": packed(acts, 8)}

    def make(modules):
        shape = {"datapath": "booth", "lanes": lanes, "group": GROUP * lanes}
        return [
            DequantizeFirstPE(Config(name=f"pe{index}", **shape | fields), modules, pipelined=pipelined)
            for index, (fields, pipelined) in enumerate(elements)
        ]

    weights = scales[:, None] * (codes - zeros[:, None])
    compare(sums(make, words, ends, folder), (weights * acts).sum(axis=1), ends)


def test_dequantized(tmp_path):
    elements = [(fields, False) for fields in (*ADDERS, *DATAPATHS)] + [({}, True), (ADDERS[1], True)]
    check_dequantized(elements, 1, 1, tmp_path)


def test_dequantized_lanes(tmp_path):
    check_dequantized([({}, False), ({}, True)], 4, 8, tmp_path)


def signed_range(bits):
    return range(-1 << (bits - 1), 1 << (bits - 1))


def random_operands(rng, weight_bits, act_bits):
    count = fusion_products(weight_bits, act_bits)
    return tuple(rng.integers(-1 << (b - 1), 1 << (b - 1), count).tolist() for b in (weight_bits, act_bits))


def single_products(rng):
    """Cycles (format, (weights, acts)): every 4x4, 4x8 and 8x4 product at each of its places, with others at
    the other places; extreme 8x8 products with all others, and random ones."""
    for bits in FUSION_FORMATS[1:]:
        pairs = np.array(list(itertools.product(*map(signed_range, bits))))
        for places in zip(*(rng.permutation(pairs) for _ in range(fusion_products(*bits))), strict=True):
            yield bits, tuple(np.array(places).T.tolist())
    for extreme in (-128, -127, -16, -1, 0, 1, 15, 16, 127):
        for other in signed_range(8):
            yield (8, 8), ([extreme], [other])
            yield (8, 8), ([other], [extreme])
    for _ in range(2000):
        yield (8, 8), random_operands(rng, 8, 8)


def group_products(rng, lengths):
    """Cycles: each of a random format; then, for each format, whole sums of the largest products."""
    for format_ in rng.integers(0, len(FUSION_FORMATS), sum(lengths)):
        bits = FUSION_FORMATS[format_]
        yield bits, random_operands(rng, *bits)
    for bits in FUSION_FORMATS:
        count = fusion_products(*bits)
        weights = [signed_range(bits[0])[0]] * count
        for act in (signed_range(bits[1])[0], signed_range(bits[1])[-1]):
            yield from [(bits, (weights, [act] * count))] * GROUP


def check_fused(variants, folder):
    rng = np.random.default_rng(7)
    singles, lengths = list(single_products(rng)), random_lengths(rng, GROUP)
    cycles = singles + list(group_products(rng, lengths))
    ends = ends_of([*[1] * len(singles), *lengths, *[GROUP] * 2 * len(FUSION_FORMATS)])
    packs = np.array([fusion_operands(*bits, *operands) for bits, operands in cycles])
    modes = [fusion_mode(*bits) for bits, _ in cycles]

    def make(modules):
        fields = {"weight_bits": 8, "act_bits": 8, "group": GROUP, "datapath": "booth"}
        return [
            BitFusionPE(Config(name=f"pe{index}", **fields | variant), modules)
            for index, variant in enumerate(variants)
        ]

    found = sums(make, {"weights": packs[:, 0], "acts": packs[:, 1], "modes": modes}, ends, folder)
    compare(found, np.array([np.dot(weights, acts) for _, (weights, acts) in cycles]), ends)


def test_fused(tmp_path):
    check_fused(ADDERS, tmp_path)


def test_products_per_cycle():
    assert [fusion_products(*bits) for bits in FUSION_FORMATS] == [1, 2, 2, 4]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DequantizeFirstPE(Config(weight_bits=3)), "weight_bits must be 4 .* not 3"),
        (
            lambda: BitFusionPE(Config()),
            "weight_bits, act_bits and lanes must be 8, 8 and 1 .* not 4, 8 and 1",
        ),
        (lambda: fusion_mode(4, 6), "act_bits must be 4 or 8 .* not 6"),
        (lambda: fusion_operands(4, 8, [1, 2], [3]), "weights and acts must be 2, not 2 and 1"),
    ],
)
def test_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_broken_dequantization_fails(monkeypatch, tmp_path):
    whole = baselines._dequantized
    monkeypatch.setattr(
        baselines, "_dequantized", lambda adders, code, zero, *rest: whole(adders, code, zero[:3], *rest)
    )
    with pytest.raises(AssertionError, match="not equal"):
        check_dequantized([({}, False)], 1, 8, tmp_path)


def test_broken_brick_fails(monkeypatch, tmp_path):
    whole = baselines._add_brick

    def brick(heap, adders, weight, act, weight_signed, act_signed):
        whole(heap, adders, weight, act, weight_signed, act_signed if act_signed is None else weight_signed)

    monkeypatch.setattr(baselines, "_add_brick", brick)
    with pytest.raises(AssertionError, match="not equal"):
        check_fused(ADDERS[:1], tmp_path)
