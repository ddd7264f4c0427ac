"""`mixpe bench`: how fast the golden model is."""

import sys

import click
from rich.console import Console

from ..quant.bench import bench as measure
from .options import HELP


@click.command(context_settings=HELP)
def bench() -> None:
    """Time the golden model against int64 einsums: 256 x 4096 x 4096, group 128."""
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
    if not result.bit_equal:
        sys.exit(1)
