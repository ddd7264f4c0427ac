"""A test of the tests: broken hardware, one defect at a time, must not pass the benches."""

from dataclasses import replace

import pytest
from amaranth.hdl import Cat, Const, Module, Signal

from mixpe.gen.write import design_verilog
from mixpe.hw.array import align, control, dequant
from mixpe.hw.array.schemes import aligned
from mixpe.hw.element import datapath
from mixpe.hw.fp import add
from mixpe.sim.cocotb.runner import SimulationError
from mixpe.spec.array import Config
from mixpe.spec.formats.inside import ScaledDigits
from verif.harness.matmul import simulate_matmul

CONFIG = Config(name="mutant", rows=3, cols=2, group=12, weight_signed=False, zero_point=True)
SEED = 5


def ignore_weight_bit(monkeypatch):
    whole = datapath.shift_add

    def strategy(config, adders, word, pairs):
        return whole(config, adders, word, [(Cat(w[0], Const(0, 1), w[2:]), a) for w, a in pairs])

    monkeypatch.setitem(datapath.STRATEGIES, "shift_add", strategy)


def drop_carry(monkeypatch):
    whole = datapath.shift_add

    def strategy(config, adders, word, pairs):
        product = whole(config, adders, Const(0), pairs)
        total = word + product
        return Cat((word[:7] + product[:7])[:7], (total[7:] - _carry(word, product))[: len(total) - 7])

    def _carry(word, product):
        return (word[:7] + product[:7])[7]

    monkeypatch.setitem(datapath.STRATEGIES, "shift_add", strategy)


def ignore_zero_point(monkeypatch):
    monkeypatch.setattr(dequant.Dequantizer, "zero_point", lambda self, m: Const(0))


def continue_last_tile(monkeypatch):
    """The first group of a tile is added to what the tile before left."""
    monkeypatch.setattr(dequant.Dequantizer, "_addend", lambda self, running: running)


def round_down(monkeypatch):
    def truncate(m, exponent, significand, fraction_bits, *, name):
        dropped = len(significand) - 1 - fraction_bits
        return Cat(significand[dropped:-1], exponent & significand[-1].replicate(len(exponent)))

    monkeypatch.setattr(add, "round_and_pack", truncate)


def end_groups_at_once(monkeypatch):
    """Groups shorter than the drain follow each other without bubbles."""
    monkeypatch.setattr(control.Config, "group_gap", property(lambda self: 2))


@pytest.mark.parametrize(
    "defect",
    [
        ignore_weight_bit,
        drop_carry,
        ignore_zero_point,
        continue_last_tile,
        round_down,
        end_groups_at_once,
    ],
)
def test_defect_is_caught(defect, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        defect(patch)
        verilog = design_verilog(CONFIG)
    assert verilog != design_verilog(CONFIG)
    with pytest.raises(SimulationError, match="failed"):
        simulate_matmul(CONFIG, verilog, "icarus", tmp_path, seed=SEED)


# Floating-point activations


def align_downwards(monkeypatch):
    """Ties round down: no sticky bits, no odd ones."""
    monkeypatch.setattr(align, "shift_right_sticky", lambda m, value, amount, *, name: value >> amount)


def count_in_other_units(monkeypatch):
    monkeypatch.setattr(Config, "align_offset", property(lambda self: self.act_float.bias + self.align_bits))


def give_all_rows_one_code(monkeypatch):
    """Every row counts in the first row's units."""

    class Line(align.GroupCodes):
        def elaborate(self, platform):
            m = Module()
            bits = self.config.group_code_bits
            held = Signal(bits)
            with m.If(self.group_end):
                m.d.sync += held.eq(self.codes[:bits])
            m.d.comb += self.code.eq(held)
            return m

    monkeypatch.setattr(aligned, "GroupCodes", Line)


def forget_infinities(monkeypatch):
    monkeypatch.setattr(aligned, "special_sum", lambda flags, total, zero: Const(0, 3))


def forget_subnormals(monkeypatch):
    """They count as normal numbers."""
    whole = align._fields

    def fields(code, form):
        fraction, field, sign = whole(code, form)
        return fraction, Cat(field[0] | ~field.any(), field[1:]), sign

    monkeypatch.setattr(align, "_fields", fields)


ALIGNED = Config(name="mutant", rows=3, cols=2, group=12, act_format="fp16", align_bits=11)
AS_IT_IS = Config(name="mutant", rows=3, cols=2, group=12, act_format="fp16", fp_scheme="fp_mac")


@pytest.mark.parametrize(
    "defect",
    [align_downwards, count_in_other_units, give_all_rows_one_code, forget_infinities, forget_subnormals],
)
def test_defect_of_alignment_is_caught(defect, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        defect(patch)
        verilog = design_verilog(ALIGNED)
    assert verilog != design_verilog(ALIGNED)
    with pytest.raises(SimulationError, match="failed"):
        simulate_matmul(ALIGNED, verilog, "icarus", tmp_path, seed=SEED)


def test_wrong_digit_of_a_weight_is_caught(monkeypatch, tmp_path):
    """-7 takes the digits of -6."""
    whole = ScaledDigits.encode
    with monkeypatch.context() as patch:
        patch.setattr(ScaledDigits, "encode", lambda self, value: whole(self, -6 if value == -7 else value))
        verilog = design_verilog(AS_IT_IS)
    with pytest.raises(SimulationError, match="failed"):
        simulate_matmul(AS_IT_IS, verilog, "icarus", tmp_path, seed=SEED)


@pytest.mark.parametrize("config", [ALIGNED, AS_IT_IS], ids=["aligned", "fp_mac"])
def test_sound_float_design_passes(config, tmp_path):
    simulate_matmul(config, design_verilog(config), "icarus", tmp_path, seed=SEED)


@pytest.mark.parametrize("group", [CONFIG.group - 1, CONFIG.group + 1])
def test_group_boundary_off_by_one_is_caught(group, tmp_path):
    verilog = design_verilog(replace(CONFIG, group=group))
    with pytest.raises(SimulationError, match="failed"):
        simulate_matmul(CONFIG, verilog, "icarus", tmp_path, seed=SEED)


def test_sound_design_passes(tmp_path):
    simulate_matmul(CONFIG, design_verilog(CONFIG), "icarus", tmp_path, seed=SEED)
