"""cocotb bench that plays products through an array, for `mixpe.sim.cocotb.player`: no check of its own.

The folder MIXPE_JOB holds `config.json` and the operands of every product, 0000.npz and so on; each result
is left beside it as 0000.out.npz (`out`, `cycles`).
"""

import json
import os
from pathlib import Path

import cocotb
import numpy as np

from ...quant.codecs import codec
from ...quant.packing.beats import pack_matmul, unpack_outputs
from ...spec.array import Config
from .device import Device
from .player import read_product
from .seeds import bench_rng


@cocotb.test()
async def play(dut):
    """Plays product after product with streams that are never late."""
    folder = Path(os.environ["MIXPE_JOB"])
    config = Config(**json.loads((folder / "config.json").read_text()))
    device = Device(dut, config, bench_rng())
    await device.start()
    for path in sorted(folder.glob("????.npz")):
        product = read_product(path, config)
        beats = pack_matmul(product.a, product.weights, t=product.t, config=config)
        m, n = product.m, product.n
        rows = -(-m // config.rows) * -(-n // config.cols) * config.rows
        results, cycles = await device.transfer(beats, rows)
        device.check_all_sent()
        out = codec(config.out).encode(unpack_outputs(results, m, n, config))
        np.savez(path.with_suffix(".partial"), out=out, cycles=cycles)
        path.with_suffix(".partial.npz").rename(path.with_suffix(".out.npz"))
