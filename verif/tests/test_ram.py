"""On-chip memories: what they promise, and that their Verilog keeps it."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from mixpe.gen.verilog import convert
from mixpe.hw.ram import Ram, RamModule
from mixpe.synth.yosys import SynthesisError, run_yosys

DEPTH, WIDTH = 5, 3

_PROVE = """\
read_verilog whole.v
read_verilog macro.v
proc
memory_map
setattr -unset init */w:*
opt_clean
equiv_make whole macro equal
hierarchy -top equal
equiv_simple -undef
equiv_status -assert
"""


def test_words():
    """One cycle to the data, which then stays; a word that is written is read as the old one."""
    rng = np.random.default_rng(5)
    ram = Ram(DEPTH, WIDTH)

    async def testbench(ctx):
        words: dict[int, int] = {}
        data = None
        for _ in range(400):
            write, read = rng.integers(2, size=2)
            at, place = (int(address) for address in rng.integers(DEPTH, size=2))
            word = int(rng.integers(1 << WIDTH))
            for port, value in (("write", write), ("write_address", at), ("write_data", word)):
                ctx.set(getattr(ram, port), int(value))
            ctx.set(ram.read, int(read))
            ctx.set(ram.read_address, place)
            await ctx.tick()
            if read:
                data = words.get(place)
            if write:
                words[at] = word
            assert data is None or ctx.get(ram.read_data) == data

    simulator = Simulator(ram)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


def prove(text, tmp_path):
    (tmp_path / "whole.v").write_text(convert("whole", lambda _: Ram(DEPTH, WIDTH)))
    (tmp_path / "macro.v").write_text(text)
    run_yosys(_PROVE, tmp_path, tmp_path / "log")


def test_module_is_the_component(tmp_path):
    """From every state, whatever comes, both go to the same state."""
    prove(RamModule(DEPTH, WIDTH).verilog("macro"), tmp_path)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("if (write)", "if (write && !read)"),
        ("if (read)", "if (!read)"),
        ("<= words[read_a", "<= words[write_a"),
    ],
)
def test_difference_is_found(text, wrong, tmp_path):
    whole = RamModule(DEPTH, WIDTH).verilog("macro")
    assert text in whole
    with pytest.raises(SynthesisError, match="unproven"):
        prove(whole.replace(text, wrong), tmp_path)


def test_contents_are_not_promised():
    assert "initial" not in RamModule(DEPTH, WIDTH).verilog("macro")
