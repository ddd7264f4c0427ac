"""Every option of every command that takes a path, given what is no file of its kind: one line, status 2.

The options come from the commands themselves, so that a new one is met too.
"""

from functools import cache
from importlib import import_module

import click
import pytest

from mixpe.cli.commands import COMMANDS
from verif.harness.fuzz import Runner, runner
from verif.harness.fuzz_cases import Case, small_files

WORDS = ("PATH", "FILE", "TOML", "CONFIG")
"""Words of which an option that takes a path, and has not the type of one, has one in its metavar."""

FOLDERS = {"--out-dir"}
"""Options that name a folder."""

ODD = {
    "pipe": b"pipe",
    "device": b"/dev/full",
    "folder": b"folder",
    "locked": b"locked",
    "in a locked folder": b"locked_folder/x",
    "below a file": b"given.txt/x",
    "long name": b"x" * 300,
    "long path": b"x/" * 2500,
    "loop": b"loop",
}

MODEL = ("--model", "tiny", "--tokenizer", "tok")

REST = {
    "estimate": ("8x64x16",),
    "llm": ("--engine", "golden", "--tokens", "1", *MODEL),
    "perplexity": MODEL,
    "ppa": ("--design", "w4a8_booth", "--lib", "few.lib"),
}
"""What a command needs besides, to come as far as its work: what it may not do before it looks at a path."""


def takes_path(parameter: click.Parameter) -> bool:
    words = (parameter.metavar or "").replace("|", " ").replace("[", " ").replace("]", " ").replace(".", " ")
    return isinstance(parameter.type, click.Path) or any(word in words.split() for word in WORDS)


def path_parameters() -> list[tuple[str, str]]:
    """Commands with each of their parameters that take a path; "" stands for an argument."""
    return [
        (name, parameter.opts[0] if isinstance(parameter, click.Option) else "")
        for name in COMMANDS
        for parameter in getattr(import_module(f"mixpe.cli.{name}"), name).params
        if takes_path(parameter)
    ]


@pytest.fixture(scope="module")
def run():
    with runner() as made:
        yield made


@cache
def files() -> dict[str, bytes]:
    return small_files()


@pytest.mark.parametrize(("command", "option"), path_parameters(), ids=lambda each: each or "CONFIG")
def test_path(command, option, run: Runner):
    for kind, place in ODD.items():
        if option in FOLDERS and kind == "folder":
            continue
        given = [option.encode(), place] if option else [place]
        # Of an option that is given twice, the last one counts.
        case = Case((command.encode(), *map(str.encode, REST.get(command, ())), *given), files())
        outcome = run.run(case)
        assert (outcome.status, outcome.faults) == (2, []), (kind, outcome.stderr[-1500:])
        assert place.decode()[-30:] in outcome.stderr, (kind, outcome.stderr[-500:])


def test_path_parameters_are_found():
    found = path_parameters()
    for each in [
        ("verilog", ""),
        ("estimate", ""),
        ("estimate", "--report"),
        ("synth", "--lib"),
        ("ppa", "--csv"),
        ("ppa", "--competitor"),
        ("llm", "--tokenizer"),
        ("llm", "--core"),
        ("perplexity", "--text"),
        ("demo", "--out-dir"),
    ]:
        assert each in found
