"""cocotb bench that times a product on an accelerator core, with and without pauses of every channel.

Environment: MIXPE_CORE, as of `core_memory`; MIXPE_SHAPE, JSON of M, K, N; MIXPE_PAUSES, JSON of the chances
of a pause, a run each; MIXPE_SPEED, the file that takes JSON of each run's cycles and seconds of the
processor, from the first register written until the core is idle.
"""

import json
import os
from pathlib import Path
from time import process_time

import cocotb

from ..sim.cocotb.core_device import CoreDevice
from ..sim.cocotb.seeds import bench_rng
from ..sim.cocotb.streams import cycle


@cocotb.test()
async def product(dut):
    device = CoreDevice(dut, bench_rng())
    await device.start()
    speeds = []
    for chance in json.loads(os.environ["MIXPE_PAUSES"]):
        device.pause(chance)
        device.memory.clear()
        command = device.memory.product(*json.loads(os.environ["MIXPE_SHAPE"]))
        begin, first = process_time(), cycle()
        await device.accepted(command, 1)
        await device.idle()
        speeds.append({"cycles": cycle() - first, "seconds": process_time() - begin})
        device.memory.check()
    Path(os.environ["MIXPE_SPEED"]).write_text(json.dumps(speeds), encoding="utf-8")
