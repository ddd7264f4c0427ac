"""cocotb bench that plays products through an array, for `mixpe.sim.cocotb.player`: no check of its own.

The folder MIXPE_JOB holds `config.json` and the operands of every product, 0000.npz and so on; each result
is left beside it as 0000.out.npz (`out`, `cycles`).
"""

import json
import os
from pathlib import Path

import cocotb
import numpy as np

from ...quant.operands import float_dtype
from ...quant.packing.beats import pack_matmul, unpack_outputs
from ...spec.array import Config
from ...spec.formats.numbers import IntFormat
from .device import Device
from .seeds import bench_rng


@cocotb.test()
async def play(dut):
    """Plays product after product with streams that are never late."""
    folder = Path(os.environ["MIXPE_JOB"])
    config = Config(**json.loads((folder / "config.json").read_text()))
    device = Device(dut, config, bench_rng())
    await device.start()
    for path in sorted(folder.glob("????.npz")):
        with np.load(path) as file:
            operands = dict(file)
        a, q = operands["a"], operands["q"]
        if not isinstance(config.act_code, IntFormat):
            a = a.view(float_dtype(config.act_code))
        beats = pack_matmul(a, q, operands["s"], operands.get("z"), operands.get("t"), config)
        m, n = a.shape[0], q.shape[1]
        rows = -(-m // config.rows) * -(-n // config.cols) * config.rows
        results, cycles = await device.transfer(beats, rows)
        device.check_all_sent()
        out = unpack_outputs(results, m, n, config).view(f"u{config.out.bits // 8}")
        np.savez(path.with_suffix(".partial"), out=out, cycles=cycles)
        path.with_suffix(".partial.npz").rename(path.with_suffix(".out.npz"))
