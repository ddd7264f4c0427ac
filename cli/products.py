"""What commands that tell of products on a core share: shapes, and the memory behind the core."""

import re
from collections.abc import Callable
from functools import wraps
from math import inf
from typing import Any

import click

from ..spec.core import SIZE_BITS
from ..spec.errors import UserError

_SHAPE = re.compile(r"(\d+)x(\d+)x(\d+)", re.ASCII)
_NUMBERS = re.compile(r"[-\d.,xX*]+", re.ASCII)


def is_shape(text: str) -> bool:
    """Whether `text` is meant as a product, MxKxN: numbers, and no name of a design."""
    return _NUMBERS.fullmatch(text) is not None


def product(name: str, text: str) -> tuple[int, int, int]:
    """Returns M, K and N of "MxKxN"; raises `UserError` that begins with `name` if it is no such product."""
    parts = _SHAPE.fullmatch(text)
    m, k, n = map(int, parts.groups()) if parts and len(text) < 100 else (0, 0, 0)
    most = (1 << SIZE_BITS) - 1
    if not all(1 <= size <= most for size in (m, k, n)):
        raise UserError(f"{name} must be MxKxN, each 1 to {most}, not {text!r}")
    return m, k, n


def memory_options(command: Callable) -> Callable:
    """Gives `command` the memory behind the core, `memory`: keywords of `mixpe.spec.cycles.estimate`."""

    @wraps(command)
    def with_memory(latency: int, write_latency: int, bandwidth: float | None, **options: Any):
        if bandwidth is not None and not 0 < bandwidth < inf:
            raise UserError(f"--bandwidth must be a number of bytes above 0, not {bandwidth:g}")
        memory = {"latency": latency, "write_latency": write_latency, "bytes_per_cycle": bandwidth}
        return command(memory=memory, **options)

    for option in (
        click.option(
            "--bandwidth",
            type=float,
            metavar="BYTES",
            help="Bytes that the memory reads and writes together in a cycle [a word each way].",
        ),
        click.option(
            "--write-latency",
            type=int,
            default=20,
            show_default=True,
            metavar="CYCLES",
            help="Cycles from a burst's last word to the memory's answer.",
        ),
        click.option(
            "--latency",
            type=int,
            default=40,
            show_default=True,
            metavar="CYCLES",
            help="Cycles from a read request to the memory's first word.",
        ),
    ):
        with_memory = option(with_memory)
    return with_memory


def memory_words(memory: dict[str, Any]) -> str:
    """Says what the memory is, in a line."""
    bandwidth = memory["bytes_per_cycle"]
    speed = "a word each way" if bandwidth is None else f"{bandwidth:g} bytes"
    return f"memory: latency {memory['latency']} to read, {memory['write_latency']} to write, {speed} a cycle"
