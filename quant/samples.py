"""Random operands for benches and testbenches: ordinary ones, and the extremes of every format."""

import numpy as np

from ..spec.array import Config
from ..spec.formats.matrix import Member
from ..spec.formats.numbers import FloatFormat, IntFormat
from .codecs import codec
from .matrix import QuantizedMatrix

_CORNER_SCALES = (0.0, -0.0, 1.0, -1.0, 6e-8, -6e-8, 6.1e-5, 65504.0, -65504.0, np.inf, -np.inf, np.nan)
_CORNER_TOKENS = (0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 1.2e-38, 3e38, -3e38, 1e-4, np.inf, np.nan)


def integers(rng: np.random.Generator, form: IntFormat, shape, extreme: bool = False) -> np.ndarray:
    """Returns integers of a format: uniform, or only its extremes and their neighbours."""
    if extreme:
        return rng.choice([form.min, form.min + 1, -1 if form.signed else 1, 0, form.max], shape)
    return rng.integers(form.min, form.max, shape, endpoint=True)


def numbers(rng: np.random.Generator, form: IntFormat | FloatFormat, shape) -> np.ndarray:
    """Returns numbers of a format as most data are: uniform integers, or Gaussian numbers."""
    if isinstance(form, IntFormat):
        return integers(rng, form, shape)
    return rng.standard_normal(shape).astype(codec(form).dtype)


def activations(rng: np.random.Generator, shape, config: Config, extreme: bool = False) -> np.ndarray:
    """Returns activations of `config`: uniform or Gaussian, or only corner cases."""
    form = config.act_code
    if isinstance(form, IntFormat):
        return integers(rng, form, shape, extreme)
    if not extreme:
        spread = 2.0 ** rng.integers(-4, 5, (shape[0], 1))
        return (rng.standard_normal(shape) * spread).astype(codec(form).dtype)
    # One row in two is finite; specials are rare enough for single ones.
    significand = 1 << form.fraction_bits
    corners = [0, 1, 2, significand, significand - 1, form.largest, form.largest - 1]
    codes = np.where(
        rng.random(shape) < 0.5,
        rng.choice(corners, shape),
        rng.integers(0, form.largest, shape, endpoint=True),
    )
    if form.specials:
        rare = (rng.random(shape) < 2 / shape[1]) & (rng.random((shape[0], 1)) < 0.5)
        codes = np.where(rare, rng.choice(form.specials, shape), codes)
    return codec(form).decode(codes | rng.integers(0, 2, shape) << (form.bits - 1))


def weight_codes(rng: np.random.Generator, config: Config, shape, extreme: bool = False) -> np.ndarray:
    """Returns weight codes of `config`: uniform over all codes, or only corner cases."""
    form = config.weight_code
    if isinstance(form, IntFormat):
        return integers(rng, form, shape, extreme)
    sign = 1 << (form.bits - 1)
    corners = [0, 1, form.largest, sign, sign | 1, sign | form.largest]
    codes = rng.choice(corners, shape) if extreme else rng.integers(0, 1 << form.bits, shape)
    return codec(form).decode(codes)


def _scales(rng: np.random.Generator, _config: Config, shape, extreme: bool) -> np.ndarray:
    if extreme:
        return rng.choice(np.array(_CORNER_SCALES, np.float16), shape)
    return (rng.uniform(-1, 1, shape) * 2.0 ** rng.integers(-14, 4)).astype(np.float16)


_GROUP_MEMBERS = {"s": _scales, "z": weight_codes}


def random_matrix(
    rng: np.random.Generator, k: int, n: int, config: Config, *, extreme: bool = False
) -> QuantizedMatrix:
    """Returns a random quantized matrix [k, n] of `config.matrix`."""
    codes = weight_codes(rng, config, (k, n), extreme)
    shape = (config.matrix.groups(k), n)

    def draw(member: Member) -> np.ndarray:
        return _GROUP_MEMBERS[member.symbol](rng, config, shape, extreme)

    return QuantizedMatrix(config.matrix, codes, {each.symbol: draw(each) for each in config.matrix.members})


def random_operands(
    rng: np.random.Generator, m: int, k: int, n: int, config: Config, *, extreme: bool = False
) -> tuple[np.ndarray, QuantizedMatrix, np.ndarray | None]:
    """Returns a, weights and t of `mixpe.quant.golden.mpgemm`."""
    a = activations(rng, (m, k), config, extreme)
    weights = random_matrix(rng, k, n, config, extreme=extreme)
    if not config.row_members:
        return a, weights, None
    t = rng.choice(_CORNER_TOKENS, m) if extreme else rng.uniform(-1e-2, 1e-2, m)
    return a, weights, t.astype(np.float32)
