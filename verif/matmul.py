"""Runs the bench of a whole array on given Verilog."""

import dataclasses
import json
from pathlib import Path

from ..hw.config import Config
from .runner import Simulator, simulate


def simulate_matmul(config: Config, verilog: str, simulator: Simulator, folder: Path, **options) -> None:
    """Runs `mixpe.verif.benches.matmul` for `config` on `verilog`, in `folder`.

    `options`, errors raised: as of `mixpe.verif.runner.simulate`.
    """
    source = folder / f"{config.name}.v"
    source.write_text(verilog)
    simulate(
        sources=[source],
        top=config.name,
        bench="mixpe.verif.benches.matmul",
        simulator=simulator,
        build_dir=folder / simulator,
        env={"MIXPE_CONFIG": json.dumps(dataclasses.asdict(config))},
        **options,
    )
