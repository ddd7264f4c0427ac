"""Every datapath is proved equal to a multiplication and an addition; defects are found."""

import re
from dataclasses import replace

import pytest
from amaranth.hdl import Const

from mixpe.hw.arith.heap import BitHeap
from mixpe.hw.arith.recode import digits
from mixpe.hw.element import datapath, shell, special
from mixpe.hw.element import integer as pe
from mixpe.spec.array import DATAPATHS, Config
from verif.harness.equivalence import EquivalenceError, prove, prove_all

VARIANTS = [
    *({"datapath": datapath, "target": target} for datapath in DATAPATHS for target in ("asic", "fpga")),
    {"datapath": "bit_heap", "adder": "prefix"},
    {"datapath": "booth", "adder": "prefix"},
]
"""Every legal combination of datapath, adder and target."""

LARGE = [(5, 8), (6, 8), (7, 5), (8, 4)]
"""Some formats whose proofs take longer."""


LONG = [{"datapath": name, "target": "fpga"} for name in ("carry_save", "booth", "bit_heap")]


def names(variant):
    return "-".join(variant.values())


# Variants whose proofs take longest, and have much in common with others, are left to nightly.
OFTEN = [
    pytest.param(variant, marks=[pytest.mark.nightly] * (variant in LONG), id=names(variant))
    for variant in VARIANTS
]


@pytest.mark.parametrize("variant", OFTEN)
def test_formats(variant, tmp_path):
    """Weights of up to 4 bits and activations of up to 8; 4x8 with the accumulator of groups of 128."""
    formats = [(weight_bits, act_bits) for weight_bits in (2, 3, 4) for act_bits in (4, 5, 6, 7, 8)]
    prove_all(
        [
            Config(weight_bits=w, act_bits=a, group=128 if (w, a) == (4, 8) else 8, **variant)
            for w, a in formats
        ],
        tmp_path,
    )


@pytest.mark.parametrize("variant", VARIANTS, ids=names)
def test_lanes(variant, tmp_path):
    prove(Config(weight_bits=2, act_bits=4, lanes=2, group=6, **variant), tmp_path)


def aligned(weight_bits, variant, **fields):
    return Config(weight_bits=weight_bits, group=8, **({"act_format": "fp16"} | fields | variant))


@pytest.mark.parametrize("variant", VARIANTS, ids=names)
def test_aligned(variant, tmp_path):
    """Aligned activations, and what elements note of infinities."""
    configs = [aligned(weight_bits, variant, align_bits=8) for weight_bits in (2, 3, 4)]
    prove_all([*configs, aligned(2, variant, act_format="fp8_e4m3", align_bits=8)], tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("variant", VARIANTS, ids=names)
def test_wider_aligned(variant, tmp_path):
    prove_all([aligned(4, variant, align_bits=bits) for bits in (11, 13)], tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("variant", VARIANTS, ids=names)
def test_larger_formats(variant, tmp_path):
    prove_all([Config(weight_bits=w, act_bits=a, group=8, **variant) for w, a in LARGE], tmp_path)


def drop_carry(monkeypatch):
    whole = BitHeap._add

    def add(self, bits, column, *, one=False):
        total, carry = whole(self, bits, column, one=one)
        return total, None if column == 5 else carry

    monkeypatch.setattr(BitHeap, "_add", add)


def exchange_digits(monkeypatch):
    monkeypatch.setattr(datapath, "digits", lambda wires: [*reversed(digits(wires))])


def forget_negative(monkeypatch):
    """The one of -x = ~x + 1."""

    def short(wires):
        low, top = digits(wires)
        assert top.double is not None
        return [low, replace(top, negative=top.negative & ~top.double)]

    monkeypatch.setattr(datapath, "digits", short)


def ignore_top_activation_bit(monkeypatch):
    whole = datapath.STRATEGIES["booth"]

    def strategy(config, adders, word, pairs):
        return whole(config, adders, word, [(w, a[:-1].as_signed()) for w, a in pairs])

    monkeypatch.setitem(datapath.STRATEGIES, "booth", strategy)


def never_clear(monkeypatch):
    whole = shell.Mux
    monkeypatch.setattr(
        shell, "Mux", lambda test, yes, no: no if isinstance(yes, int) else whole(test, yes, no)
    )


def recode_wrongly(monkeypatch):
    whole = pe.recode
    monkeypatch.setattr(pe, "recode", lambda weight: whole(weight ^ (weight == 5)))


def test_forgotten_infinity_times_zero_is_found(monkeypatch, tmp_path):
    whole = special.sign_and_nonzero
    monkeypatch.setattr(
        special, "sign_and_nonzero", lambda config, wires: (whole(config, wires)[0], Const(1, 1))
    )
    with pytest.raises(EquivalenceError, match=r"align8_booth is not acc"):
        prove(aligned(4, {"datapath": "booth"}, align_bits=8), tmp_path)


@pytest.mark.parametrize(
    "defect",
    [drop_carry, exchange_digits, forget_negative, ignore_top_activation_bit, never_clear, recode_wrongly],
)
def test_defect_is_found(defect, monkeypatch, tmp_path):
    config = Config(weight_bits=4, act_bits=5, group=3, datapath="booth")
    defect(monkeypatch)
    with pytest.raises(EquivalenceError, match=r"^w4a5_16x16_g3_booth is not acc") as caught:
        prove(config, tmp_path)
    # The operands it names do differ, or the message says what else is wrong.
    value = {name: int(text) for name, text in re.findall(r"(\w+) (\d+)", str(caught.value))}
    assert value["sum"] != value["expected"] or value["shown"] or not value["passed"]


def test_first_wrong_of_several_is_named(monkeypatch, tmp_path):
    drop_carry(monkeypatch)
    configs = [
        Config(weight_bits=2, act_bits=4, datapath=datapath) for datapath in ("multiplier", "bit_heap")
    ]
    with pytest.raises(EquivalenceError, match=r"^w2a4_16x16_g128_bit_heap "):
        prove_all(configs, tmp_path)
