"""Cases of the fuzz: command lines drawn from the commands' own options, and damaged files of every kind.

A case follows from its kind, a seed and a number, and from nothing else.
"""

import json
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module

import click
import numpy as np

from mixpe.cli.commands import COMMANDS
from mixpe.gen.configurations import named_designs
from mixpe.ppa.record import to_values
from verif.libraries.few import LIBRARY
from verif.samples.models import VOCABULARY, Header, shapes
from verif.samples.records import RECORDS

from . import fuzz_mutators as mutate
from .fuzz_models import checkpoint, tokenizer


@dataclass(frozen=True)
class Case:
    """Arguments of `mixpe`, as bytes, and the files in its folder."""

    arguments: tuple[bytes, ...]
    files: dict[str, bytes] = field(default_factory=dict)


def _case(arguments: Sequence[str | bytes], files: dict[str, bytes] | None = None) -> Case:
    return Case(tuple(each if isinstance(each, bytes) else each.encode() for each in arguments), files or {})


def _draws(kind: str, seed: int, number: int) -> random.Random:
    return random.Random(f"{kind} {seed} {number}")


# Command lines

COSTLY = {"bench": "--no-such-option"}
"""What is added to a command that would work for long whatever its options are."""

_PLACES = ("", ".", "/", "folder", "pipe", "/dev/null", "/dev/full", "/dev/zero", "given.toml", "given.txt")
_PLACES += ("folder/x", "given.txt/x", "none/x", "~", "~nobody/x", "x" * 300, "/proc/self/mem", "a b.json")
_NUMBERS = ("0", "-1", "1", "2", "3", "8", "64", "1e309", "nan", "-inf", "1e-320", "0x10", "1_000", "2.5")
_NUMBERS += ("9" * 25, "9" * 5000, "-" + "9" * 30, "\u0663", "\uff11", "+4", " 4 ", "4294967296", "--", "-")
_WORDS = (
    "[/red]",
    "[bold]x",
    ":bug:",
    "%s",
    "{0}",
    "$(ls)",
    ";",
    "'",
    '"',
    "a\nb",
    "\t",
    "*",
    "\u202e",
    "\x1b[31m",
)
_WORDS += (
    "\U0001f600",
    "None",
    "True",
    "area",
    "w4a8",
    "1x1x1",
    "1x2",
    "0x1x1",
    "2x2x2x2",
    "x.toml",
    "os:path",
)
_WORDS += (
    "given.toml",
    "given.json",
    "given.txt",
    "int8",
    "w4a8_booth",
    "sky130hd",
    "few.lib",
    "a.b:C",
    "4,4",
)
_BYTES = (b"\xff\xfe", b"caf\xe9", b"\xed\xa0\x80", b"\xc0\xaf", b"x\x80.toml")
_SHORT = ("w4a8_4x4_g32", "given.toml")


@cache
def _command(name: str) -> click.Command:
    return getattr(import_module(f"mixpe.cli.{name}"), name)


def _value(draw: random.Random, parameter: click.Parameter) -> str | bytes:
    kind = parameter.type
    if isinstance(kind, click.Choice) and draw.random() < 0.6:
        return str(draw.choice(list(kind.choices)))
    pools: list[Sequence[str | bytes]] = [_PLACES, _NUMBERS, _WORDS, _BYTES]
    likely = _PLACES if isinstance(kind, click.Path) else _WORDS if kind is click.STRING else _NUMBERS
    return draw.choice(likely if draw.random() < 0.6 else draw.choice(pools))


def _given(draw: random.Random, parameter: click.Parameter) -> list[str | bytes]:
    """One parameter as it is typed, or mistyped."""
    if isinstance(parameter, click.Argument):
        source = (
            draw.choice([*named_designs(), *_SHORT, *_WORDS]) if draw.random() < 0.8 else draw.choice(_BYTES)
        )
        return [source]
    name = draw.choice([*parameter.opts, *parameter.secondary_opts])
    chance = draw.random()
    if chance < 0.05:
        name = name[:-1] if draw.random() < 0.5 else f"{name}x"
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return [name] if chance < 0.9 else [f"{name}=1"]
    if chance > 0.95:
        return [name]
    value = _value(draw, parameter)
    if chance > 0.75:
        return [name.encode() + b"=" + (value if isinstance(value, bytes) else value.encode())]
    return [name, value]


def command_line(seed: int, number: int) -> Case:
    """Any command with any of its options, which come from the commands themselves."""
    draw = _draws("command", seed, number)
    files = {
        "given.toml": b"rows = 2\ncols = 2\ngroup = 4\n",
        "given.json": json.dumps([to_values(record) for record in RECORDS]).encode(),
        "given.txt": b"Once upon a time\n",
        "few.lib": LIBRARY.encode(),
    }
    if draw.random() < 0.04:
        odd = [draw.choice([*_WORDS, *_BYTES, "", "-h", "--version", "--help", *COMMANDS]) for _ in range(2)]
        return _case(odd[: draw.randrange(3)], files)
    name = draw.choice(list(COMMANDS))
    arguments: list[str | bytes] = [name]
    parameters = _command(name).params
    for parameter in draw.choices(parameters, k=draw.choice([0, 1, 1, 2, 2, 3, 4])) if parameters else ():
        given = _given(draw, parameter)
        arguments += given * (2 if draw.random() < 0.1 else 1)
    if name == "estimate" and draw.random() < 0.7:
        arguments.insert(1, "8x64x16")
    if name in COSTLY:
        arguments.append(COSTLY[name])
    return _case(arguments, files)


# Files

