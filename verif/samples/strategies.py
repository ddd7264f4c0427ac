"""Hypothesis strategies: any legal array and core, operands for them, and fields that are refused.

A strategy draws every field from all that it may be, formats included, so that a new format is drawn as soon
as it is in the tables of `mixpe.spec`.
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from mixpe.quant.matrix import QuantizedMatrix
from mixpe.quant.samples import random_operands
from mixpe.spec import layout
from mixpe.spec.array import Config
from mixpe.spec.core import GROUP_BITS, CoreConfig
from mixpe.spec.fields import ALIGN_BITS, LARGEST_ALIGNED_GROUP, exact_align_bits
from mixpe.spec.formats.numbers import ACT_FORMATS
from mixpe.spec.formats.weights import WEIGHT_FORMATS
from mixpe.spec.table import rows_of

LIMITS = {name: row.limits for name, row in rows_of(Config).items() if row.limits}
CHOICES = {name: row.choices for name, row in rows_of(Config).items() if row.choices}
ARRAY_FIELDS = {field.name: field for field in dataclasses.fields(Config)}
HEAPS = ("bit_heap", "booth")
"""Datapaths that end in an adder of choice."""

names = st.from_regex(r"[a-z][a-z0-9_]{0,20}_", fullmatch=True)
"""Names of designs; the last character keeps them from being a reserved word."""


def field_values(name: str) -> st.SearchStrategy[Any]:
    """Returns a strategy of all that a field of an array may be by itself."""
    if name in CHOICES:
        return st.sampled_from(CHOICES[name])
    if name in LIMITS:
        low, high = LIMITS[name]
        return st.integers(low, min(high, low + 40)) | st.integers(low, high)
    return names if name == "name" else st.booleans()


@st.composite
def arrays(draw: st.DrawFn, **own: st.SearchStrategy[Any]) -> Config:
    """Draws any legal array; `own` strategies replace those of fields."""
    fields = {name: draw(own[name] if name in own else field_values(name)) for name in ARRAY_FIELDS}
    if "name" not in own and draw(st.booleans()):
        fields["name"] = ""
    cols = fields["cols"]
    if "cluster" not in own and (cols % 2 or fields["rows"] % 2):
        fields["cluster"] = 1
    if "share" not in own:
        counts = range(fields["cluster"], cols + 1)
        fields["share"] = draw(st.sampled_from([0, *(count for count in counts if cols % count == 0)]))
    if weight := WEIGHT_FORMATS.get(fields["weight_format"]):
        bits = draw(st.sampled_from((0, weight.bits)))
        fields |= {"weight_bits": bits, "weight_signed": True, "zero_point": False}
    form = ACT_FORMATS.get(fields["act_format"])
    if form:
        fields["act_bits"] = draw(st.sampled_from((0, form.bits)))
    else:
        fields["fp_scheme"] = "aligned"
    if form and fields["fp_scheme"] == "aligned":
        fields["group"] = min(fields["group"], LARGEST_ALIGNED_GROUP)
        most = min(exact_align_bits(form), ALIGN_BITS[1])
        exact = [0] if exact_align_bits(form) <= ALIGN_BITS[1] else []
        fields["align_bits"] = draw(st.sampled_from([*exact, *range(ALIGN_BITS[0], most + 1)]))
    else:
        fields["align_bits"] = 0
    if fields["fp_scheme"] == "fp_mac":
        fields |= {"datapath": "shift_add", "acc_bits": 0}
    elif fields["datapath"] not in HEAPS:
        fields["adder"] = "ripple"
    if fields["target"] == "fpga":
        fields["adder"] = "ripple"
    return Config(**fields)


small_arrays = arrays(
    rows=st.integers(1, 5), cols=st.integers(1, 5), group=st.integers(1, 20), name=st.just("small_array")
)
"""Arrays of a size at which operands of many groups and tiles are soon packed."""


def _powers(low: int, high: int) -> st.SearchStrategy[int]:
    """Returns a strategy of the powers of two from `low`, which is one, to `high`."""
    return st.sampled_from([1 << bit for bit in range(low.bit_length() - 1, high.bit_length())])


@st.composite
def cores(draw: st.DrawFn) -> CoreConfig:
    """Draws any legal core, named, with either bus."""
    rows, name = rows_of(CoreConfig), draw(names)
    if draw(st.sampled_from(rows["bus"].choices)) == "stream":
        return CoreConfig(array=draw(arrays()), bus="stream", name=name)
    array = draw(arrays(group=st.integers(1, (1 << GROUP_BITS) - 1)))
    data_bits = draw(
        st.sampled_from([b for b in rows["data_bits"].choices if b >= layout.act_beat_bits(array)])
    )
    burst = draw(_powers(1, min(256, 4096 * 8 // data_bits)))
    return CoreConfig(
        array=array,
        name=name,
        data_bits=data_bits,
        address_bits=draw(st.integers(32, 64)),
        burst=burst,
        outstanding=draw(_powers(1, 64)),
        act_words=draw(_powers(max(2, burst), 65536)),
        weight_words=draw(_powers(max(2, 2 * burst), 65536)),
        scale_words=draw(_powers(max(2, 2 * burst), 65536)),
        queue=draw(st.integers(1, 15)),
    )


class Refused(NamedTuple):
    """Holds a field of an array and a value that it may not have."""

    name: str
    value: Any


@st.composite
def refused_fields(draw: st.DrawFn) -> Refused:
    """Draws a field and a value of another type, of no choice, or out of its limits."""
    name = draw(st.sampled_from(sorted(ARRAY_FIELDS)))
    kind = ARRAY_FIELDS[name].type
    anything = st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=9) | st.floats(0, 9)
    wrong = [anything.filter(lambda value: type(value) is not kind)]
    if name in CHOICES:
        some = st.integers(-99, 99) if kind is int else st.text(max_size=9)
        wrong.append(some.filter(lambda value: value not in CHOICES[name]))
    elif name in LIMITS:
        low, high = LIMITS[name]
        zero = rows_of(Config)[name].zero  # stands for what the format needs
        wrong.append(st.integers(max_value=low - 1).filter(lambda value: value or not zero))
        wrong.append(st.integers(high + 1, 1 << 40))
    elif name == "name":
        wrong.append(st.text(st.characters(codec="ascii", exclude_categories=["Ll", "Nd"]), min_size=1))
    return Refused(name, draw(st.one_of(wrong)))


class Operands(NamedTuple):
    """Holds an array, and operands for it as `mixpe.quant.golden.mpgemm` takes them."""

    config: Config
    a: np.ndarray
    weights: QuantizedMatrix
    t: np.ndarray | None


@st.composite
def operands(draw: st.DrawFn, *, one_tile: bool = False) -> Operands:
    """Draws a small array, a shape for it, and operands: ordinary ones or corner cases.

    one_tile: rows and columns exactly as many as the array's.
    """
    config = draw(small_arrays)
    k = draw(st.integers(1, 70))
    m, n = (config.rows, config.cols) if one_tile else (draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    return Operands(config, *random_operands(rng, m, k, n, config, extreme=draw(st.booleans())))
