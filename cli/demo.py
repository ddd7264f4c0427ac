"""`mixpe demo`: layers of a real language model through the Verilog."""

import sys
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..hw.config import Config
from ..hw.errors import UserError
from ..quant.data import find
from ..quant.golden import mpgemm
from ..quant.llama import BOS, Llama
from ..quant.quantize import quantize_activations, quantize_weights
from ..quant.tokenizer import Tokenizer
from ..verif.player import Played, Product, play
from ..verif.runner import SIMULATORS, SimulationError, Simulator, require_simulator
from .options import HELP

MODEL, TOKENIZER = "models/stories260K.bin", "models/tok512.bin"


@dataclass(frozen=True)
class Layer:
    """A linear layer with the activations it met: x [M, K], w [K, N], float32."""

    name: str
    x: np.ndarray
    w: np.ndarray

    @property
    def shape(self) -> str:
        return f"{self.x.shape[0]} x {self.w.shape[0]} x {self.w.shape[1]}"


@click.command(context_settings=HELP)
@click.option("--prompt", default="Once upon a time, there was a", show_default=True, help="Text to read.")
@click.option("--group", "groups", type=int, multiple=True, default=(32, 64), show_default=True)
@click.option("--simulator", type=click.Choice(SIMULATORS), default="verilator", show_default=True)
@click.option("--out-dir", type=click.Path(path_type=Path), default=Path("build/demo"), show_default=True)
def demo(prompt: str, groups: tuple[int, ...], simulator: Simulator, out_dir: Path) -> None:
    """Run every linear layer of stories260K on a prompt through a 16x16 W4A8 array, and compare the bits.

    Weights are quantized to INT4 per group, activations to INT8 per token. The table shows, for each
    layer, M x K x N, the simulated cycles, the share of the array's multiplications that were useful, and the
    error against FP32, relative to the result's Euclidean norm.
    """
    require_simulator(simulator)
    configs = [Config(group=group, token_scale=True) for group in groups]
    layers = layers_of(prompt)
    console = Console()
    exact = True
    for config in configs:
        products = [quantized(layer, config) for layer in layers]
        try:
            results = simulated(products, config, simulator, out_dir / config.name)
        except SimulationError as error:
            click.echo(f"mixpe: error: {error}", err=True)
            sys.exit(1)
        table, wrong = report(layers, products, results, config)
        console.print(table)
        console.print(
            f"{len(layers) - len(wrong)} of {len(layers)} layers equal the golden model bit for bit"
            + (f"; not {', '.join(wrong)}" if wrong else "")
        )
        exact &= not wrong
    if not exact:
        sys.exit(1)


def layers_of(prompt: str) -> list[Layer]:
    """Every linear layer of the model, with its activations when the model reads `prompt`."""
    model = Llama.load(find(MODEL))
    tokenizer = Tokenizer.load(find(TOKENIZER), model.config.vocab)
    tokens = [BOS, *tokenizer.encode(prompt)]
    layers = []

    def linear(name: str, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        layers.append(Layer(name, x, w))
        return x @ w

    try:
        model.forward(tokens, model.new_cache(), linear)
    except UserError as error:
        raise UserError(f"prompt: {error}") from None
    return layers


def quantized(layer: Layer, config: Config) -> Product:
    weights = quantize_weights(layer.w, config)
    a, t = quantize_activations(layer.x, config)
    return Product(a, weights.q, weights.s, weights.z, t)


def simulated(products: list[Product], config: Config, simulator: Simulator, folder: Path) -> list[Played]:
    """Plays all products, with a progress bar on the standard error."""
    results: list[Played] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(f"{config.name}: building under {simulator}", total=len(products))
        for played in play(products, config, simulator, folder):
            if played is not None:
                results.append(played)
                progress.update(task, description=f"{config.name}: layers under {simulator}", advance=1)
    return results


def report(
    layers: list[Layer], products: list[Product], results: list[Played], config: Config
) -> tuple[Table, list[str]]:
    """The table of all layers, and the names of those whose bits differ from the golden model's."""
    table = Table(
        "layer", "M x K x N", title=f"{config.name}: stories260K, W4 group {config.group}, A8 per token"
    )
    for heading in ("cycles", "utilization", "error"):
        table.add_column(heading, justify="right")
    wrong, useful, cycles = [], 0, 0
    for layer, product, played in zip(layers, products, results, strict=True):
        golden = mpgemm(product.a, product.q, product.s, product.z, config=config, t=product.t)
        if golden.tobytes() != played.out.tobytes():
            wrong.append(layer.name)
        macs = layer.x.shape[0] * layer.w.size
        table.add_row(
            layer.name,
            layer.shape,
            f"{played.cycles:,}",
            f"{utilization(macs, played.cycles, config):.1%}",
            f"{relative_error(played.out, layer):.2%}",
        )
        useful, cycles = useful + macs, cycles + played.cycles
    table.add_section()
    table.add_row("all", "", f"{cycles:,}", f"{utilization(useful, cycles, config):.1%}", "")
    return table, wrong


def utilization(macs: int, cycles: int, config: Config) -> float:
    return macs / (cycles * config.rows * config.cols * config.lanes)


def relative_error(out: np.ndarray, layer: Layer) -> float:
    exact = layer.x.astype(np.float64) @ layer.w
    return float(np.linalg.norm(out - exact) / np.linalg.norm(exact))
