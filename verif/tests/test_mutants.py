"""A test of the tests: broken hardware, one defect at a time, must not pass the benches."""

from dataclasses import replace

import pytest
from amaranth.hdl import Cat, Const

from mixpe.gen.write import design_verilog
from mixpe.hw import control, datapath, dequant
from mixpe.hw.config import Config
from mixpe.hw.fp import add
from mixpe.verif.matmul import simulate_matmul
from mixpe.verif.runner import SimulationError

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
    monkeypatch.setattr(dequant.Column, "_zero", lambda self, m: Const(0))


def continue_last_tile(monkeypatch):
    """The first group of a tile is added to what the tile before left."""
    monkeypatch.setattr(dequant, "Mux", lambda first, begin, running: running)


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


@pytest.mark.parametrize("group", [CONFIG.group - 1, CONFIG.group + 1])
def test_group_boundary_off_by_one_is_caught(group, tmp_path):
    verilog = design_verilog(replace(CONFIG, group=group))
    with pytest.raises(SimulationError, match="failed"):
        simulate_matmul(CONFIG, verilog, "icarus", tmp_path, seed=SEED)


def test_sound_design_passes(tmp_path):
    simulate_matmul(CONFIG, design_verilog(CONFIG), "icarus", tmp_path, seed=SEED)
