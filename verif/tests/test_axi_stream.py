"""The array behind AXI4-Stream, under every simulator; the buffer of its receivers alone."""

import json
from collections import deque
from dataclasses import asdict

import numpy as np
import pytest
from amaranth.hdl import Shape
from amaranth.sim import Simulator as AmaranthSimulator

from mixpe.gen.write import design_verilog
from mixpe.hw.core.axi_stream import axis_members
from mixpe.hw.streams import SkidBuffer
from mixpe.sim.cocotb.runner import SIMULATORS, simulate
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig

CONFIGS = {
    "2x3, padded": Config(rows=2, cols=3, group=8, act_bits=5, weight_bits=3, token_scale=True),
    "1x1": Config(rows=1, cols=1, group=5, act_bits=4, weight_bits=2, out_format="fp16"),
    "3x2, FP16, zero points": Config(
        rows=3,
        cols=2,
        group=12,
        lanes=2,
        act_format="fp16",
        align_bits=13,
        weight_signed=False,
        zero_point=True,
        out_format="bf16",
    ),
}


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("array", CONFIGS.values(), ids=CONFIGS)
def test_products(array, simulator, tmp_path):
    config = CoreConfig(array=array, bus="stream", name="streams")
    source = tmp_path / "streams.v"
    source.write_text(design_verilog(config))
    simulate(
        sources=[source],
        top=config.name,
        bench="verif.benches.axi_stream",
        simulator=simulator,
        build_dir=tmp_path / simulator,
        env={"MIXPE_CONFIG": json.dumps(asdict(config.array))},
    )


def test_tdata_is_whole_bytes():
    for array in CONFIGS.values():
        members = axis_members(array)
        widths = {
            name: Shape.cast(member.shape).width
            for name, member in members.items()
            if name.endswith("_tdata")
        }
        assert len(widths) == 4 + array.token_scale
        assert all(width % 8 == 0 for width in widths.values())
        beat = array.rows * array.lanes * array.act_bits
        assert beat <= widths["s_axis_acts_tdata"] < beat + 8
        assert {name for name in members if name.endswith("_tlast")} == {
            "s_axis_acts_tlast",
            "m_axis_out_tlast",
        }


def test_buffer():
    """Order, no loss under any waits, and `ready`, `valid` and payload from registers alone."""
    rng = np.random.default_rng(3)
    buffer = SkidBuffer(8)

    async def testbench(ctx):
        inside, taken = deque(), 0
        for cycle in range(2000):
            chance_in, chance_out = ((1, 1), (1, 0.3), (0.3, 1), (0.5, 0.5), (0.9, 0.9))[cycle // 400]
            ready = ctx.get(buffer.i.ready)
            offered = (ctx.get(buffer.o.valid), ctx.get(buffer.o.payload))
            assert ready == (cycle > 0 and len(inside) < 2)
            assert offered[0] == bool(inside)
            assert not inside or offered[1] == inside[0]
            beat = int(rng.integers(256))
            for valid, taking in (
                (1, 0),
                (0, 1),
                (1, 1),
                (0, 0),
                (rng.random() < chance_in, rng.random() < chance_out),
            ):
                ctx.set(buffer.i.valid, int(valid))
                ctx.set(buffer.i.payload, beat)
                ctx.set(buffer.o.ready, int(taking))
                assert ctx.get(buffer.i.ready) == ready
                assert (ctx.get(buffer.o.valid), ctx.get(buffer.o.payload)) == offered
            if taking and inside:
                inside.popleft()
                taken += 1
            if valid and ready:
                inside.append(beat)
            await ctx.tick()
            if cycle == 399:
                assert taken == 398, (
                    "a beat a cycle, after the one in which ready rises and that of the register"
                )

    simulator = AmaranthSimulator(buffer)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
