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

_OFFERS = 8
"""Weights of a group from which those are chosen that cancel best."""


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
            self._echo(a, q, members)
        elif groups > 1 and shape.ordinary and self.rng.random() < 0.5:
            self._aim_sums(a, q, members)
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
        """Returns zero points: of any value, extreme, or where infinities are about, often zero."""
        config, rng = self.config, self.rng
        extreme = rng.random(shape) < 0.3
        ordinary, limits = (weight_codes(rng, config, shape, corner) for corner in (False, True))
        zeros = np.where(extreme, limits, ordinary)
        return np.where(rng.random(shape) < 0.4, 0, zeros) if special else zeros

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
            aimed = self._aimed(float(rng.choice(result))) if kind > 0.6 else None
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

    def _aimed(self, result: float) -> np.float32 | None:
        """Returns a scale that takes `result` close to a tie of the output's format, or among its subnormal
        numbers; None if there is none.

        Of several such scales the first is taken by which the tie comes about by rounding to FP32 alone.
        """
        rng, out = self.rng, self.config.out
        if not np.isfinite(result) or result == 0:
            return None
        form = FP32 if rng.random() < 0.3 else out
        bits = form.fraction_bits
        normal = rng.random(16) < 0.7
        fields = np.where(normal, rng.integers(1, form.field_max, 16), 1)
        fraction = rng.integers(0, 1 << bits, 16)
        fraction = np.where(normal, fraction | 1 << bits, fraction >> rng.integers(0, bits, 16))
        ties = np.ldexp(2.0 * fraction + 1, fields - form.bias - bits - 1)
        with np.errstate(all="ignore"):
            scales = (ties / result).astype(np.float32)
        scales = scales[np.isfinite(scales) & (scales != 0)]
        products = scales.astype(float) * result
        rounded = np.isin(products.astype(np.float32), ties) & ~np.isin(products, ties)
        for chosen in (scales[rounded], scales):
            if chosen.size:
                return chosen[0] * np.float32(rng.choice([-1, 1]))
        return None

    def _echo(self, a: np.ndarray, q: np.ndarray, members: dict[str, np.ndarray]) -> None:
        """Repeats the first group with scales x, a fraction of x of about 2**-24, -x, and so on."""
        config, rng, form = self.config, self.rng, self.config.scale
        groups, group = len(members["s"]), config.group
        keep = rng.random((config.rows, min(group, a.shape[1]))).argmax(axis=1)
        for g in range(groups):
            part = slice(g * group, (g + 1) * group)
            length = a[:, part].shape[1]
            a[:, part], q[part] = a[:, :length], q[:length]
            if rng.random() < 0.5:  # one product alone
                a[:, part] = np.where(np.arange(length) == keep[:, None] % length, a[:, part], 0)
        for array in members.values():
            array[:] = array[0]
        high = rng.integers(form.field_max - 6, form.field_max, config.cols, endpoint=True)
        low = np.maximum(0, high - rng.integers(20, 28, (groups, config.cols)))
        sign = rng.integers(0, 2, (groups, config.cols))
        fields = np.where(np.arange(groups)[:, None] % 2, low, high)
        sign[0::4], sign[2::4] = 0, 1
        members["s"][:] = codec(form).decode(fields << form.fraction_bits | sign << (form.bits - 1))

    def _aim_sums(self, a: np.ndarray, q: np.ndarray, members: dict[str, np.ndarray]) -> None:
        """Chooses scales, and among some weights, by what a result is before a group, in one row of a column.

        Either the group all but cancels it: a part in 2**12 or less is left, so that the sum may have its
        leading one in any place. Or it takes it close to the next power of two, and the next group beyond.
        """
        config, rng, scale = self.config, self.rng, codec(self.config.scale)
        group, columns = config.group, np.arange(config.cols)
        results = np.zeros((config.rows, config.cols), np.float32)
        crossing = rng.random(config.cols) < 0.4
        for g in range(len(members["s"])):
            part = slice(g * group, (g + 1) * group)
            offers = [q[part], *(rng.permuted(q[part], axis=0) for _ in range(_OFFERS - 1))]
            sums = np.stack([self._sums(a[:, part], offer, members, g) for offer in offers])
            goals = np.where(crossing, self._crossing(results, beyond=g % 2 == 0), 0)
            with np.errstate(all="ignore"):
                wanted = np.clip((goals - results) / sums, -65504, 65504).astype(scale.dtype)
                left = np.abs((results - goals + sums * wanted) / results)
            left[~np.isfinite(left) | (wanted == 0)] = np.inf
            offer, row = np.unravel_index(
                left.reshape(-1, config.cols).argmin(axis=0), (len(offers), config.rows)
            )
            use = np.isfinite(left[offer, row, columns]) & (rng.random(config.cols) < 0.7)
            for column in columns[use]:
                q[part, column] = offers[offer[column]][:, column]
            members["s"][g] = np.where(use, wanted[offer, row, columns], members["s"][g])
            for column in columns[~use]:
                members["s"][g, column] = self._tie(rng.choice(sums[0, :, column]), members["s"][g, column])
            with np.errstate(all="ignore"):
                now = np.where(use, sums[offer, :, columns].T, sums[0])
                results = (results + now * members["s"][g]).astype(np.float32)

    def _crossing(self, results: np.ndarray, *, beyond: bool) -> np.ndarray:
        """Returns numbers close to the powers of two above `results`: some below them, or some beyond."""
        with np.errstate(all="ignore"):
            power = np.exp2(np.floor(np.log2(np.abs(results.astype(float)))) + 1) * np.sign(results)
        return power * (1 + 0.001 if beyond else 1 - np.exp2(-self.rng.uniform(3, 9, results.shape)))

    def _tie(self, total: float, near: float) -> float:
        """Returns a scale about `near` whose product with `total` lies halfway between two numbers of FP32,
        the smaller of which is even; `near` if there is none."""
        form = self.config.scale
        code = int(codec(form).encode(np.array([near], codec(form).dtype))[0])
        fraction, _ = np.frexp(total)
        if not np.isfinite(total) or not total or not code >> form.fraction_bits & form.exponent_max:
            return near
        fractions = self.rng.permutation(1 << form.fraction_bits)
        products = int(abs(fraction) * (1 << FP32.significand_bits)) * (fractions | 1 << form.fraction_bits)
        below = np.frexp(products.astype(float))[1] - FP32.significand_bits
        ties = (below > 0) & (products & ((2 << np.maximum(below, 0)) - 1) == 1 << np.maximum(below - 1, 0))
        if not ties.any():
            return near
        code = code >> form.fraction_bits << form.fraction_bits | int(fractions[ties.argmax()])
        return codec(form).decode(np.array([code]))[0]

    def _sums(self, a: np.ndarray, q: np.ndarray, members: dict[str, np.ndarray], g: int) -> np.ndarray:
        """Returns what the sums of group `g` are before they are scaled: float32 [rows, cols]."""
        ones = np.ones((1, self.config.cols), np.float16)
        one = {symbol: array[g : g + 1] for symbol, array in members.items()} | {"s": ones}
        plain = replace(self.config, out_format="fp32", token_scale=False)
        return mpgemm(a, QuantizedMatrix(plain.matrix, q, one), config=plain)
