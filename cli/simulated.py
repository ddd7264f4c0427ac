"""A simulated core for a command."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console

from ..driver.accelerator import Accelerator
from ..driver.command import CommandError, HangError
from ..driver.transport import RegisterError
from ..spec.core import CoreConfig


@contextmanager
def accelerator(core: CoreConfig, **options: Any) -> Iterator[Accelerator]:
    """The driver of a core in simulation; `options` as of `mixpe.sim.fast.SimulatedCore`.

    What goes wrong in the core, in here or in the `with`, is one message and exit status 1.
    """
    from ..sim.build import BuildError
    from ..sim.fast import SimulatedCore, SimulationError

    try:
        with Console(stderr=True).status(f"building {core.name} under Verilator"):
            simulated = SimulatedCore(core, **options)
        with simulated:
            yield Accelerator(simulated, core)
    except (BuildError, SimulationError, CommandError, HangError, RegisterError) as error:
        click.echo(f"mixpe: error: {error}", err=True)
        sys.exit(1)
