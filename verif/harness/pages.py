"""Pages of documentation as programs: their blocks of code, written, run and compared with what they state.

A page's fenced blocks are of four kinds. One whose opening line names a file after the language is that
file. One of `sh` holds commands; one of `text` right after it, what they print. Any other block is for the
caller to use.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LEFT_OUT = "..."


@dataclass(frozen=True)
class Block:
    """Holds a fenced block: its language, the file that it names ("" if none), and its text."""

    language: str
    file: str
    text: str


def page(name: str) -> str:
    """Returns the text of a page, whose path is given from the project's folder."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str) -> Iterator[Block]:
    """Yields the fenced blocks of a page in their order."""
    for found in _BLOCK.finditer(text):
        yield Block(found[1], found[2] or "", found[3])


def environment() -> dict[str, str]:
    """Returns a user's environment, in which the programs of this Python come first on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PATH": path}


def shell(commands: str, folder: Path, variables: Mapping[str, str]) -> str:
    """Runs commands in `folder`, and returns what they print; fails if one of them fails."""
    done = subprocess.run(
        ["bash", "-e", "-c", commands],
        cwd=folder,
        env=dict(variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{commands}\nended with status {done.returncode}:\n{done.stdout}"
    return done.stdout


def states(text: str, output: str) -> bool:
    """Returns whether `output` is `text`, in which a line `...` stands for any lines."""
    parts = [re.escape(line) + r"\n" if line != _LEFT_OUT else r"(?:.*\n)*" for line in text.splitlines()]
    return re.fullmatch("".join(parts), output) is not None


def play(text: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Writes a page's files and runs its commands in `folder`, in order.

    Yields what the page states and what was printed, for each block of commands that a block of `text`
    follows. Fails for a block that is neither of these.
    """
    variables, printed = environment(), None
    for block in blocks(text):
        if block.file:
            (folder / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "sh":
            assert printed is None, f"the page states no output of the commands before {block.text!r}"
            printed = shell(block.text, folder, variables)
        else:
            assert block.language == "text", f"no kind of block: {block.language}"
            assert printed is not None, f"no commands before {block.text!r}"
            yield block.text, printed
            printed = None
    assert printed is None, "the page does not state what its last commands print"
