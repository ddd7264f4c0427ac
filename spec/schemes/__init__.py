"""Activation schemes: how activations are multiplied and summed, as objects.

A scheme knows every width, latency and formula that depends on it. `Config.scheme` is the one of a
configuration; `mixpe.hw.array.schemes` has its circuits and `mixpe.quant.golden.schemes` its golden model,
each under the scheme's name.
"""

from .aligned import Aligned
from .base import Scheme
from .fp_mac import FpMac
from .integer import Integer

SCHEMES: dict[str, type[Scheme]] = {each.name: each for each in (Integer, Aligned, FpMac)}
FLOAT_SCHEMES: tuple[str, ...] = (Aligned.name, FpMac.name)
"""The schemes of floating-point activations."""

__all__ = ["FLOAT_SCHEMES", "SCHEMES", "Aligned", "FpMac", "Integer", "Scheme"]
