"""How many bits a weight takes in memory.

`python -m mixpe.quant.packing.overhead` prints the tables of docs/memory.md.
"""

from collections.abc import Iterable, Iterator
from itertools import product

from ...spec import layout
from ...spec.array import Config
from .memory import bits_per_weight

SIZES = ((4096, 4096), (4096, 11008), (11008, 4096), (4096, 32000))
"""Matrices [K, N] of large language models."""
WEIGHT_BITS = (2, 3, 4, 8)
GROUPS = (32, 64, 128)
COLS = (16, 128)
LANES = (1, 2, 4, 8)

_LARGEST = (
    (4096, 4096, Config(cols=124), "the last of 34 column tiles has 4 columns of 124"),
    (4096, 4096, Config(weight_bits=2, zero_point=True, cols=2), "tiles of scales: 144 bytes in 192"),
    (4096, 4096, Config(weight_bits=2, zero_point=True, cols=1), "tiles of scales: 72 bytes in 128"),
    (4096, 4096, Config(group=20, lanes=8), "20 weights of a group take 3 beats of 8 lanes"),
    (64, 172, Config(cols=128, group=32), "the last of 2 column tiles has 44 columns of 128"),
)
"""Matrices and configurations of which more than 2 % is padding, and the cause."""


def overhead(k: int, n: int, config: Config) -> float:
    """Bits per weight of a matrix [k, n] beyond those without padding, as a part of the latter."""
    return bits_per_weight(k, n, config) / layout.ideal_weight_bits(config) - 1


def tables() -> Iterator[str]:
    """Lines of three tables: bits per weight without padding, the most overhead of all groups and lanes, and
    where it is large."""
    kinds = list(product(WEIGHT_BITS, (False, True)))
    names = [f"W{bits}{', z' if zero_point else ''}" for bits, zero_point in kinds]
    yield from _head("group", *names)
    for group in GROUPS:
        configs = [Config(weight_bits=bits, zero_point=zero_point, group=group) for bits, zero_point in kinds]
        yield _row([str(group), *(f"{layout.ideal_weight_bits(config):.7g}" for config in configs)])
    yield ""
    yield from _head("K x N", "columns", *names)
    for (k, n), cols in product(SIZES, COLS):
        most = (
            max(
                overhead(k, n, Config(**fields, group=group, lanes=lanes))
                for group, lanes in product(GROUPS, LANES)
            )
            for fields in ({"weight_bits": w, "zero_point": z, "cols": cols} for w, z in kinds)
        )
        yield _row([f"{k} x {n}", str(cols), *map(_percent, most)])
    yield ""
    yield from _head("K x N", "columns", "lanes", "weights", "group", "overhead", "cause")
    for k, n, config, cause in _LARGEST:
        name = f"W{config.weight_bits}{', z' if config.zero_point else ''}"
        fields = (str(config.cols), str(config.lanes), name, str(config.group))
        yield _row([f"{k} x {n}", *fields, _percent(overhead(k, n, config)), cause])


def _percent(part: float) -> str:
    return f"{100 * part:.2f} %" if part else "0"


def _head(*names: str) -> Iterator[str]:
    yield _row(names)
    yield f"|{'---|' * len(names)}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print("\n".join(tables()))
