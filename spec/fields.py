"""The fields of a configuration, and what they may be."""

import re
from dataclasses import dataclass, fields

from .errors import UserError
from .formats.numbers import ACT_FORMATS, OUT_FORMATS, FloatFormat
from .formats.weights import WEIGHT_FORMATS
from .reserved import RESERVED

DATAPATHS = ("shift_add", "multiplier", "bit_heap", "booth", "carry_save")
ALIGN_BITS = (8, 41)
"""Least and greatest width of an aligned activation; at the greatest, FP16 is exact."""

_RANGES = {
    "weight_bits": (2, 8),
    "act_bits": (4, 16),
    "group": (1, 16384),
    "acc_bits": (0, 48),
    "rows": (1, 128),
    "cols": (1, 128),
}
CHOICES = {
    "weight_format": ("int", *WEIGHT_FORMATS),
    "act_format": ("int", *ACT_FORMATS),
    "fp_scheme": ("aligned", "fp_mac"),
    "lanes": (1, 2, 4, 8),
    "datapath": DATAPATHS,
    "adder": ("ripple", "prefix"),
    "target": ("asic", "fpga"),
    "out_format": tuple(OUT_FORMATS),
}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def check_name(name: str, longest: int = 63) -> None:
    """Raises `UserError` unless `name` can be that of Verilog modules and files."""
    if not _NAME.fullmatch(name) or len(name) > longest:
        raise UserError(
            f"name must be a lower-case letter followed by at most {longest - 1} lower-case letters, "
            f"digits and underscores, not {name!r}"
        )
    if name in RESERVED:
        raise UserError(f"name must be no reserved word of Verilog, not {name!r}")


def exact_align_bits(form: FloatFormat) -> int:
    """Width of the two's-complement integers that hold all numbers of a format, aligned, without rounding."""
    return form.significand_bits + form.field_max


