"""`mixpe bench`: how fast the golden model is."""

import sys

import click
from rich.console import Console

from ..quant.bench import bench as measure
from .options import HELP


@click.command(context_settings=HELP)
def bench() -> None:
    """Time the golden model against a naive int64 einsum: 256 x 4096 x 4096, group 128."""
    with Console(stderr=True).status("measuring, both models whole"):
        result = measure()
    click.echo(
        f"{result.m} x {result.k} x {result.n}, group {result.group}: "
        f"golden model {result.golden_seconds:.3f} s, naive int64 einsum {result.naive_seconds:.3f} s: "
        f"{result.ratio:.1f} times as fast, "
        f"{'same' if result.bit_equal else 'DIFFERENT'} bits"
    )
    if not result.bit_equal:
        sys.exit(1)
