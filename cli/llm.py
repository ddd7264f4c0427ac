"""`mixpe llm`: text from a language model whose linear layers run on the simulated core."""

import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from ..gen.configurations import load_design
from ..llm import energy
from ..llm.engine import ACTIVATIONS, CoreEngine, Engine, FloatEngine, GoldenEngine, memory_needed
from ..llm.generate import Generation, sampler
from ..llm.report import lines, macs_per_token, record, tables
from ..models.llama import Llama
from ..models.load import DEFAULT_MODEL, load_model
from ..ppa.record import AnyRecord, read_report
from ..spec.array import Config
from ..spec.core import CoreConfig
from ..spec.errors import UserError
from ..support.files import check_place
from .options import HELP
from .output import json_option, write_json
from .simulated import accelerator

CORE = "core_w8a8_16x16_g64"

_WIDTH = 100
"""Least columns of tables: a narrow terminal would cut off digits."""

_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
"""Characters that a terminal would act on."""


def model_options(command: Callable) -> Callable:
    """Gives `command` the options of `load_model`: `model` and `tokenizer`."""
    command = click.option("--tokenizer", metavar="PATH", help="Tokenizer of a model given by its path.")(
        command
    )
    return click.option(
        "--model",
        default=DEFAULT_MODEL,
        show_default=True,
        metavar="NAME|PATH",
        help="A known model, or a checkpoint in llama2.c's format.",
    )(command)


@click.command(context_settings=HELP)
@model_options
@click.option("--prompt", default="", help="Text to go on from [none: a new text].")
@click.option("--tokens", "count", type=int, default=64, show_default=True, metavar="N", help="New tokens.")
@click.option(
    "--engine",
    type=click.Choice(["rtl", "golden", "float"]),
    default="rtl",
    show_default=True,
    help="The core's Verilog, the golden model, or FP32 without quantization.",
)
@click.option(
    "--core",
    "source",
    default=CORE,
    show_default=True,
    metavar="NAME|TOML",
    help="The core; the options below replace its fields.",
)
@click.option("--weight-bits", type=int, metavar="BITS", help="Of a weight, 2 to 8.")
@click.option("--group", type=int, metavar="N", help="Weights that share a scale.")
@click.option("--zero-point/--no-zero-point", default=None, help="Groups have zero points.")
@click.option(
    "--acts", type=click.Choice(list(ACTIVATIONS)), help="Activations: INT8, or FP16 aligned to 13 bits."
)
@click.option("--rows", type=int, metavar="N", help="Of the array.")
@click.option("--cols", type=int, metavar="N", help="Of the array.")
@click.option("--lanes", type=int, metavar="N", help="Products of an element in a cycle.")
@click.option("--data-bits", type=int, metavar="BITS", help="Width of the core's data bus.")
@click.option("--latency", type=int, metavar="CYCLES", help="Of a read of the simulated memory.")
@click.option("--bandwidth", type=float, metavar="BYTES", help="Of the simulated memory, in a cycle.")
@click.option(
    "--clock", type=float, default=100.0, show_default=True, metavar="MHZ", help="For the core's own speed."
)
@click.option(
    "--temperature", type=float, default=0.0, show_default=True, help="Draw tokens; 0: take the likeliest."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the tokens drawn.")
@click.option(
    "--energy",
    "energy_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A ppa.json [the newest in build/*/].",
)
@json_option
def llm(
    model: str,
    tokenizer: str | None,
    prompt: str,
    count: int,
    engine: str,
    source: str,
    acts: str | None,
    latency: int | None,
    bandwidth: float | None,
    clock: float,
    temperature: float,
    seed: int,
    energy_file: Path | None,
    json_file: Path | None,
    **fields: Any,
) -> None:
    """Generate text with every linear layer on the core; norms, rotations, attention and SiLU run in NumPy.

    The text goes to the standard output as it comes; figures follow on the standard error. --engine golden
    gives the same text and logits, bit for bit, without a simulator.
    """
    if not 0 < clock < float("inf"):
        raise UserError(f"--clock must be a number of MHz above 0, not {clock:g}")
    core = _core(source, (ACTIVATIONS[acts] if acts else {}) | fields)
    if json_file:
        check_place(json_file)
    records = _energy_records(energy_file)
    choose = sampler(temperature, seed)
    llama, vocabulary = load_model(model, tokenizer)
    with _engine(engine, core, llama, {"latency": latency, "bytes_per_cycle": bandwidth}) as runs:
        generation = Generation(llama, vocabulary, runs, prompt, count, choose)
        interrupted = _say(generation)
    array = None if engine == "float" else core.array
    found = energy.figures(records or (), array) if array else []
    macs = macs_per_token(generation)
    if json_file:
        settings = {
            "model": model,
            "engine": engine,
            "temperature": temperature,
            "seed": seed,
            "core": dataclasses.asdict(core) if array else None,
        }
        joules = [{**dataclasses.asdict(each), "joules_per_token": each.per_token(macs)} for each in found]
        write_json(json_file, {**settings, **record(generation, array), "energy": joules})
    if interrupted:
        click.echo(f"mixpe: interrupted after {len(generation.tokens)} of {count} tokens", err=True)
        sys.exit(130)
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    console.width = max(console.width, _WIDTH)
    if engine == "rtl":
        console.print(*tables(generation, core.array), sep="\n")
    for line in lines(generation, array, clock):
        console.print(line, soft_wrap=True)
    if array:
        for line in _energy_lines(found, macs, array, bool(records)):
            console.print(line, soft_wrap=True)


def _core(source: str, fields: dict[str, Any]) -> CoreConfig:
    """The core `source` with these fields, but those that are None, in place of its own."""
    given = {name: value for name, value in fields.items() if value is not None}
    design = load_design(source, **given)
    core = design if isinstance(design, CoreConfig) else CoreConfig(array=design)
    if core.bus != "axi":
        raise UserError(f"--core must be a core with bus axi, not {core.bus}: {source}")
    return core


def _energy_records(file: Path | None) -> list[AnyRecord] | None:
    """The records of the report that is named, or of the newest one; None if there is none."""
    path = file or energy.newest_report()
    return read_report(path) if path else None


@contextmanager
def _engine(kind: str, core: CoreConfig, model: Llama, memory: dict[str, Any]) -> Iterator[Engine]:
    """The engine of this kind with the model's weights; `memory`: parameters of the simulated one or None."""
    with ExitStack() as stack:
        if kind == "rtl":
            given = {name: value for name, value in memory.items() if value is not None}
            size = memory_needed(model, core.array)
            engine: Engine = CoreEngine(stack.enter_context(accelerator(core, memory_bytes=size, **given)))
        else:
            engine = GoldenEngine(core.array) if kind == "golden" else FloatEngine()
        engine.load_all(model.linears)
        yield engine


def _say(generation: Generation) -> bool:
    """Writes prompt and text as they come; whether the user interrupted it."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # of a terminal that has not all letters
    controls = _CONTROLS if sys.stdout.isatty() else {}
    click.echo(generation.prompt, nl=False)
    try:
        for piece in generation:
            click.echo(piece.translate(controls), nl=False)
    except KeyboardInterrupt:
        return True
    finally:
        click.echo()
    return False


def _energy_lines(found: Sequence[energy.Figure], macs: int, array: Config, reported: bool) -> list[str]:
    if found:
        return [f"energy per token: {each.words(macs, array.group)}" for each in found]
    why = "the report has no element or array like this one's" if reported else "no report (ppa.json)"
    return [f"energy per token: {why}; one comes from: {energy.command(array)}"]