@dataclass(frozen=True, kw_only=True)
class Fields:
    """The fields of `mixpe.spec.array.Config`, checked.

    Parameters
    ----------
    name: prefix of every Verilog module and file; a description of the other fields if empty.
    weight_format: of weights: "int", or a floating-point format whose numbers the array holds exactly.
    weight_bits: width of a weight code, for integers 2 to 8. 0: 4, or that of a floating-point format.
    weight_signed: weight codes are two's complement; else plain binary.
    zero_point: every group and column has a zero point, an integer of the weight format.
    act_format: of activations: "int", two's complement, or "fp16", "bf16", "fp8_e4m3", "fp8_e5m2".
    act_bits: width of an activation, for integers 4 to 16. 0: 8, or that of a floating-point format.
    fp_scheme: how floating-point activations are multiplied. "aligned" (after FIGNA, Jang et al. 2024): the
        array's edge turns those of a group and row into integers with a common exponent; "fp_mac" (MixPE,
        arXiv 2411.16158, W4A16): every product is exact and is added in FP32.
    align_bits: width of an aligned integer, sign included, 8 to 41, at most what the format needs to be
        exact. 0: exact, which no width up to 41 is for BF16.
    group: weights of one column that share a scale (and zero point), 1 to 16384. A K that is no
        multiple leaves a shorter last group; per-channel quantization is one group over all of K.
    rows, cols: processing elements, 1 to 128 each; a tile of the product is rows x cols.
    lanes: products per processing element and cycle: 1, 2, 4 or 8.
    datapath: how a processing element multiplies and adds integers (`mixpe.hw.element.datapath`):
        "shift_add", "multiplier", "bit_heap", "booth" or "carry_save".
    adder: how "bit_heap", "booth" and "fp_mac" end their sums: "ripple", a carry chain, or "prefix",
        a parallel-prefix adder.
    target: "asic", or "fpga": sums are then written with `+`, which becomes carry chains.
    acc_bits: least width of a group's integer sum; 0: what a group needs. 32 gives INT8's usual one.
    out_format: of the result: "fp32", "fp16" or "bf16".
    token_scale: every row of the result is multiplied by an FP32 scale before the final cast.

    Raises `UserError` that names the field, its value and what is allowed.
    """

    name: str = ""
    weight_format: str = "int"
    weight_bits: int = 0
    weight_signed: bool = True
    zero_point: bool = False
    act_format: str = "int"
    act_bits: int = 0
    fp_scheme: str = "aligned"
    align_bits: int = 0
    group: int = 128
    rows: int = 16
    cols: int = 16
    lanes: int = 1
    datapath: str = "shift_add"
    adder: str = "ripple"
    target: str = "asic"
    acc_bits: int = 0
    out_format: str = "fp32"
    token_scale: bool = False

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not field.type:
                raise UserError(
                    f"{field.name} must be of type {field.type.__name__}, not {value!r}"  # type: ignore[union-attr]
                )
        for name, allowed in CHOICES.items():
            if (value := getattr(self, name)) not in allowed:
                choices = ", ".join(str(choice) for choice in allowed)
                raise UserError(f"{name} must be one of {choices}, not {value!r}")
        self._settle_weights()
        self._settle_activations()
        for name, (low, high) in _RANGES.items():
            if not low <= (value := getattr(self, name)) <= high:
                raise UserError(f"{name} must be {low} to {high}, not {value}")
        self._check_datapath()
        if not self.name:
            object.__setattr__(self, "name", self._description)
        else:
            check_name(self.name)

    def _settle_weights(self) -> None:
        """Gives `weight_bits` its value where it is 0; refuses what cannot be."""
        form = WEIGHT_FORMATS.get(self.weight_format)
        bits = form.bits if form else 4
        if not self.weight_bits:
            object.__setattr__(self, "weight_bits", bits)
        if form is None:
            return
        for name, only in (("weight_bits", bits), ("weight_signed", True), ("zero_point", False)):
            if (value := getattr(self, name)) != only:
                shown = str(only).lower() if isinstance(only, bool) else only
                given = str(value).lower() if isinstance(value, bool) else value
                raise UserError(f"{name} must be {shown} for weight_format {self.weight_format}, not {given}")

    def _settle_activations(self) -> None:
        """Gives `act_bits` and `align_bits` their values where they are 0; refuses what cannot be."""
        form = ACT_FORMATS.get(self.act_format)
        bits = form.bits if form else 8
        if not self.act_bits:
            object.__setattr__(self, "act_bits", bits)
        elif form and self.act_bits != bits:
            raise UserError(f"act_bits must be {bits} for act_format {form.name}, not {self.act_bits}")
        if form is None and self.fp_scheme != "aligned":
            raise UserError(f"fp_scheme {self.fp_scheme} needs a floating-point act_format, not int")
        if form is None or self.fp_scheme != "aligned":
            if self.align_bits:
                scheme = "act_format int" if form is None else f"fp_scheme {self.fp_scheme}"
                raise UserError(f"align_bits must be 0 for {scheme}, not {self.align_bits}")
            return
        exact, (least, most) = exact_align_bits(form), ALIGN_BITS
        if not self.align_bits and exact <= most:
            object.__setattr__(self, "align_bits", exact)
        if not least <= self.align_bits <= min(exact, most):
            nearest = max(least, min(self.align_bits or most, exact, most))
            if not self.align_bits:
                why = f": exact {form} takes {exact} bits"
            else:
                why = f": at {exact} bits {form} is exact" if self.align_bits > exact else ""
            raise UserError(
                f"align_bits must be {least} to {min(exact, most)} for act_format {form.name}, not "
                f"{self.align_bits}{why}; the nearest is {nearest}"
            )

    def _check_datapath(self) -> None:
        if self.act_format != "int" and self.fp_scheme == "fp_mac":
            for name, only in (("datapath", "shift_add"), ("acc_bits", 0)):
                if (value := getattr(self, name)) != only:
                    raise UserError(f"{name} must be {only} for fp_scheme fp_mac, not {value}")
            heaps = True
        else:
            heaps = self.datapath in ("bit_heap", "booth")
        if self.adder == "prefix" and (not heaps or self.target == "fpga"):
            raise UserError(
                "adder prefix goes with datapath bit_heap or booth, or fp_scheme fp_mac, and target asic, "
                f"not with {self.datapath} and {self.target}"
            )

    @property
    def _description(self) -> str:
        weight = f"w{self.weight_bits}{'' if self.weight_signed else 'u'}{'z' if self.zero_point else ''}"
        weight = weight if self.weight_format == "int" else self.weight_format
        act = f"a{self.act_bits}" if self.act_format == "int" else self.act_format.removeprefix("fp8_")
        parts = [f"{weight}{act}", f"{self.rows}x{self.cols}", f"g{self.group}"]
        if self.act_format != "int":
            parts += [f"align{self.align_bits}" if self.align_bits else self.fp_scheme]
        parts += [f"l{self.lanes}"] if self.lanes > 1 else []
        parts += [self.datapath] if self.datapath != "shift_add" else []
        parts += [self.adder] if self.adder != "ripple" else []
        parts += [self.target] if self.target != "asic" else []
        parts += [f"acc{self.acc_bits}"] if self.acc_bits else []
        parts += [self.out_format] if self.out_format != "fp32" else []
        parts += ["t"] if self.token_scale else []
        return "_".join(parts)
