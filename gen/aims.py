"""Scales and weights of a self-checking testbench, chosen by what sums and results are without them."""

from dataclasses import replace

import numpy as np

from ..quant.codecs import codec
from ..quant.golden import mpgemm
from ..quant.matrix import QuantizedMatrix
from ..spec.array import Config
from ..spec.formats.numbers import FP32

_OFFERS = 8
"""Weights of a group from which those are chosen that come closest to what is wanted."""


class Aims:
    """Changes the operands of tiles that are drawn at random, so that rare cases of rounding come about.

    rng: of the tiles; it is drawn from.
    """

    def __init__(self, config: Config, rng: np.random.Generator):
        self.config = config
        self.rng = rng

    def token(self, result: float) -> np.float32 | None:
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

    def echo(self, a: np.ndarray, q: np.ndarray, members: dict[str, np.ndarray]) -> None:
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

    def sums(self, a: np.ndarray, q: np.ndarray, members: dict[str, np.ndarray]) -> None:
        """Chooses scales, and among some weights, by what a result is before a group, in one row of a column.

        Either the group all but cancels it: a part in 2**12 or less is left, so that the sum may have its
        leading one in any place. Or it takes it close to the next power of two, and the next group beyond.
        """
        config, rng, form = self.config, self.rng, self.config.scale
        scale, most = codec(form), float(codec(form).decode(np.array([form.largest]))[0])
        group, columns = config.group, np.arange(config.cols)
        results = np.zeros((config.rows, config.cols), np.float32)
        crossing = rng.random(config.cols) < 0.4
        for g in range(len(members["s"])):
            part = slice(g * group, (g + 1) * group)
            offers = [q[part], *(rng.permuted(q[part], axis=0) for _ in range(_OFFERS - 1))]
            sums = np.stack([self._group_sums(a[:, part], offer, members, g) for offer in offers])
            goals = np.where(crossing, self._crossing(results, beyond=g % 2 == 0), 0)
            with np.errstate(all="ignore"):
                wanted = np.clip((goals - results) / sums, -most, most).astype(scale.dtype)
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

    def _group_sums(self, a: np.ndarray, q: np.ndarray, members: dict[str, np.ndarray], g: int) -> np.ndarray:
        """Returns what the sums of group `g` are before they are scaled: float32 [rows, cols]."""
        ones = np.ones((1, self.config.cols), np.float16)
        one = {symbol: array[g : g + 1] for symbol, array in members.items()} | {"s": ones}
        plain = replace(self.config, out_format="fp32", token_scale=False)
        return mpgemm(a, QuantizedMatrix(plain.matrix, q, one), config=plain)
