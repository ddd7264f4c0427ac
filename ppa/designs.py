"""The designs that `mixpe ppa` measures: MixPE's elements and arrays, and what they must beat."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ..hw.baselines.integer import fusion_products
from ..spec.array import Config
from ..spec.core import CoreConfig
from .jobs.job import Job
from .operands import model_files
from .outside import Outside
from .record import Built, Element, Kind, Role

SHARES: dict[Kind, tuple[float, ...]] = {"pe": (0.75, 0.5), "array": ()}
"""Shares of the period at least area, by kind: where the curve goes if the user names no target."""


@dataclass(frozen=True)
class Design:
    """One line of the report.

    kind: "pe", or "array": the whole top with skew, drain and dequantizers.
    role: "mixpe", "baseline", or "competitor": one from outside this package.
    built: what is measured. outside: its Verilog, where it is a competitor's.
    """

    name: str
    title: str
    kind: Kind
    role: Role
    built: Built
    outside: Outside | None = None

    @property
    def config(self) -> Config:
        """Returns the configuration of which the design is built."""
        return self.built.config


@dataclass(frozen=True)
class CoreDesign:
    """An accelerator core, whose area is measured block by block."""

    name: str
    title: str
    config: CoreConfig
    kind: Literal["core"] = "core"


AnyDesign = Design | CoreDesign


# Both formats with the same lanes, so that the best of each compare.
_LANES = {
    "shift_add": (1, 4),
    "multiplier": (1, 4),
    "bit_heap": (1, 4),
    "booth": (1, 2, 4, 8),
    "carry_save": (1, 2, 4, 8),
}
_DATAPATHS = {
    "shift_add": "shift and add",
    "multiplier": "`*`",
    "bit_heap": "bit heap",
    "booth": "Booth digits, bit heap",
    "carry_save": "Booth digits, carry-save",
}
_ALIGN_BITS = {8: "8 bits", 11: "11 bits", 13: "13 bits", 16: "16 bits", 41: "41 bits, exact"}


def _pe(
    name: str,
    title: str,
    role: Role,
    element: Element = "pe",
    *,
    pipelined: bool = False,
    **fields: Any,
) -> Design:
    config = Config(name=name, rows=1, cols=1, **fields)
    return Design(name, title, "pe", role, Built(config, element, pipelined=pipelined))


def _l(lanes: int) -> str:
    return f"_l{lanes}" if lanes > 1 else ""


def _with(lanes: int) -> str:
    return f", {lanes} lanes" if lanes > 1 else ""


def _w4a8() -> list[Design]:
    found = []
    for datapath, words in _DATAPATHS.items():
        role = "baseline" if datapath == "multiplier" else "mixpe"
        for lanes in _LANES[datapath]:
            name, title = f"w4a8_{datapath}{_l(lanes)}", f"W4A8 {words}{_with(lanes)}"
            found.append(_pe(name, title, role, datapath=datapath, lanes=lanes))
    title = "W4A8 Booth digits, prefix adder"
    return [*found, _pe("w4a8_booth_prefix", title, "mixpe", datapath="booth", adder="prefix")]


def _int8() -> list[Design]:
    found = []
    for datapath, words in _DATAPATHS.items():
        for lanes in _LANES[datapath]:
            name, title = f"int8_{datapath}{_l(lanes)}", f"INT8 {words}{_with(lanes)}"
            found.append(_pe(name, title, "baseline", datapath=datapath, lanes=lanes, weight_bits=8))
        for bits in (24, 32) if datapath == "multiplier" else (32,):
            name, title = f"int8_{datapath}_acc{bits}", f"INT8 {words}, {bits}-bit sum"
            found.append(_pe(name, title, "baseline", datapath=datapath, acc_bits=bits, weight_bits=8))
    return found


def _others() -> list[Design]:
    """Returns other people's ideas (`mixpe.hw.baselines.integer`)."""
    found = []
    for datapath in ("booth", "carry_save"):
        for pipelined in (False, True):
            name = f"w4a8_dequantize_first_{datapath}{'_pipelined' * pipelined}"
            words = f"{_DATAPATHS[datapath]}{', pipelined' * pipelined}"
            title = f"W4A8 dequantized first, INT8 {words}"
            element = "dequantize_first"
            found.append(_pe(name, title, "baseline", element, pipelined=pipelined, datapath=datapath))
    for bits in ((8, 8), (4, 8), (4, 4)):
        name = f"bit_fusion_w{bits[0]}a{bits[1]}"
        title = f"Bit Fusion, {fusion_products(*bits)} x W{bits[0]}A{bits[1]}"
        made = _pe(name, title, "baseline", "bit_fusion", weight_bits=8, datapath="bit_heap")
        found.append(replace(made, built=replace(made.built, bricks=bits)))
    return found


