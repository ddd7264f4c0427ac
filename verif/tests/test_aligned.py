"""Aligned activations times every weight, one by one: exact integers, or rounded to nearest even."""

from fractions import Fraction

import numpy as np
import pytest

from mixpe.sim.cocotb.runner import SIMULATORS
from mixpe.spec.array import Config
from mixpe.spec.formats.numbers import FP8_E4M3, FP8_E5M2, FP16, FloatFormat
from verif.benches.aligned_bank import products

# An activation's own exponent; the same as one's; the largest there is.
ZERO, ONE = 0, 1.0


def expected(form: FloatFormat, partner: int, align_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Exponent field of the group and integer of each finite code beside a finite partner, by fractions."""
    fields, integers = [], []
    largest = 2 ** (align_bits - 1) - 1
    for code in range(1 << form.bits):
        field = max(1, *((x >> form.fraction_bits) & form.exponent_max for x in (code, partner)))
        value = form.decode(code)
        whole = 0
        if np.isfinite(value):
            unit = Fraction(2) ** (field - form.bias - (align_bits - 2))
            whole = max(-largest, min(largest, round(Fraction(value) / unit)))
        fields.append(field)
        integers.append(whole)
    return np.array(fields), np.array(integers, dtype=object)


CASES = [
    (FP16, 41, "booth"),
    (FP16, 13, "carry_save"),
    (FP16, 9, "shift_add"),
    (FP8_E4M3, 8, "booth"),
    (FP8_E5M2, 33, "bit_heap"),
]
# Icarus takes most of a minute for each width of FP16, Verilator longer to build than FP8 takes in Icarus.
RUNS = [
    pytest.param(
        *case,
        simulator,
        marks=[] if (simulator == "verilator") == (case[0] == FP16) else [pytest.mark.nightly],
    )
    for case in CASES
    for simulator in SIMULATORS
]


@pytest.mark.parametrize(("form", "align_bits", "datapath", "simulator"), RUNS, ids=str)
def test_every_activation_times_every_weight(form, align_bits, datapath, simulator, tmp_path):
    """65,536 FP16 activations times 16 INT4 weights, beside each partner."""
    config = Config(
        name="aligned",
        act_format=form.name,
        align_bits=align_bits,
        group=2,
        lanes=2,
        datapath=datapath,
    )
    partners = [ZERO, form.encode(ONE), form.largest]
    group_codes, sums = products(config, partners, simulator, tmp_path)
    values = np.array([form.decode(code) for code in range(1 << form.bits)])
    finite = np.isfinite(values)
    weights = np.arange(-8, 8, dtype=object)
    mask = (1 << config.sum_bits) - 1
    for partner, codes, found in zip(partners, group_codes, sums, strict=True):
        fields, integers = expected(form, partner, align_bits)
        want = (integers[:, None] * weights) & mask
        assert (found[finite] == want[finite]).all(), f"partner {partner:x}"
        flags = codes.astype(np.int64) >> form.exponent_bits
        assert (codes.astype(np.int64)[finite] == fields[finite]).all()
        assert (flags & 1 == np.isnan(values)).all()
        if form.infinities:
            # With NaN, which decides alone, the flags of infinities are any.
            number = ~np.isnan(values)
            assert (flags >> 1 & 1 == (values == np.inf))[number].all()
            assert (flags >> 2 & 1 == (values == -np.inf))[number].all()
            # What an element notes: +infinity in bit 0, -infinity in bit 1, both for infinity times 0.
            for sign, infinity in ((1, np.inf), (-1, -np.inf)):
                noted = found[values == infinity][0].astype(np.int64) & 3
                assert noted.tolist() == [3 if w == 0 else 1 if w * sign > 0 else 2 for w in weights.tolist()]
