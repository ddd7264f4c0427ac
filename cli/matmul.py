"""`mixpe matmul`: how fast a core multiplies, measured and by the formulas."""

import dataclasses
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ..bench.throughput import Throughput, measure, memory_needed
from ..spec.array import Config
from ..spec.core import SIZE_BITS, CoreConfig
from ..spec.errors import UserError
from .llm import check_place, json_option, write_json
from .options import HELP, DesignCommand, config_options
from .simulated import accelerator, core_of

CORE = "core_w4a8_16x16"

SHAPES = ("128x512x512", "1x512x512")
"""By default: a layer on a prompt of 128 tokens, and on one token."""

_WIDTH = 100
"""Least columns of tables: a narrow terminal would cut off digits."""


@click.command(cls=DesignCommand, context_settings=HELP | {"default_map": {"source": CORE}})
@click.option(
    *("--shape", "shapes"),
    multiple=True,
    default=SHAPES,
    show_default=True,
    metavar="MxKxN",
    help="A product; may be given again.",
)
@click.option("--latency", type=int, default=40, show_default=True, metavar="CYCLES", help="Of a read.")
@click.option(
    "--write-latency", type=int, default=20, show_default=True, metavar="CYCLES", help="Of a write's answer."
)
@click.option(
    "--bandwidth",
    type=float,
    metavar="BYTES",
    help="Of reads and writes together, in a cycle [a word each way].",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the operands.")
@json_option
@config_options
def matmul(
    config: Config | CoreConfig,
    shapes: tuple[str, ...],
    latency: int,
    write_latency: int,
    bandwidth: float | None,
    seed: int,
    json_file: Path | None,
) -> None:
    """Multiply random matrices on the simulated core, and compare results and counters.

    Results must equal the golden model's bit for bit, and the counters of beats and bytes the formulas of
    docs/core.md; else the exit status is 1. The tables show the cycles beside those of the formula, the share
    of the array's multiplications that were asked for, and the roofline: cycles of the array alone, of memory
    alone, and which of them bounds the product. CONFIG is core_w4a8_16x16 if none is given.
    """
    products = [_sizes(shape) for shape in shapes]
    core = core_of(config)
    if seed < 0:
        raise UserError(f"--seed must be at least 0, not {seed}")
    if bandwidth is not None and not 0 < bandwidth < float("inf"):
        raise UserError(f"--bandwidth must be a number of bytes above 0, not {bandwidth:g}")
    if json_file:
        check_place(json_file)
    memory = {"latency": latency, "write_latency": write_latency, "bytes_per_cycle": bandwidth}
    size = max(memory_needed(core, sizes) for sizes in products)
    rng = np.random.default_rng(seed)
    found = []
    with (
        accelerator(core, memory_bytes=size, **memory) as device,
        Console(stderr=True).status("") as status,
    ):
        for shape, sizes in zip(shapes, products, strict=True):
            status.update(f"{core.name}: {shape}")
            found.append(measure(device, core, sizes, memory, rng))
    if json_file:
        write_json(json_file, _record(core, memory, seed, found))
    _print(core, memory, found)
    if complaints := [text for each in found for text in each.complaints]:
        for text in complaints:
            click.echo(f"mixpe: error: {text}", err=True)
        sys.exit(1)
    click.echo("all results equal the golden model bit for bit; beats and bytes equal the formulas")


def _sizes(shape: str) -> tuple[int, int, int]:
    parts = re.fullmatch(r"(\d+)x(\d+)x(\d+)", shape, re.ASCII)
    sizes = [int(part) for part in parts.groups()] if parts else []
    most = (1 << SIZE_BITS) - 1
    if not sizes or not all(1 <= size <= most for size in sizes):
        raise UserError(f"--shape must be MxKxN, each 1 to {most}, not {shape!r}")
    m, k, n = sizes
    return m, k, n


def _print(core: CoreConfig, memory: dict[str, Any], found: Sequence[Throughput]) -> None:
    bandwidth = memory["bytes_per_cycle"]
    speed = "a word each way" if bandwidth is None else f"{bandwidth:g} bytes"
    click.echo(
        f"{core.name}: words of {core.data_bits} bits; memory: latency {memory['latency']} to read, "
        f"{memory['write_latency']} to write, {speed} a cycle"
    )
    console = Console(highlight=False)
    console.width = max(console.width, _WIDTH)
    console.print(_roofline(found))
    console.print(_counters(found))


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column(headings[0])
    for heading in headings[1:]:
        table.add_column(heading, justify="right")
    return table


def _roofline(found: Sequence[Throughput]) -> Table:
    table = _table(
        "cycles: measured and by formula; of array and memory alone",
        *("M x K x N", "measured", "by formula", "compute", "memory", "bound", "of peak"),
    )
    for each in found:
        cycles, roof = each.counters.cycles, each.estimate
        table.add_row(
            each.shape,
            f"{cycles:,}",
            f"{roof.cycles:,} ({roof.cycles / cycles - 1:+.1%})",
            f"{roof.compute:,}",
            f"{roof.memory:,}",
            roof.bound,
            f"{each.utilization:.1%}",
        )
    return table


def _counters(found: Sequence[Throughput]) -> Table:
    table = _table(
        "counters: cycles; bytes, measured and by formula",
        *("M x K x N", "beats", "stall read", "stall array", "read", "by formula", "written", "by formula"),
    )
    for each in found:
        counted, formulas = each.counters, each.formulas
        values = (
            *(counted.beats, counted.stall_read, counted.stall_array),
            *(counted.read_bytes, formulas["read_bytes"], counted.write_bytes, formulas["write_bytes"]),
        )
        table.add_row(each.shape, *(f"{value:,}" for value in values))
    return table


def _record(
    core: CoreConfig, memory: dict[str, Any], seed: int, found: Sequence[Throughput]
) -> dict[str, Any]:
    return {
        "core": dataclasses.asdict(core),
        "memory": memory,
        "seed": seed,
        "products": [
            {
                "M": each.m,
                "K": each.k,
                "N": each.n,
                "exact": each.exact,
                "counters": dataclasses.asdict(each.counters),
                "formulas": each.formulas,
                "estimate": dataclasses.asdict(each.estimate),
                "bound": each.estimate.bound,
                "utilization": each.utilization,
            }
            for each in found
        ],
    }
