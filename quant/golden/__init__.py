"""The golden model in NumPy: what the hardware must compute, bit for bit."""

from .product import mpgemm

__all__ = ["mpgemm"]