def _w4a16() -> list[Design]:
    """Returns PEs for FP16 activations: aligned, multiplied as they are, and multiply-adds as opponents."""
    found = []
    for bits, words in _ALIGN_BITS.items():
        for datapath in ("booth", "carry_save"):
            for lanes in _LANES[datapath]:
                name = f"w4a16_aligned{bits}_{datapath}{_l(lanes)}"
                title = f"W4A16 aligned to {words}, {_DATAPATHS[datapath]}{_with(lanes)}"
                how: dict[str, Any] = {"align_bits": bits, "datapath": datapath, "lanes": lanes}
                found.append(_pe(name, title, "mixpe", act_format="fp16", **how))
    fp16: dict[str, Any] = {"act_format": "fp16", "fp_scheme": "fp_mac"}
    for lanes in (1, 2):
        title = f"W4A16 shift and add, FP32 sums{_with(lanes)}"
        found.append(_pe(f"w4a16_fp_mac{_l(lanes)}", title, "mixpe", lanes=lanes, **fp16))
    title = "W4A16 shift and add, FP32 sums, prefix adders"
    found.append(_pe("w4a16_fp_mac_prefix", title, "mixpe", adder="prefix", **fp16))
    for adder, words in (("ripple", ""), ("prefix", ", prefix adders")):
        for pipelined in (False, True):
            name = f"fp16_mac_fp32{'_prefix' * (adder == 'prefix')}{'_pipelined' * pipelined}"
            title = f"FP16 multiply-add, FP32 sums{words}{', pipelined' * pipelined}"
            found.append(_pe(name, title, "baseline", "float_mac", pipelined=pipelined, adder=adder, **fp16))
    title = f"FP16 multiply-add, FP32 sums{_with(2)}"
    found.append(_pe("fp16_mac_fp32_l2", title, "baseline", "float_mac", lanes=2, **fp16))
    found.append(_pe("fp16_mac_fp16", "FP16 multiply-add, FP16 sums", "baseline", "float_mac_fp16", **fp16))
    for pipelined in (False, True):
        name = f"w4a16_dequantize_first{'_pipelined' * pipelined}"
        title = f"W4A16 dequantized first, FP16 multiply-add, FP32 sums{', pipelined' * pipelined}"
        element = "dequantize_first_float"
        found.append(_pe(name, title, "baseline", element, pipelined=pipelined, **fp16))
    return found


def _arrays() -> list[Design]:
    kinds: tuple[tuple[str, str, Role, dict[str, Any]], ...] = (
        ("w4a8_shift_add", "W4A8 shift and add", "mixpe", {"datapath": "shift_add"}),
        ("w4a8_booth", "W4A8 Booth digits, bit heap", "mixpe", {"datapath": "booth"}),
        ("w4a8_carry_save", "W4A8 Booth digits, carry-save", "mixpe", {"datapath": "carry_save"}),
        ("int8_booth", "INT8 Booth digits, bit heap", "baseline", {"datapath": "booth", "weight_bits": 8}),
        (
            "w4a16_aligned13_booth",
            "W4A16 aligned to 13 bits, Booth digits, bit heap",
            "mixpe",
            {"act_format": "fp16", "align_bits": 13, "datapath": "booth"},
        ),
        (
            "w4a16_fp_mac",
            "W4A16 shift and add, FP32 sums",
            "mixpe",
            {"act_format": "fp16", "fp_scheme": "fp_mac"},
        ),
    )
    found = []
    for size in (16, 32):
        for kind, words, role, fields in kinds:
            name = f"array_{kind}_{size}x{size}"
            config = Config(name=name, rows=size, cols=size, **fields)
            title = f"{words}, {size}x{size} array"
            found.append(Design(name, title, "array", role, Built(config, "array")))
    return found


DESIGNS: dict[str, Design] = {
    design.name: design for design in (*_w4a8(), *_int8(), *_others(), *_w4a16(), *_arrays())
}

QUICK: tuple[str, ...] = (
    *(f"{format_}_{datapath}" for format_ in ("w4a8", "int8") for datapath in _DATAPATHS),
    "w4a8_dequantize_first_booth",
    "bit_fusion_w4a8",
    *(f"{format_}_{datapath}_l4" for format_ in ("w4a8", "int8") for datapath in ("booth", "carry_save")),
    "w4a16_aligned13_booth",
    "w4a16_aligned13_carry_save",
    "w4a16_aligned13_booth_l4",
    "w4a16_aligned13_carry_save_l4",
    "w4a16_fp_mac",
    "fp16_mac_fp32",
    "fp16_mac_fp32_pipelined",
    "w4a16_dequantize_first_pipelined",
)
"""Every datapath in both integer formats, the two smallest ones with four lanes too, other people's ideas,
and FP16 activations in both schemes with their opponents."""


def own(config: Config | CoreConfig) -> list[AnyDesign]:
    """Returns what is measured of a user's configuration.

    Of an array, the processing element and the whole. Of a core, those two of its array, and its own blocks.
    """
    if isinstance(config, CoreConfig):
        return [*own(config.array), CoreDesign(config.name, f"{config.name}, core", config)]
    element = replace(config, rows=1, cols=1, cluster=1, share=0)
    return [
        Design(f"{config.name}_pe", f"{config.name}, element", "pe", "mixpe", Built(element)),
        Design(f"{config.name}_array", f"{config.name}, array", "array", "mixpe", Built(config, "array")),
    ]


def outside(found: Outside) -> Design:
    """Returns the design of a competitor from outside this package."""
    return Design(found.name, found.title, "pe", "competitor", Built(found.config, "outside"), found)


def job(
    design: AnyDesign,
    library: str,
    sources: Sequence[Path],
    targets: tuple[float | None, ...] | None,
    *,
    clock_gates: bool = True,
) -> Job:
    """Returns the measurement of `design` with the library of the Liberty files `sources`.

    `targets`: periods in ns to synthesize for, None among them: for area. None: for area, and for `SHARES` of
    the period which that gives. clock_gates: words of registers get the library's clock gates.
    """
    return Job(design, library, tuple(sources), targets or (), model_files(), clock_gates)
