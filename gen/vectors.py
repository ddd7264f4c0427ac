"""The numbers of a self-checking testbench's tiles: ordinary ones, extremes, and many that round.

An operand takes turns between kinds of numbers, row by row and column by column, group by group: so every
result meets another mixture. Numbers of few significant bits give ties, which random ones seldom do; numbers
within a few binary places of each other give carries and cancellation, far ones sticky bits.
"""

from dataclasses import dataclass, replace

import numpy as np

from ..quant.codecs import codec
from ..quant.golden import mpgemm
from ..quant.matrix import QuantizedMatrix
from ..quant.samples import activations, integers, weight_codes
from ..spec.array import Config
from ..spec.formats.numbers import FP32, FloatFormat, IntFormat
from .aims import Aims


@dataclass(frozen=True)
class Tile:
    """Operands of one tile: a[rows, K], weights [K, cols], and t[rows] where rows have scales."""

    a: np.ndarray
    weights: QuantizedMatrix
    t: np.ndarray | None

    @property
    def k(self) -> int:
        """The inner dimension."""
        return self.a.shape[1]


@dataclass(frozen=True)
class Shape:
    """What a tile is to be like.

    Parameters
    ----------
    k: its inner dimension.
    active: beats of each group, at most, whose operands are not zero: the last one and those that come first.
    density: the part of rows, and of columns, whose operands are not zero in an active beat.
    special_acts: whether there may be infinities, NaN and other corners among the activations.
    special_scales: whether there may be such among the scales.
    steady: whether every active beat holds the same extreme operands, which give the largest sums.
    wide: whether the operands of a row, and of a column, are large and of one sign, so that sums have many
        significant bits.
    echo: whether all groups hold the operands of the first one, and scales are powers of two, so that sums
        lie a bit beside powers of two.
    boundary: whether scales are such that an operand counted to the wrong group shows.
    """

    k: int
    active: int
    density: float = 1.0
    special_acts: bool = False
    special_scales: bool = False
    steady: bool = False
    wide: bool = False
    echo: bool = False
    boundary: bool = False

    @property
    def ordinary(self) -> bool:
        """Whether operands and scales may be chosen for what their sums are."""
        return not (self.steady or self.special_acts or self.special_scales)


