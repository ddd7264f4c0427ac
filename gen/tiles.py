"""Which tiles a self-checking testbench plays: how long they are, and how many a simulator should take."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle

import numpy as np

from ..spec.array import Config
from ..spec.formats.numbers import IntFormat
from ..spec.streams import streams
from .vectors import Shape, Tile, Vectors

_LARGE = 64
"""Elements above which simulators take long over an array; its testbench is shorter."""

_SMALL = 16
"""Elements up to which simulators take little time even over elements with floating-point sums."""

_FLOW_BEATS = 400
"""Beats of a flow tile at most, unless it is cut short."""

_LONGEST_GROUP = 1 << 14
"""Beats of a group that is crossed in any array; small arrays cross longer ones."""

_IDLE = 1 << 17
"""Element-cycles of a long group that is crossed."""

_ORDINARY = Shape(1, active=1)
_SCALES, _ACTS = replace(_ORDINARY, special_scales=True), replace(_ORDINARY, special_acts=True)
_WIDE, _ECHO = replace(_ORDINARY, wide=True), replace(_ORDINARY, echo=True)

_OF_INTEGERS = (_ORDINARY, _SCALES, _WIDE, _ORDINARY, _ECHO, _SCALES, _WIDE, _ORDINARY)
"""Says what the tiles of values are like, in turn, where activations are integers."""

_OF_FLOATS = (_ORDINARY, _SCALES, _ACTS, _WIDE, _ECHO, _ACTS, _ORDINARY, _ACTS)
"""Says the same where activations are floating-point numbers, which are aligned."""

_AS_THEY_ARE = tuple(_ORDINARY if like == _WIDE else like for like in _OF_FLOATS)
"""Says the same where sums are floating-point numbers, which have many digits without wide operands."""


@dataclass
class _Budget:
    """What the tiles after the flow tiles may cost: dequantized sums, products, cycles and lines."""

    sums: int
    products: int
    cycles: int
    text: int

    @classmethod
    def of(cls, config: Config) -> "_Budget":
        elements = config.rows * config.cols
        large = is_large(config)
        products = 20_000 if config.scheme.name != "fp_mac" else 9000 if elements <= _SMALL else 3000
        cycles = min(30_000, max(800_000 // elements, (6 if large else 10) * config.tile_gap))
        if large:
            products, cycles = products // 3, cycles // 4
        return cls(1024 if large else 4096, max(products, 4 * elements), cycles, 300_000)

    def take(self, config: Config, shape: Shape) -> None:
        """Takes a tile's cost away."""
        groups, elements = config.matrix.groups(shape.k), config.rows * config.cols
        active = min(shape.active, config.group_beats)
        self.sums -= groups * elements
        self.products -= int(groups * active * elements * shape.density**2)
        self.cycles -= config.tile_cycles(shape.k)
        counts = {"acts": groups * (active + 1), "scales": groups, "out": config.rows}
        counts |= {"weights": counts["acts"], "tokens": config.rows}
        self.text -= sum(counts[each.name] * (each.width // 4 + 30) for each in streams(config))

    @property
    def left(self) -> bool:
        """Whether there is some of everything."""
        return min(self.sums, self.products, self.cycles, self.text) > 0


def is_large(config: Config) -> bool:
    """Whether simulators take long over an array."""
    return config.rows * config.cols > _LARGE


def is_crossed(config: Config) -> bool:
    """Whether a testbench plays whole groups of an array, and begins the next behind them."""
    return config.group_beats <= _longest(config)


def _longest(config: Config) -> int:
    """Beats of the longest group that is crossed."""
    return max(_LONGEST_GROUP, _IDLE // (config.rows * config.cols))


def flow_tiles(config: Config, vectors: Vectors) -> Iterator[Tile]:
    """Yields tiles of one size, whose cycles are counted; they cross groups, unless these are long."""
    large = is_large(config)
    if 3 * config.group_beats <= _FLOW_BEATS:
        k = config.group + (config.group + 3) // 4 if large else 2 * config.group + (config.group + 1) // 2
    else:
        k = min(config.group, 40 * config.lanes) - 1
    for _ in range(2 if large else 3):
        yield vectors.tile(Shape(k, active=2, density=_density(config)))


def _density(config: Config) -> float:
    """The part of rows and columns at work in a beat of a large array, as simulators take long over it."""
    return min(1.0, 8 / np.sqrt(config.rows * config.cols))


def value_tiles(config: Config, vectors: Vectors) -> Iterator[Tile]:
    """Yields tiles of all sizes and all kinds of numbers, until they cost enough."""
    budget, rng = _Budget.of(config), vectors.rng
    for shape in _long_shapes(config):
        yield vectors.tile(shape)
    for like in cycle(_likes(config)):
        if not budget.left:
            break
        shape = _shape(config, rng, budget, like)
        budget.take(config, shape)
        yield vectors.tile(shape)
    yield vectors.tile(Shape(1, active=1))


def _long_shapes(config: Config) -> Iterator[Shape]:
    """Yields a tile that crosses a long group, and two of the largest sums, as far as they are cheap."""
    elements = config.rows * config.cols
    if 3 * config.group_beats > _FLOW_BEATS:
        k = min(config.group, _longest(config) * config.lanes) + 3 * config.lanes
        yield Shape(k, active=3, boundary=True, steady=config.scheme.name != "fp_mac")
        if elements * config.group_beats <= _IDLE:
            yield Shape(k, active=3, boundary=True)
    if config.scheme.name != "fp_mac":
        density = min(1.0, float(np.sqrt(8000 / (elements * config.group_beats))))
        if density * min(config.rows, config.cols) >= 1:
            for _ in range(2):
                yield Shape(config.group, active=config.group_beats, density=density, steady=True)


def _likes(config: Config) -> tuple[Shape, ...]:
    """Returns what the tiles of values are like, in turn."""
    if isinstance(config.act_code, IntFormat):
        return _OF_INTEGERS
    return _AS_THEY_ARE if config.scheme.name == "fp_mac" else _OF_FLOATS


def _shape(config: Config, rng: np.random.Generator, budget: _Budget, like: Shape) -> Shape:
    """Returns `like` in a size that fits the budget: several groups where that is not dear, or a short one.

    As sums with infinities or NaN hide others, activations that hold such come in one group as a rule.
    """
    elements = config.rows * config.cols
    affordable = int(budget.cycles // 3 // max(config.group_beats, config.group_gap))
    whole = min(affordable, int(rng.integers(0, 7)))
    if like.special_acts and rng.random() < 0.6:
        whole = 0
    short = int(rng.integers(1, min(config.group, 24 * config.lanes), endpoint=True))
    k = whole * config.group + (short if whole == 0 or rng.random() < 0.6 else 0)
    most = max(1, budget.products // (8 * elements * max(1, whole)))
    active = 24 if like.wide else int(rng.choice([1, 2, 3, *[min(24, most)] * 3]))
    return replace(like, k=k, active=min(active, most))
