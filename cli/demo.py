"""`mixpe demo`: layers of a real language model through the Verilog."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..bench.accuracy import error_table
from ..models.record import Layer, layers_of, quantized, relative_error
from ..quant.golden import mpgemm
from ..quant.operands import Operands
from ..sim.cocotb.player import Played, play
from ..sim.cocotb.runner import SIMULATORS, SimulationError, Simulator, require_simulator
from ..spec.array import Config
from ..support.files import check_folder
from .options import HELP

SCHEMES: dict[str, dict[str, Any]] = {
    "w4a8": {"token_scale": True},
    "aligned": {"act_format": "fp16", "fp_scheme": "aligned", "align_bits": 13},
    "fp_mac": {"act_format": "fp16", "fp_scheme": "fp_mac"},
}
"""Fields of the configurations that run."""

TITLES = {"w4a8": "W4A8", "aligned": "W4A16 aligned", "fp_mac": "W4A16 fp_mac"}


@dataclass(frozen=True)
class Run:
    """All layers, quantized as `config` has it, and what came out of its Verilog."""

    title: str
    config: Config
    products: Sequence[Operands]
    results: Sequence[Played]

    def wrong(self, layers: Sequence[Layer]) -> list[str]:
        """Names of the layers whose bits differ from the golden model's."""
        return [
            layer.name
            for layer, p, played in zip(layers, self.products, self.results, strict=True)
            if mpgemm(p.a, p.weights, config=self.config, t=p.t).tobytes() != played.out.tobytes()
        ]


@click.command(context_settings=HELP)
@click.option("--prompt", default="Once upon a time, there was a", show_default=True, help="Text to read.")
@click.option("--group", "groups", type=int, multiple=True, default=(32, 64), show_default=True)
@click.option(
    "--scheme",
    "schemes",
    type=click.Choice(list(SCHEMES)),
    multiple=True,
    default=tuple(SCHEMES),
    show_default=True,
    help="INT8 activations per token, or FP16: aligned to 13 bits, or with FP32 multiply-adds.",
)
@click.option("--errors", is_flag=True, help="Print errors by arithmetic instead; no simulator runs.")
@click.option("--simulator", type=click.Choice(SIMULATORS), default="verilator", show_default=True)
@click.option("--out-dir", type=click.Path(path_type=Path), default=Path("build/demo"), show_default=True)
def demo(
    prompt: str,
    groups: tuple[int, ...],
    schemes: tuple[str, ...],
    errors: bool,
    simulator: Simulator,
    out_dir: Path,
) -> None:
    """Run every linear layer of stories260K on a prompt through 16x16 arrays, and compare the bits.

    Weights are quantized to INT4 per group. A table for each group shows, for each layer and scheme, M x K x
    N, the simulated cycles, the share of the array's multiplications that were useful, and the error against
    FP32, relative to the result's Euclidean norm.

    --errors prints, for more widths of aligned activations, the median and worst such error of all layers,
    and the arithmetic's own error: against exact arithmetic on the same FP16 activations and INT4 weights.
    """
    configs = {group: [(TITLES[s], Config(group=group, **SCHEMES[s])) for s in schemes] for group in groups}
    console = Console()
    if errors:
        layers = layers_of(prompt)
        for group in groups:
            console.print(error_table(layers, group))
        return
    check_folder(out_dir)
    require_simulator(simulator)
    layers = layers_of(prompt)
    exact = True
    for group, chosen in configs.items():
        try:
            runs = [run(title, layers, config, simulator, out_dir / config.name) for title, config in chosen]
        except SimulationError as error:
            click.echo(f"mixpe: error: {error}", err=True)
            sys.exit(1)
        console.print(report(f"stories260K, W4 group {group}", layers, runs))
        for each in runs:
            wrong = each.wrong(layers)
            equal = f"{len(layers) - len(wrong)} of {len(layers)} layers equal the golden model bit for bit"
            console.print(f"{each.title}: {equal}" + (f"; not {', '.join(wrong)}" if wrong else ""))
            exact &= not wrong
    if not exact:
        sys.exit(1)


def run(title: str, layers: Sequence[Layer], config: Config, simulator: Simulator, folder: Path) -> Run:
    """Plays all layers, with a progress bar on the standard error."""
    products = [quantized(layer, config) for layer in layers]
    results: list[Played] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        task = progress.add_task(f"{config.name}: building under {simulator}", total=len(products))
        for played in play(products, config, simulator, folder):
            if played is not None:
                results.append(played)
                progress.update(task, description=f"{config.name}: layers under {simulator}", advance=1)
    return Run(title, config, products, results)


def report(title: str, layers: Sequence[Layer], runs: Sequence[Run]) -> Table:
    """One row per layer: cycles and utilization of every run, then the errors of every run; then the sums."""
    # Tight, for 80 columns.
    table = Table(title=f"{title}: cycles, utilization; error against FP32", box=SIMPLE_HEAD, padding=0)
    for heading in ("layer", "M x K x N"):
        table.add_column(heading, vertical="bottom")
    for each in runs:
        table.add_column("\n".join([*each.title.split(), "cycles"]), justify="right", vertical="bottom")
        table.add_column("use", justify="right", vertical="bottom")
    for each in runs:
        table.add_column("\n".join([*each.title.split(), "error"]), justify="right", vertical="bottom")
    for i, layer in enumerate(layers):
        work = [f for each in runs for f in work_cells(layer.macs, each.results[i].cycles, each.config)]
        exact = layer.exact
        errors = [f"{relative_error(each.results[i].out, exact):.2%}" for each in runs]
        table.add_row(layer.name, layer.shape, *work, *errors)
    table.add_section()
    macs = sum(layer.macs for layer in layers)
    totals = [(sum(played.cycles for played in each.results), each.config) for each in runs]
    table.add_row("all", "", *(f for cycles, config in totals for f in work_cells(macs, cycles, config)))
    return table


def work_cells(macs: int, cycles: int, config: Config) -> tuple[str, str]:
    return f"{cycles:,}", f"{utilization(macs, cycles, config):.0%}"


def utilization(macs: int, cycles: int, config: Config) -> float:
    return macs / (cycles * config.rows * config.cols * config.lanes)
