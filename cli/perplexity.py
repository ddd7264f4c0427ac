"""`mixpe perplexity`: what quantization costs a language model."""

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..llm.engine import ACTIVATIONS, FloatEngine, GoldenEngine, array_config
from ..llm.perplexity import Perplexity, bits_per_weight, measure, samples, windows
from ..models.llama import Llama
from ..models.load import load_model
from ..spec.array import Config
from ..spec.errors import UserError
from ..support.documents import read_plain
from ..support.files import check_place
from .llm import model_options
from .options import HELP
from .output import json_option, write_json

WEIGHT_BITS = (8, 4, 3, 2)

FP32 = "FP32"


@click.command(context_settings=HELP)
@model_options
@click.option("--text", type=click.Path(path_type=Path), metavar="FILE", help="Text, UTF-8, to read.")
@click.option(
    "--samples", "count", type=int, metavar="N", help="Texts of the model's own, if no file is given [8]."
)
@click.option("--length", type=int, metavar="T", help="Most tokens of each [256, or the model's positions].")
@click.option("--seed", type=int, metavar="S", help="Of the first of them [0].")
@click.option("--group", type=int, default=64, show_default=True, metavar="N", help="Weights of a scale.")
@click.option("--acts", type=click.Choice(list(ACTIVATIONS)), default="a8", show_default=True)
@click.option("--zero-point", is_flag=True, help="Groups of weights have zero points.")
@json_option
def perplexity(
    model: str,
    tokenizer: str | None,
    text: Path | None,
    count: int | None,
    length: int | None,
    seed: int | None,
    group: int,
    acts: str,
    zero_point: bool,
    json_file: Path | None,
) -> None:
    """Compare the perplexity of a model in FP32 and with weights of 8, 4, 3 and 2 bits.

    Quantized products are those of the golden model, which are a core's bit for bit.

    The text is a file, in windows of as many tokens as the model has positions, or the model's own, which it
    makes in FP32 at temperature 1. A window, and a text of the model's own, begins with BOS, which is not
    counted; every other token is, once, predicted from those before it in its window. So is the BOS or EOS
    that ends a text of the model's own.
    """
    own = {"samples": count, "length": length, "seed": seed}
    if text and (given := [name for name, value in own.items() if value is not None]):
        raise UserError(f"--{given[0]} must not be given with --text")
    if json_file:
        check_place(json_file)
    configs = {FP32: None} | {
        f"W{bits}": array_config(bits, group, acts, zero_point=zero_point) for bits in WEIGHT_BITS
    }
    llama, vocabulary = load_model(model, tokenizer)
    if text:
        texts, source = windows(vocabulary.encode(read_plain(text, "text")), llama.config.seq_len), str(text)
    else:
        count, seed = 8 if count is None else count, 0 if seed is None else seed
        length = min(256, llama.config.seq_len) if length is None else length
        own = {"count": count, "length": length, "seed": seed}
        with Console(stderr=True).status("drawing texts"):
            texts = samples(llama, count, length, seed)
        source = f"{count} texts of its own, seeds {seed} to {seed + count - 1}"
    found = _measure(llama, texts, configs)
    rows = [(name, bits_per_weight(llama, configs[name]), result) for name, result in found.items()]
    scheme = f"group {group}{', zero points' * zero_point}, {acts.upper()}"
    counted = f"{found[FP32].tokens:,} tokens in {len(texts)} window{'s' * (len(texts) != 1)}"
    click.echo(f"{model}, {scheme}; {counted}: {source}")
    Console().print(table(rows))
    if json_file:
        write_json(
            json_file,
            {
                "model": model,
                "group": group,
                "acts": acts,
                "zero_point": zero_point,
                "text": str(text) if text else None,
                "samples": None if text else own,
                "windows": len(texts),
                "tokens": found[FP32].tokens,
                "perplexities": [
                    {
                        "weights": name,
                        "bits_per_weight": bits,
                        "perplexity": result.value if isfinite(result.value) else None,
                    }
                    for name, bits, result in rows
                ],
            },
        )


def _measure(
    model: Llama, texts: Sequence[Sequence[int]], configs: Mapping[str, Config | None]
) -> dict[str, Perplexity]:
    """By the names of `configs`, with a progress bar on the standard error."""
    found = {}
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    # Elsewhere than on a terminal a bar is an empty line.
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        per_model = sum(len(text) - 1 for text in texts)
        task = progress.add_task("", total=per_model * len(configs))
        for name, config in configs.items():
            progress.update(task, description=name)
            engine = FloatEngine() if config is None else GoldenEngine(config)
            engine.load_all(model.linears)
            found[name] = measure(model, texts, engine.linear, lambda count: progress.advance(task, count))
    return found


def table(rows: Sequence[tuple[str, float, Perplexity]]) -> Table:
    """Weights, bits of a weight and perplexity, and its ratio to the first row's."""
    found = Table(box=SIMPLE_HEAD)
    found.add_column("weights")
    for heading in ("bits per weight", "perplexity", "to FP32"):
        found.add_column(heading, justify="right")
    for name, bits, result in rows:
        ratio = result.value / rows[0][2].value
        found.add_row(name, f"{bits:.3f}", f"{result.value:,.4f}", f"{ratio:,.4f}x")
    return found
