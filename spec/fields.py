"""The fields of an array: one row each, which says what a field may be and means, and the checks of several.

The rows feed validation, the options of the command line and the tables of docs/configuration.md.
"""

import re
from dataclasses import dataclass

from .errors import UserError
from .formats.numbers import ACT_FORMATS, OUT_FORMATS, FloatFormat
from .formats.weights import WEIGHT_FORMATS
from .reserved import RESERVED
from .schemes import FLOAT_SCHEMES, Integer
from .table import check_scheme, check_types, check_values, row, rows_of

DATAPATHS = ("shift_add", "multiplier", "bit_heap", "booth", "carry_save")
ALIGN_BITS = (8, 41)
"""Least and greatest width of an aligned activation; at the greatest, FP16 is exact."""

LARGEST_GROUP = (1 << 24) - 1
"""Weights that can share a scale: as many as the largest K of a core's command."""

LARGEST_ALIGNED_GROUP = 1 << 14
"""The same for aligned activations: the array's edge holds a group of every row in memory."""

LONGEST_NAME = 80
"""Characters of a design's name."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def check_name(name: str, longest: int = LONGEST_NAME) -> None:
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
    """The fields of `mixpe.spec.array.Config`, checked; the rows say what each means and may be.

    A field that is 0 for "work it out" (`act_bits`, `align_bits`), and an empty name, have their values once
    the object is made.

    Raises `UserError` that names the field, its value and what is allowed.
    """

    name: str = row("", "Names the top module and the files; if empty, the other fields make a name.")
    weight_format: str = row(
        "int",
        "Chooses the format of weight codes: `int` is an integer, the others are floating-point numbers, "
        "which the array multiplies exactly.",
        choices=("int", *WEIGHT_FORMATS),
        short="{}",
    )
    weight_bits: int = row(
        0,
        "Sets the width of a weight code in bits; 0 means 4 for `int`, and the format's own width for the "
        "others, which have no other.",
        limits=(2, 8),
        zero=True,
        short="w{}",
    )
    weight_signed: bool = row(
        True, "Makes weight codes two's complement; if false, they are plain binary.", short="u"
    )
    zero_point: bool = row(
        False, "Gives every group of a column a zero point, which is an integer like the codes.", short="z"
    )
    act_format: str = row(
        "int",
        "Chooses the format of activations: `int` is two's complement, the others are floating-point.",
        choices=("int", *ACT_FORMATS),
        short="{}",
    )
    act_bits: int = row(
        0,
        "Sets the width of an activation in bits; 0 means 8 for `int`, and the format's own width for the "
        "others, which have no other.",
        limits=(4, 16),
        zero=True,
        short="a{}",
    )
    fp_scheme: str = row(
        "aligned",
        "Chooses how floating-point activations are multiplied: `aligned` makes those of a group and row "
        "integers with a common exponent (after FIGNA), `fp_mac` multiplies each exactly and adds in FP32 "
        "(as MixPE's W4A16 does).",
        choices=FLOAT_SCHEMES,
        schemes=FLOAT_SCHEMES,
        short="{}",
    )
    align_bits: int = row(
        0,
        "Sets the width of an aligned integer, its sign included, up to what makes the format exact; "
        "0 means exact, which no width is for `bf16`.",
        limits=ALIGN_BITS,
        zero=True,
        schemes=("aligned",),
        short="align{}",
    )
    group: int = row(
        128,
        "Sets how many weights of one column share a scale (and zero point): K may end in a shorter group, "
        f"and at least K gives per-channel quantization; `aligned` allows up to {LARGEST_ALIGNED_GROUP}, a "
        "core with bus `axi` up to 65535.",
        limits=(1, LARGEST_GROUP),
        short="g{}",
        hint="for per-channel quantization give a group of at least K",
    )
    rows: int = row(
        16, "Sets the rows of processing elements, and so of a tile of the result.", limits=(1, 128)
    )
    cols: int = row(
        16, "Sets the columns of processing elements, and so of a tile of the result.", limits=(1, 128)
    )
    lanes: int = row(
        1, "Sets the products that a processing element adds in a cycle.", choices=(1, 2, 4, 8), short="l{}"
    )
    cluster: int = row(
        1,
        "Sets how many neighbours in each direction share operand registers: with 2, those of 2 x 2 elements "
        "stand behind one register for each row's activations and each column's weights.",
        choices=(1, 2),
        short="c{}",
    )
    share: int = row(
        0,
        "Sets how many columns share a dequantizer, which then takes a group's sums one after another; it "
        "must divide `cols`; 0 means as many as cost no cycle in whole groups, long ones taken as 128.",
        limits=(1, 128),
        zero=True,
        short="share{}",
    )
    datapath: str = row(
        "shift_add",
        "Chooses how a processing element multiplies and adds integers: `shift_add` is MixPE's, `multiplier` "
        "a plain `*`, `bit_heap` one sum of all partial products, `booth` the same of radix-4 digits, and "
        "`carry_save` like `booth` with short carry chains.",
        choices=DATAPATHS,
        schemes=("integer", "aligned"),
        short="{}",
    )
    adder: str = row(
        "ripple",
        "Chooses how `bit_heap`, `booth` and `fp_mac` end their sums: `ripple` is a carry chain, `prefix` a "
        "parallel-prefix adder, for target `asic` only.",
        choices=("ripple", "prefix"),
        short="{}",
    )
    target: str = row(
        "asic",
        "Chooses what the circuit is for: with `fpga`, sums are written with `+`, which becomes carry "
        "chains.",
        choices=("asic", "fpga"),
        short="{}",
    )
    acc_bits: int = row(
        0,
        "Sets the least width of a group's integer sum; 0 means what a group needs, 32 is usual for INT8.",
        limits=(0, 48),
        schemes=("integer", "aligned"),
        short="acc{}",
    )
    out_format: str = row("fp32", "Chooses the format of the result.", choices=tuple(OUT_FORMATS), short="{}")
    token_scale: bool = row(
        False, "Multiplies every row of the result by an FP32 scale before it is rounded.", short="t"
    )

    def __post_init__(self):
        check_types(self)
        for each in rows_of(type(self)).values():
            if each.choices:
                each.check_value(getattr(self, each.name))
        self._settle_weights()
        self._settle_activations()
        check_values(self)
        self._check_group()
        self._check_adder()
        self._check_share()
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

    @property
    def scheme_name(self) -> str:
        """How activations are multiplied: the name of one of `mixpe.spec.schemes.SCHEMES`."""
        return Integer.name if self.act_format == "int" else self.fp_scheme

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
        check_scheme(
            self, self.scheme_name, "act_format int" if form is None else f"fp_scheme {self.fp_scheme}"
        )
        if form and self.scheme_name == "aligned":
            self._settle_align_bits(form)

    def _settle_align_bits(self, form: FloatFormat) -> None:
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

    def _check_group(self) -> None:
        if self.scheme_name == "aligned" and self.group > LARGEST_ALIGNED_GROUP:
            raise UserError(
                f"group must be 1 to {LARGEST_ALIGNED_GROUP} for fp_scheme aligned, not {self.group}: the "
                "array holds a group of every row in memory"
            )

    def _check_adder(self) -> None:
        heaps = self.scheme_name == "fp_mac" or self.datapath in ("bit_heap", "booth")
        if self.adder == "prefix" and (not heaps or self.target == "fpga"):
            raise UserError(
                "adder prefix goes with datapath bit_heap or booth, or fp_scheme fp_mac, and target asic, "
                f"not with {self.datapath} and {self.target}"
            )

    def _check_share(self) -> None:
        for name in ("rows", "cols"):
            if (value := getattr(self, name)) % self.cluster:
                raise UserError(f"{name} must be a multiple of cluster, which is {self.cluster}, not {value}")
        if self.share == 1 < self.cluster:
            raise UserError(
                "share must be 0 or at least 2 for cluster 2, not 1: sums of two rows come at once"
            )
        if self.share and self.cols % self.share:
            divisors = [count for count in range(1, self.cols + 1) if self.cols % count == 0]
            nearest = min(divisors, key=lambda count: abs(count - self.share))
            raise UserError(
                f"share must divide cols, which are {self.cols}, not {self.share}; the nearest is {nearest}"
            )

    @property
    def _description(self) -> str:
        """The name made of the fields: the operands, the shape, the group, then whatever is no default."""
        rows = rows_of(type(self))
        parts = {name: each.shown(getattr(self, name)) for name, each in rows.items() if each.short}
        weight = f"w{self.weight_bits}{parts.pop('weight_signed')}{parts.pop('zero_point')}"
        weight, act = (
            integers if form == "int" else re.sub("^fp[0-9]+_", "", form)
            for form, integers in ((self.weight_format, weight), (self.act_format, f"a{self.act_bits}"))
        )
        for name in ("weight_format", "weight_bits", "act_bits", "act_format", "group"):
            del parts[name]
        head = [f"{weight}{act}", f"{self.rows}x{self.cols}", f"g{self.group}"]
        return "_".join([*head, *filter(None, parts.values())])
