"""`mixpe estimate`: cycles and bytes of products on cores, by formulas alone."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ..bench.estimates import Estimated, estimated, read_report, reported_area, synthesized_area
from ..gen.configurations import core_of, load_design, named_designs
from ..spec.array import Config
from ..spec.core import CoreConfig
from ..spec.errors import UserError
from ..support.files import check_place
from .options import CONFIG_HELP, HELP
from .output import json_option, write_json
from .products import is_shape, memory_options, memory_words, product

_WIDTH = 120
"""Least columns of tables: a narrow terminal would cut off digits."""

_NAMED = 3
"""Designs that a line of the best ones names at most."""


@click.command(context_settings=HELP, epilog=CONFIG_HELP)
@click.argument("arguments", nargs=-1, metavar="SHAPE... [CONFIG...]")
@memory_options
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A ppa.json of `mixpe ppa`, for the areas of the arrays it has.",
)
@json_option
def estimate(
    arguments: tuple[str, ...], memory: dict[str, Any], report: Path | None, json_file: Path | None
) -> None:
    """Tell how many cycles matrix products take on cores, and what they read and write.

    A SHAPE is MxKxN, such as 512x4096x4096: M rows of activations times weights of K x N. Every other
    argument is a CONFIG; without one, all named designs are compared. An array is taken as a core with the
    default bus and memories. Only formulas are used, those of docs/core.md, so the answer comes at once.

    The tables show what bounds a product, memory or the array (compute), and the share of the array's
    multiplications that were asked for (of peak). An area stands beside it where build/<name>/synth.json
    has that of the whole design, or --report that of the array.
    """
    shapes = [text for text in arguments if is_shape(text)]
    if not shapes:
        raise UserError(f"SHAPE must be given, as MxKxN such as 512x4096x4096, not {_listed(arguments)}")
    products = [product("SHAPE", text) for text in shapes]
    _check(memory)
    cores = _cores([text for text in arguments if not is_shape(text)])
    if json_file:
        check_place(json_file)
    records = read_report(report) if report else []
    areas = {
        name: area
        for name, core in cores.items()
        if (area := synthesized_area(name, Path("build")) or reported_area(core, records))
    }
    found = estimated(cores, products, memory, areas)
    if json_file:
        write_json(json_file, {"memory": memory, "products": [each.record() for each in found]})
    click.echo(memory_words(memory))
    console = Console(highlight=False, markup=False, emoji=False)
    console.width = max(console.width, _WIDTH)
    for first in range(0, len(found), len(cores)):
        _print(console, found[first : first + len(cores)])


def _listed(arguments: Sequence[str]) -> str:
    return ", ".join(map(repr, arguments)) or "nothing"


def _check(memory: dict[str, Any]) -> None:
    for name in ("latency", "write_latency"):
        if (value := memory[name]) < 0:
            raise UserError(f"--{name.replace('_', '-')} must be at least 0, not {value}")


def _cores(sources: Sequence[str]) -> dict[str, CoreConfig]:
    """The cores to compare, by the names of their designs; by default all named designs that can be cores."""
    if not sources:
        named = [load_design(name) for name in named_designs()]
        return {
            design.name: core_of(design)
            for design in named
            if isinstance(design, Config) or design.bus == "axi"
        }
    cores: dict[str, CoreConfig] = {}
    for source in sources:
        design = load_design(source)
        if design.name in cores:
            raise UserError(f"CONFIG must be another design each time, not {design.name} again: {source}")
        cores[design.name] = core_of(design)
    return cores


def _print(console: Console, found: Sequence[Estimated]) -> None:
    first = found[0]
    table = Table(
        title=f"{first.m} x {first.k} x {first.n}", title_justify="left", box=SIMPLE_HEAD, title_style="bold"
    )
    table.add_column("design", no_wrap=True)
    for heading in ("cycles", "bytes read", "written", "bound", "of peak"):
        table.add_column(heading, justify="right")
    areas = any(each.area for each in found)
    if areas:
        table.add_column("area, um2", justify="right")
        table.add_column("of")
    for each in found:
        table.add_row(
            each.name,
            f"{each.estimate.cycles:,}",
            f"{each.read_bytes:,}",
            f"{each.write_bytes:,}",
            each.estimate.bound,
            f"{each.utilization:.1%}",
            *((f"{each.area.um2:,.0f}", each.area.what) if each.area else ("", "") if areas else ()),
        )
    console.print(table)
    if len(found) > 1:
        _best("fewest cycles", found, lambda each: each.estimate.cycles)
        _best("best use of its array", found, lambda each: -each.utilization)
    measured = {each.name: each.area for each in found if each.area}
    if len(measured) > 1 and len({area.what for area in measured.values()}) == 1:
        some = [each for each in found if each.name in measured]
        _best("least cycles x area", some, lambda each: each.estimate.cycles * measured[each.name].um2)


def _best(title: str, found: Sequence[Estimated], cost: Callable[[Estimated], float]) -> None:
    least = min(map(cost, found))
    names = [each.name for each in found if cost(each) == least]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    click.echo(f"{title}: {', '.join(names[:_NAMED])}{more}")
