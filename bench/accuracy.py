"""The errors that alignment and FP32 sums make on real layers, by the golden model alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from ..models.record import Layer, quantized, relative_error
from ..quant.golden import mpgemm
from ..spec.array import Config

FP16: dict[str, Any] = {"act_format": "fp16"}
ARITHMETICS: dict[str, dict[str, Any]] = {
    **{f"FP16 aligned to {bits} bits": {**FP16, "align_bits": bits} for bits in (8, 9, 10, 11, 12, 13, 16)},
    "FP16 aligned, exact": FP16,
    "FP16 fp_mac": {**FP16, "fp_scheme": "fp_mac"},
    "INT8 per token": {"token_scale": True},
}
"""Fields of the configurations compared."""


@dataclass(frozen=True)
class Errors:
    """Holds the relative errors of one arithmetic, one per layer.

    own: against exact arithmetic on the same quantized weights and FP16 activations, so what the arithmetic
    (of INT8, its activations too) adds. total: against the layer in FP32, so with the weights' quantization.
    """

    arithmetic: str
    own: np.ndarray
    total: np.ndarray


def errors(layers: Sequence[Layer], group: int) -> Iterator[Errors]:
    """Yields the errors of every arithmetic of `ARITHMETICS` with weights in groups of `group`."""
    plain = Config(group=group, **FP16)
    fp16 = [exact_product(layer, plain) for layer in layers]
    fp32 = [layer.exact for layer in layers]
    for name, chosen in ARITHMETICS.items():
        config = Config(group=group, **chosen)
        products = [quantized(layer, config) for layer in layers]
        outs = [mpgemm(p.a, p.weights, t=p.t, config=config) for p in products]
        own, total = (
            np.array([relative_error(out, exact) for out, exact in zip(outs, exacts, strict=True)])
            for exacts in (fp16, fp32)
        )
        yield Errors(name, own, total)


def exact_product(layer: Layer, config: Config) -> np.ndarray:
    """Computes the product of a layer's quantized operands in float64, without token scales."""
    product = quantized(layer, config)
    return product.a.astype(np.float64) @ product.weights.dequantized().astype(np.float64)


def error_table(layers: Sequence[Layer], group: int) -> Table:
    """Tabulates median and worst of all layers for every arithmetic."""
    title = f"stories260K, W4 group {group}: relative errors of {len(layers)} layers"
    table = Table(title=title, box=SIMPLE_HEAD)
    table.add_column("activations", vertical="bottom")
    for heading in ("own:\nmedian", "worst", "against FP32:\nmedian", "worst"):
        table.add_column(heading, justify="right", vertical="bottom")
    for row in errors(layers, group):
        own = (f"{pick(row.own):.2e}" for pick in (np.median, np.max))
        total = (f"{pick(row.total):.3%}" for pick in (np.median, np.max))
        table.add_row(row.arithmetic, *own, *total)
    return table
