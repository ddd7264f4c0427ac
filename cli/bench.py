"""`mixpe bench`: how fast the golden model and the fast simulation are."""

import sys
from importlib import import_module
from pathlib import Path

import click
from rich.console import Console

from ..bench.golden import bench as measure
from ..gen.configurations import core_of, load_design
from .options import HELP

CORE = "core_w4a8_16x16"

SHAPE = (32, 512, 128)
"""M, K, N: some 9,000 cycles of that core."""

PAUSES = {0.0: "a memory that is always ready", 0.5: "channels that pause in half of all cycles"}


@click.command(context_settings=HELP)
@click.option(
    "--golden-only", is_flag=True, help="Time the golden model alone; no Verilator and no cocotbext-axi."
)
def bench(golden_only: bool) -> None:
    """Time the golden model and the fast simulation.

    The golden model on 256 x 4096 x 4096, group 128, against int64 einsums. The fast simulation of
    core_w4a8_16x16 on 32 x 512 x 128 against the cocotb bench of the same Verilog, both under Verilator and
    both watching the rules of the bus, in cycles per second of the processor.
    """
    if not golden_only:
        import_module("..bench.speed", __package__)  # what is not installed is said at once
    equal = _golden()
    if not golden_only:
        _simulations()
    if not equal:
        sys.exit(1)


def _golden() -> bool:
    """Returns whether all models give the same bits."""
    with Console(stderr=True).status("measuring, all models whole"):
        result = measure()
    shape = f"{result.m} x {result.k} x {result.n}, group {result.group}"
    for name, seconds, ratio in (
        ("naive int64 einsum over all groups", result.naive_seconds, result.ratio),
        ("int64 einsum group by group", result.looped_seconds, result.looped_ratio),
    ):
        click.echo(
            f"{shape}: golden model {result.golden_seconds:.3f} s, {name} {seconds:.3f} s: "
            f"{ratio:.1f} times as fast, {'same' if result.bit_equal else 'DIFFERENT'} bits"
        )
    return result.bit_equal


def _simulations() -> None:
    from ..bench.speed import cocotb_speeds, fast_speed
    from ..sim.build import BuildError
    from ..sim.cocotb.runner import SimulationError
    from ..sim.fast import SimulationError as FastError

    core = core_of(load_design(CORE))
    try:
        with Console(stderr=True).status(f"simulating {CORE}") as status:
            fast = [fast_speed(core, SHAPE, chance) for chance in PAUSES]
            status.update(f"simulating {CORE} in cocotb")
            slow = cocotb_speeds(core, SHAPE, list(PAUSES), Path("build/bench") / CORE)
    except (BuildError, FastError, SimulationError) as error:
        click.echo(f"mixpe: error: {error}", err=True)
        sys.exit(1)
    shape = " x ".join(map(str, SHAPE))
    for meaning, quick, other in zip(PAUSES.values(), fast, slow, strict=True):
        click.echo(
            f"{CORE}, {shape}, {meaning}: fast simulation {quick.rate:,.0f} cycles/s, cocotb "
            f"{other.rate:,.0f} cycles/s: {quick.rate / other.rate:.1f} times as fast"
        )
