"""Random operands for benches: ordinary ones, and the extremes of every format."""

import numpy as np

from ..spec.array import Config
from ..spec.formats.numbers import IntFormat
from .operands import float_dtype, group_count

_CORNER_SCALES = (0.0, -0.0, 1.0, -1.0, 6e-8, -6e-8, 6.1e-5, 65504.0, -65504.0, np.inf, -np.inf, np.nan)
_CORNER_TOKENS = (0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 1.2e-38, 3e38, -3e38, 1e-4, np.inf, np.nan)


def integers(rng: np.random.Generator, fmt: IntFormat, shape, extreme: bool = False) -> np.ndarray:
    """Codes of `fmt`: uniform, or only its extremes and their neighbours."""
    if extreme:
        return rng.choice([fmt.min, fmt.min + 1, -1 if fmt.signed else 1, 0, fmt.max], shape)
    return rng.integers(fmt.min, fmt.max, shape, endpoint=True)


def activations(rng: np.random.Generator, shape, config: Config, extreme: bool = False) -> np.ndarray:
    """Activations of `config`: uniform or Gaussian, or only corner cases."""
    form = config.act_code
    if isinstance(form, IntFormat):
        return integers(rng, form, shape, extreme)
    if not extreme:
        spread = 2.0 ** rng.integers(-4, 5, (shape[0], 1))
        return (rng.standard_normal(shape) * spread).astype(float_dtype(form))
    # One row in two is finite; specials are rare enough for single ones.
    significand = 1 << form.fraction_bits
    corners = [0, 1, 2, significand, significand - 1, form.largest, form.largest - 1]
    specials = [form.nan] + ([form.infinity] if form.infinities else [])
    codes = np.where(
        rng.random(shape) < 0.5,
        rng.choice(corners, shape),
        rng.integers(0, form.largest, shape, endpoint=True),
    )
    rare = (rng.random(shape) < 2 / shape[1]) & (rng.random((shape[0], 1)) < 0.5)
    codes = np.where(rare, rng.choice(specials, shape), codes)
    codes = codes | rng.integers(0, 2, shape) << (form.bits - 1)
    return codes.astype(f"u{form.bits // 8}").view(float_dtype(form))


def random_operands(rng: np.random.Generator, m: int, k: int, n: int, config: Config, *, extreme=False):
    """a, q, s, z, t of `mixpe.quant.golden.mpgemm`."""
    groups = group_count(k, config)
    a = activations(rng, (m, k), config, extreme)
    q = integers(rng, config.weight_code, (k, n), extreme)
    z = t = None
    if extreme:
        s = rng.choice(np.array(_CORNER_SCALES, np.float16), (groups, n))
    else:
        s = (rng.uniform(-1, 1, (groups, n)) * 2.0 ** rng.integers(-14, 4)).astype(np.float16)
    if config.zero_point:
        z = integers(rng, config.weight_code, (groups, n), extreme)
    if config.token_scale:
        t = rng.choice(_CORNER_TOKENS, m) if extreme else rng.uniform(-1e-2, 1e-2, m)
        t = t.astype(np.float32)
    return a, q, s, z, t
