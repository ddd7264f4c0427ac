"""How fast simulations of a core run: the fast one, and a cocotb bench with cocotbext-axi at both ports."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import process_time

import numpy as np

from ..driver.accelerator import Accelerator
from ..gen.write import design_verilog
from ..quant.golden import mpgemm
from ..quant.samples import random_operands
from ..sim.cocotb.runner import SimulationError, simulate
from ..sim.fast import SimulatedCore
from ..spec.core import CoreConfig
from ..spec.errors import UserError

REPEAT = 5
"""Runs of the fast simulation, of which the fastest counts: each is a small part of a second."""

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Speed:
    """Holds simulated cycles, and the seconds of the processor that they took."""

    cycles: int
    seconds: float

    @property
    def rate(self) -> float:
        """Returns cycles per second."""
        return self.cycles / self.seconds


def fast_speed(config: CoreConfig, shape: Shape, back_pressure: float = 0.0) -> Speed:
    """Times `mixpe.sim.fast.SimulatedCore` on a product M, K, N, all that the driver does included.

    Raises `SimulationError` if the results are wrong.
    """
    a, matrix, t = random_operands(np.random.default_rng(0), *shape, config.array)
    expected = mpgemm(a, matrix, config=config.array, t=t)
    speeds = []
    with SimulatedCore(config, back_pressure=back_pressure) as core:
        accelerator = Accelerator(core, config)
        weights = accelerator.load_weights(matrix)
        for _ in range(REPEAT):
            begin, first = process_time(), core.cycles
            out = accelerator.matmul(a, weights, t)
            speeds.append(Speed(core.cycles - first, process_time() - begin))
            if out.tobytes() != expected.tobytes():
                raise SimulationError(f"{config.name}: results differ from the golden model's")
    return max(speeds, key=lambda speed: speed.rate)


def cocotb_speeds(config: CoreConfig, shape: Shape, pauses: Sequence[float], folder: Path) -> list[Speed]:
    """Times `mixpe.bench.core_speed`, once for each chance of a pause of every channel, in `folder`.

    It runs under Verilator, whose C++ is compiled for speed. Raises `UserError` if cocotbext-axi is missing,
    `SimulationError` if the bench fails.
    """
    if find_spec("cocotbext") is None or find_spec("cocotbext.axi") is None:
        raise UserError("cocotbext-axi is not installed; type: pip install 'mixpe[sim]'")
    folder.mkdir(parents=True, exist_ok=True)
    source, result = folder / f"{config.name}.v", folder.resolve() / "speed.json"
    source.write_text(design_verilog(config), encoding="utf-8")
    simulate(
        sources=[source],
        top=config.name,
        bench="mixpe.bench.core_speed",
        simulator="verilator",
        build_dir=folder / "verilator",
        env={
            "MIXPE_CORE": json.dumps(dataclasses.asdict(config)),
            "MIXPE_SHAPE": json.dumps(shape),
            "MIXPE_PAUSES": json.dumps(pauses),
            "MIXPE_SPEED": str(result),
        },
        quiet=True,
        optimize=True,
    )
    return [Speed(**each) for each in json.loads(result.read_text(encoding="utf-8"))]
