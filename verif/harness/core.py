"""Runs the benches of a whole accelerator core on given Verilog."""

import dataclasses
import json
from pathlib import Path

from mixpe.sim.cocotb.runner import Simulator, simulate
from mixpe.spec.core import CoreConfig

_BENCHES = ("verif.benches.core", "verif.benches.core_errors")


def simulate_core(
    config: CoreConfig, verilog: str, simulator: Simulator, folder: Path, *, commands: int = 10, **options
) -> None:
    """Runs `verif.benches.core` and `core_errors` for `config` on `verilog`, in `folder`.

    commands: random ones to run. `options`, errors raised: as of `mixpe.sim.cocotb.runner.simulate`.
    """
    source = folder / f"{config.name}.v"
    source.write_text(verilog)
    simulate(
        sources=[source],
        top=config.name,
        bench=",".join(_BENCHES),
        simulator=simulator,
        build_dir=folder / simulator,
        env={"MIXPE_CORE": json.dumps(dataclasses.asdict(config)), "MIXPE_COMMANDS": str(commands)},
        **options,
    )
