"""`mixpe matmul`: how fast a core multiplies, measured and by the formulas."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ..bench.throughput import Throughput, measure, measuring_memory, memory_needed
from ..gen.configurations import core_of
from ..spec.array import Config
from ..spec.core import CoreConfig
from ..spec.errors import UserError
from ..support.files import check_place
from ..support.memory import require_memory
from .options import HELP, DesignCommand, config_options
from .output import json_option, write_json
from .products import memory_options, memory_words, product
from .simulated import accelerator

CORE = "core_w4a8_16x16"

SHAPES = ("128x512x512", "1x512x512")
"""By default: a layer on a prompt of 128 tokens, and on one token."""

_WIDTH = 100
"""Least columns of tables: a narrow terminal would cut off digits."""


@click.command(cls=DesignCommand, context_settings=HELP | {"default_map": {"source": CORE}})
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    default=SHAPES,
    show_default=True,
    metavar="MxKxN",
    help="A product; may be given again.",
)
@memory_options
@click.option("--seed", type=int, default=0, show_default=True, help="Of the operands.")
@json_option
@config_options
def matmul(
    config: Config | CoreConfig,
    shapes: tuple[str, ...],
    memory: dict[str, Any],
    seed: int,
    json_file: Path | None,
) -> None:
    """Multiply random matrices on the simulated core, and compare results and counters.

    Results must equal the golden model's bit for bit, and the counters of beats and bytes the formulas of
    docs/core.md; else the exit status is 1. The tables show the cycles beside those of the formula, the share
    of the array's multiplications that were asked for, and the roofline: cycles of the array alone, of memory
    alone, and which of them bounds the product. CONFIG is core_w4a8_16x16 if none is given.
    """
    products = [product("--shape", shape) for shape in shapes]
    core = core_of(config)
    if seed < 0:
        raise UserError(f"--seed must be at least 0, not {seed}")
    if json_file:
        check_place(json_file)
    for shape, sizes in zip(shapes, products, strict=True):
        require_memory(measuring_memory(core, sizes), f"--shape {shape}")
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


def _print(core: CoreConfig, memory: dict[str, Any], found: Sequence[Throughput]) -> None:
    click.echo(f"{core.name}: words of {core.data_bits} bits; {memory_words(memory)}")
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
        "M x K x N",
        "measured",
        "by formula",
        "compute",
        "memory",
        "bound",
        "of peak",
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
        "M x K x N",
        "beats",
        "stall read",
        "stall array",
        "read",
        "by formula",
        "written",
        "by formula",
    )
    for each in found:
        counted, formulas = each.counters, each.formulas
        values = (
            counted.beats,
            counted.stall_read,
            counted.stall_array,
            counted.read_bytes,
            formulas["read_bytes"],
            counted.write_bytes,
            formulas["write_bytes"],
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