_TOML = """\
name = "mine"
weight_bits = 4
group = 32
rows = 4
cols = 4
act_bits = 8
datapath = "booth"
token_scale = true

[core]
data_bits = 64
weight_words = 256
"""

_COMPETITOR = """\
name = "theirs"
title = "Their element"
role = "W4A8"
lanes = 1
group = 8
latency = 1
reset_active = "high"
exact = true
verilog = ["given.v"]
top = "theirs"

[ports]
weights = "w"
activations = "a"
sum = "s"
last = "last"

[constants]
mode = 1

[parameters]
WIDTH = 12
"""

_VERILOG = """\
module theirs #(parameter WIDTH = 16) (input clk, input signed [3:0] w, input signed [7:0] a, input last,
  input mode, output reg signed [WIDTH-1:0] s);
  always @(posedge clk) s <= last ? w * a : s + w * a;
endmodule
"""


def toml(seed: int, number: int) -> Case:
    """A damaged configuration, or description of a competitor."""
    draw = _draws("toml", seed, number)
    if draw.random() < 0.3:
        files = {
            "given.toml": mutate.toml(_COMPETITOR, draw),
            "given.v": mutate.seldom(_VERILOG.encode(), draw),
        }
        return _case(["ppa", "--competitor", "given.toml", "--lib", "none.lib"], files)
    files = {"given.toml": mutate.toml(_TOML, draw)}
    command = draw.choice((["estimate", "4x64x8"], ["verilog"], ["ppa", "--lib", "none.lib", "--config"]))
    return _case([*command, "given.toml"], files)


def liberty(seed: int, number: int) -> Case:
    """A damaged cell library."""
    draw = _draws("liberty", seed, number)
    design = ["--rows", "1", "--cols", "1", "--group", "1", "--weight-bits", "2", "--act-bits", "4"]
    files = {"given.lib": mutate.liberty(LIBRARY, draw)}
    return _case(["synth", *design, "--lib", "given.lib", "--out-dir", "out"], files)


def report(seed: int, number: int) -> Case:
    """A damaged `ppa.json` or `synth.json`."""
    draw = _draws("report", seed, number)
    tiny, _, tokens = _checkpoint(draw)
    records = [to_values(record) for record in draw.sample(RECORDS, 2)]
    files = {"given.json": mutate.json_text(records, draw)}
    if draw.random() < 0.6:
        return _case(["estimate", "4x64x8", "w4a8_16x16_g128", "--report", "given.json"], files)
    arguments = ["--engine", "golden", "--tokens", "1", "--model", "tiny", "--tokenizer", "tok"]
    return _case(
        ["llm", *arguments, "--energy", "given.json", "--json", "out.json"],
        files | {"tiny": tiny, "tok": tokens},
    )


def _checkpoint(draw: random.Random) -> tuple[bytes, Header, bytes]:
    """A small model, its header and its tokenizer."""
    heads, kv_heads = draw.choice([(1, 1), (2, 1), (2, 2), (4, 2)])
    dim, vocab = 2 * heads * draw.randint(1, 4), len(VOCABULARY) * draw.choice((-1, 1))
    header = (dim, draw.randint(1, 20), draw.randint(1, 2), heads, kv_heads, vocab, draw.randint(2, 12))
    rng = np.random.default_rng(draw.randrange(1 << 32))
    tensors = [rng.standard_normal(shape).astype("<f4") for shape in shapes(header).values()]
    content = struct.pack("<7i", *header) + b"".join(tensor.tobytes() for tensor in tensors)
    tokens = struct.pack("<i", max(map(len, VOCABULARY)))
    tokens += b"".join(struct.pack("<fi", len(token), len(token)) + token for token in VOCABULARY)
    return content, header, tokens


def model(seed: int, number: int) -> Case:
    """A damaged checkpoint, tokenizer, text or prompt."""
    draw = _draws("model", seed, number)
    content, header, tokens = _checkpoint(draw)
    text = "ab c\u00e9 ab".encode()
    damaged = draw.choice(("model", "model", "tokenizer", "text", "prompt"))
    if damaged == "model":
        content = checkpoint(content, header, draw)
    elif damaged == "tokenizer":
        tokens = tokenizer(tokens, draw)
    else:
        text = mutate.text(text, draw)
    files = {"tiny": content, "tok": tokens, "given.txt": text}
    options: list[str | bytes] = ["--model", "tiny", "--tokenizer", "tok", "--json", "out.json"]
    if damaged == "text" or (damaged != "prompt" and draw.random() < 0.5):
        return _case(
            ["perplexity", *options, *(["--text", "given.txt"] if draw.random() < 0.7 else [])], files
        )
    engine = draw.choice(("golden", "float"))
    prompt = [b"--prompt=" + text.replace(b"\0", b"")] if damaged == "prompt" else []
    more = draw.choice(([], ["--acts", "a16"], ["--temperature", "0.5"], ["--group", "8", "--zero-point"]))
    return _case(["llm", *options, "--engine", engine, "--tokens", "3", *prompt, *more], files)


def small_files() -> dict[str, bytes]:
    """A file of each kind that commands read, none of them damaged."""
    content, _, tokens = _checkpoint(_draws("small", 0, 0))
    return {
        "tiny": content,
        "tok": tokens,
        "few.lib": LIBRARY.encode(),
        "given.txt": b"ab c\n",
        "given.toml": _TOML.encode(),
    }


KINDS: dict[str, Callable[[int, int], Case]] = {
    "command": command_line,
    "toml": toml,
    "liberty": liberty,
    "report": report,
    "model": model,
}
"""Makes a case of each kind from a seed and a number."""