class Vectors:
    """Draws the tiles of one configuration; the same seed gives the same tiles."""

    def __init__(self, config: Config, seed: int):
        self.config = config
        self.rng = np.random.default_rng(seed)
        self._aims = Aims(config, self.rng)

    def tile(self, shape: Shape) -> Tile:
        """Returns a tile of that shape."""
        config = self.config
        a = np.zeros((config.rows, shape.k), codec(config.act_code).dtype)
        q = np.zeros((shape.k, config.cols), codec(config.weight_code).dtype)
        for start in range(0, shape.k, config.group):
            self._fill(a, q, start, shape)
        groups = config.matrix.groups(shape.k)
        members = {"s": self._scales(groups, shape.special_scales)}
        if config.matrix.has("z"):
            members["z"] = self._zeros((groups, config.cols), shape.special_acts)
        if shape.boundary:
            apart = np.where(np.arange(groups) % 2, -0.75, 1).astype(members["s"].dtype)
            members["s"] = np.repeat(apart[:, None], config.cols, axis=1)
        elif shape.echo:
            self._aims.echo(a, q, members)
        elif groups > 1 and shape.ordinary and self.rng.random() < 0.5:
            self._aims.sums(a, q, members)
        weights = QuantizedMatrix(config.matrix, q, members)
        t = self._tokens(a, weights, shape.special_scales) if config.row_members else None
        return Tile(a, weights, t)

    def _fill(self, a: np.ndarray, q: np.ndarray, start: int, shape: Shape) -> None:
        """Draws the operands of the group that begins at `start`."""
        config, rng = self.config, self.rng
        length = min(config.group, shape.k - start)
        beats = -(-length // config.lanes)
        # One beat is the first or the last; more are the last and those that come first.
        active = min(beats, shape.active)
        front = active - 1 if active > 1 else int(rng.integers(2))
        chosen = np.r_[:front, beats - 1 : beats - 1 + (active - front)]
        lanes = (chosen[:, None] * config.lanes + np.arange(config.lanes)).ravel()
        lanes = lanes[lanes < length]
        count = len(lanes)
        if shape.steady:
            acts = np.repeat(self._steady(config.act_code, config.rows)[:, None], count, axis=1)
            weights = np.repeat(self._steady(config.weight_code, config.cols)[None, :], count, axis=0)
        elif shape.wide:
            acts = np.stack([self._wide(config.act_code, count) for _ in range(config.rows)])
            weights = np.stack([self._wide(config.weight_code, count) for _ in range(config.cols)], axis=1)
        else:
            acts = np.concatenate([self._acts(count, shape.special_acts) for _ in range(config.rows)])
            weights = np.stack([self._weights(count) for _ in range(config.cols)], axis=1)
        beat = np.searchsorted(chosen, lanes // config.lanes)
        if shape.steady:
            beat = np.zeros_like(beat)
        if shape.density < 1:
            acts[rng.random((config.rows, active))[:, beat] >= shape.density] = 0
            weights[rng.random((active, config.cols))[beat] >= shape.density] = 0
        a[:, start + lanes] = acts
        q[start + lanes] = weights

    def _acts(self, count: int, special: bool) -> np.ndarray:
        """Returns activations [1, count] of one row of one group."""
        config, rng, form = self.config, self.rng, self.config.act_code
        kind = rng.random()
        if isinstance(form, IntFormat):
            return self._integers(form, count, kind)[None]
        if special and kind < 0.1:
            return activations(rng, (1, count), config, extreme=True)
        if special and kind < 0.5 and form.specials:  # one infinity or NaN among small numbers
            acts = self._floats(form, (1, count), 0, form.bias)
            alone = codec(form).decode(np.array([form.specials[-1 if kind < 0.42 else 0]]))
            acts[0, rng.integers(count)] = alone[0] * rng.choice([-1, 1])
            return acts
        if kind < 0.1:
            return np.zeros((1, count), codec(form).dtype)
        span = form.field_max
        if config.scheme.name == "fp_mac" and kind > 0.8:  # a large one, then some that are lost bit by bit
            high = int(rng.integers(span // 2, span, endpoint=True))
            low = max(0, high - (FP32.fraction_bits - form.fraction_bits) - 2)
            acts = self._floats(form, (1, count), low, min(low + 4, span))
            acts[:, 0] = self._floats(form, (1, 1), high, high)[:, 0]
            return acts
        if kind < 0.5:  # about 1
            low, high = form.bias - min(8, form.bias), form.bias + 3
        elif kind < 0.8:  # within some places, anywhere
            low = int(rng.integers(0, span))
            high = low + int(rng.integers(0, 14))
        else:
            low, high = 0, span
        return self._floats(form, (1, count), low, min(high, span))

    def _weights(self, count: int) -> np.ndarray:
        """Returns weight codes [count] of one column of one group."""
        form, kind = self.config.weight_code, self.rng.random()
        if isinstance(form, IntFormat):
            return self._integers(form, count, kind)
        return weight_codes(self.rng, self.config, count, kind < 0.3)

    def _integers(self, form: IntFormat, count: int, kind: float) -> np.ndarray:
        """Returns integers: small, of any value, extreme, or large and of one sign, by `kind` of 0 to 1."""
        rng = self.rng
        if kind < 0.05:
            return np.zeros(count, codec(form).dtype)
        if kind < 0.2:
            return rng.integers(-1 if form.signed else 0, 1, count, endpoint=True) * (rng.random(count) < 0.6)
        if kind < 0.4:
            return integers(rng, form, count)
        if kind < 0.6:
            return integers(rng, form, count, extreme=True)
        near = rng.integers(0, max(2, form.max // 8), count)
        return form.min + near if form.signed and kind < 0.8 else form.max - near

    def _wide(self, form: IntFormat | FloatFormat, count: int) -> np.ndarray:
        """Returns numbers of one sign, of half the largest magnitude and more."""
        rng, negative = self.rng, bool(self.rng.integers(2))
        if isinstance(form, IntFormat):
            most = -form.min if negative and form.signed else form.max
            values = most - rng.integers(0, most // 2, count, endpoint=True)
            return (-values if negative and form.signed else values).astype(codec(form).dtype)
        codes = form.largest - rng.integers(0, 1 << form.fraction_bits, count)
        return codec(form).decode(codes | negative << (form.bits - 1))

    def _steady(self, form: IntFormat | FloatFormat, count: int) -> np.ndarray:
        """Returns numbers of large magnitude."""
        if isinstance(form, IntFormat):
            return self.rng.choice([form.min, form.max], count).astype(codec(form).dtype)
        codes = (form.largest >> 1) | self.rng.integers(0, 2, count) << (form.bits - 1)
        return codec(form).decode(codes)

    def _floats(self, form: FloatFormat, shape: tuple[int, ...], low: int, high: int) -> np.ndarray:
        """Returns finite numbers of exponent fields `low` to `high`, of many significant bits or of few."""
        rng, bits = self.rng, form.fraction_bits
        field = rng.integers(low, high, shape, endpoint=True)
        fraction = rng.integers(0, 1 << bits, shape)
        few = (fraction & -(1 << max(0, bits - 2))) | (rng.integers(0, 4, shape) == 0)
        alone = (1 << bits >> rng.integers(0, bits + 1, shape)) & ((1 << bits) - 1)
        ones = ((1 << bits) - 1) & ~(fraction & fraction >> 1 & 3)
        kind = rng.choice(4, shape, p=(0.5, 0.2, 0.2, 0.1))
        fraction = np.choose(kind, (fraction, few, alone, ones))
        codes = np.minimum(field << bits | fraction, form.largest)
        return codec(form).decode(codes | rng.integers(0, 2, shape) << (form.bits - 1))

    def _corners(self, form: FloatFormat, shape: tuple[int, ...]) -> np.ndarray:
        """Returns the numbers at the ends of a format's ranges, infinities, NaN, and any code."""
        rng, hidden = self.rng, 1 << form.fraction_bits
        ends = [0, 1, hidden - 1, hidden, form.largest, form.infinity, form.infinity, form.nan]
        codes = np.where(
            rng.random(shape) < 0.75, rng.choice(ends, shape), rng.integers(0, 1 << form.bits, shape)
        )
        return codec(form).decode(codes ^ rng.integers(0, 2, shape) << (form.bits - 1))

    def _scales(self, groups: int, special: bool) -> np.ndarray:
        """Returns scales [groups, cols]: those of a column are within some places, or anywhere."""
        form, rng = self.config.scale, self.rng
        columns = []
        for _ in range(self.config.cols):
            kind = rng.random()
            if special and kind < 0.4:
                columns.append(self._corners(form, (groups,)))
                continue
            low, high = 0, form.field_max
            if kind < 0.75:
                low = int(rng.integers(0, high))
                high = min(high, low + int(rng.integers(0, 6)))
            near, far = (self._floats(form, (groups,), *ends) for ends in ((low, high), (0, 4)))
            if kind > 0.85:  # either very large or very small
                near = self._floats(form, (groups,), high - 4, high)
                near = np.where(rng.random(groups) < 0.5, near, far)
            columns.append(near)
        return np.stack(columns, axis=1)

    def _zeros(self, shape: tuple[int, int], special: bool) -> np.ndarray:
        """Returns zero points: of any value, extreme, or where infinities are about, in the array often zero
        or a single bit."""
        config, rng = self.config, self.rng
        extreme = rng.random(shape) < 0.3
        ordinary, limits = (weight_codes(rng, config, shape, corner) for corner in (False, True))
        zeros = np.where(extreme, limits, ordinary)
        if not special:
            return zeros
        weight, kind = config.matrix.weight, rng.random(shape)
        top = weight.integer.bits - 1
        alone = rng.choice([*(1 << bit for bit in range(top)), -1 << top], shape)
        inside = np.where(kind < 0.4, 0, alone)
        return np.where(kind < 0.8, inside + weight.offset, zeros).astype(zeros.dtype)

    def _tokens(self, a: np.ndarray, weights: QuantizedMatrix, special: bool) -> np.ndarray:
        """Returns token scales [rows]: aimed at a result, about 1, anywhere, or at the ends of the range."""
        (member,), rng = self.config.row_members, self.rng
        form = member.format
        assert isinstance(form, FloatFormat)
        unscaled = replace(self.config, out_format="fp32", token_scale=False)
        results = mpgemm(a, weights, config=unscaled)
        rows = []
        for result in results:
            kind = rng.random()
            if special and kind < 0.4:
                rows.append(self._corners(form, (1,)))
                continue
            aimed = self._aims.token(float(rng.choice(result))) if kind > 0.6 else None
            if aimed is not None:
                rows.append(np.array([aimed], codec(form).dtype))
                continue
            low, high = form.bias - 30, form.bias + 20
            if kind < 0.2:
                low, high = 0, form.field_max
            elif kind < 0.3:
                low, high = 0, 24
            elif kind < 0.4:
                low, high = form.field_max - 24, form.field_max
            rows.append(self._floats(form, (1,), low, high))
        return np.concatenate(rows)
