"""IEEE 754 units with a fixed latency: one result every cycle, no flow control, no reset.

Their latencies are constants of `mixpe.spec.array`. They are written from the clauses of IEEE 754-2008:
rounding is to nearest, ties to even (4.3.1); subnormals are kept; every NaN out is the canonical quiet one
(6.2).
"""

from .add import FloatAdder
from .convert import FloatCast, IntToFloat
from .multiply import FloatMultiplier, Power

__all__ = ["FloatAdder", "FloatCast", "FloatMultiplier", "IntToFloat", "Power"]
