"""Runs the bench of a whole array on given Verilog."""

import dataclasses
import json
from pathlib import Path

from mixpe.sim.cocotb.runner import Simulator, simulate
from mixpe.spec.array import Config


def simulate_matmul(config: Config, verilog: str, simulator: Simulator, folder: Path, **options) -> None:
    """Runs `verif.benches.matmul` for `config` on `verilog`, in `folder`.

    `options`, errors raised: as of `mixpe.sim.cocotb.runner.simulate`.
    """
    source = folder / f"{config.name}.v"
    source.write_text(verilog)
    simulate(
        sources=[source],
        top=config.name,
        bench="verif.benches.matmul",
        simulator=simulator,
        build_dir=folder / simulator,
        env={"MIXPE_CONFIG": json.dumps(dataclasses.asdict(config))},
        **options,
    )
