"""The designs that `mixpe ppa` measures: MixPE's elements and arrays, and what they must beat."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ..hw.baselines import fusion_products
from ..hw.config import Config
from .jobs import Job

Element = Literal["pe", "dequantize_first", "bit_fusion", "array"]

SHARES = {"pe": (0.75, 0.5), "array": ()}
"""Shares of the period at least area, by kind: where the curve goes if the user names no target."""


@dataclass(frozen=True)
class Design:
    """One line of the report.

    kind: "pe", or "array": the whole top with skew, drain and dequantizers.
    role: "mixpe", or "baseline".
    element: what is built of `config` (`mixpe.ppa.elements`). bricks: of "bit_fusion", the bits of weights
        and activations that it multiplies.
    """

    name: str
    title: str
    kind: Literal["pe", "array"]
    role: Literal["mixpe", "baseline"]
    config: Config
    element: Element = "pe"
    bricks: tuple[int, int] | None = None

    @property
    def configuration(self) -> dict[str, Any]:
        """For the record: the configuration's fields, and what is built of it."""
        return {**asdict(self.config), "element": self.element, "bricks": self.bricks}


# Both formats with the same lanes, so that the best of each compare.
_LANES = {
    "shift_add": (1, 4),
    "multiplier": (1, 4),
    "bit_heap": (1, 4),
    "booth": (1, 2, 4, 8),
    "carry_save": (1, 2, 4, 8),
}


def _pe(name: str, title: str, role: Literal["mixpe", "baseline"], **fields: Any) -> Design:
    return Design(name, title, "pe", role, Config(name=name, rows=1, cols=1, **fields))


_DATAPATHS = {
    "shift_add": "shift and add",
    "multiplier": "`*`",
    "bit_heap": "bit heap",
    "booth": "Booth digits, bit heap",
    "carry_save": "Booth digits, carry-save",
}


def _designs() -> list[Design]:
    found = [
        _pe(
            f"w4a8_{datapath}{_l(lanes)}", f"W4A8 {words}{_with(lanes)}", role, datapath=datapath, lanes=lanes
        )
        for datapath, words in _DATAPATHS.items()
        for lanes in _LANES[datapath]
        for role in ("baseline" if datapath == "multiplier" else "mixpe",)
    ]
    found.append(
        _pe("w4a8_booth_prefix", "W4A8 Booth digits, prefix adder", "mixpe", datapath="booth", adder="prefix")
    )
    int8 = {"weight_bits": 8}
    for datapath, words in _DATAPATHS.items():
        for lanes in _LANES[datapath]:
            name, title = f"int8_{datapath}{_l(lanes)}", f"INT8 {words}{_with(lanes)}"
            found.append(_pe(name, title, "baseline", datapath=datapath, lanes=lanes, **int8))
        for bits in (24, 32) if datapath == "multiplier" else (32,):
            name, title = f"int8_{datapath}_acc{bits}", f"INT8 {words}, {bits}-bit sum"
            found.append(_pe(name, title, "baseline", datapath=datapath, acc_bits=bits, **int8))
    return found + _others() + _arrays()


def _l(lanes: int) -> str:
    return f"_l{lanes}" if lanes > 1 else ""


def _with(lanes: int) -> str:
    return f", {lanes} lanes" if lanes > 1 else ""


def _others() -> list[Design]:
    """Other people's ideas (`mixpe.hw.baselines`)."""
    found = []
    for datapath in ("booth", "carry_save"):
        name = f"w4a8_dequantize_first_{datapath}"
        config = Config(name=name, rows=1, cols=1, datapath=datapath)
        title = f"W4A8 dequantized first, INT8 {_DATAPATHS[datapath]}"
        found.append(Design(name, title, "pe", "baseline", config, element="dequantize_first"))
    for bits in ((8, 8), (4, 8), (4, 4)):
        name = f"bit_fusion_w{bits[0]}a{bits[1]}"
        config = Config(name=name, rows=1, cols=1, weight_bits=8, datapath="bit_heap")
        title = f"Bit Fusion, {fusion_products(*bits)} x W{bits[0]}A{bits[1]}"
        found.append(Design(name, title, "pe", "baseline", config, element="bit_fusion", bricks=bits))
    return found


def _arrays() -> list[Design]:
    return [
        Design(
            f"array_{format_}_{datapath}_{size}x{size}",
            f"{format_.upper()} {_DATAPATHS[datapath]}, {size}x{size} array",
            "array",
            "baseline" if format_ == "int8" else "mixpe",
            Config(
                name=f"array_{format_}_{datapath}_{size}x{size}",
                weight_bits=8 if format_ == "int8" else 4,
                rows=size,
                cols=size,
                datapath=datapath,
            ),
            element="array",
        )
        for size in (16, 32)
        for format_, datapath in (
            ("w4a8", "shift_add"),
            ("w4a8", "booth"),
            ("w4a8", "carry_save"),
            ("int8", "booth"),
        )
    ]


DESIGNS: dict[str, Design] = {design.name: design for design in _designs()}

QUICK: tuple[str, ...] = (
    *(f"{format_}_{datapath}" for format_ in ("w4a8", "int8") for datapath in _DATAPATHS),
    "w4a8_dequantize_first_booth",
    "bit_fusion_w4a8",
    *(f"{format_}_{datapath}_l4" for format_ in ("w4a8", "int8") for datapath in ("booth", "carry_save")),
)
"""Every datapath in both formats, the two smallest ones with four lanes too, and other people's ideas."""


def own(config: Config) -> list[Design]:
    """The processing element and the array of a user's configuration."""
    role = "mixpe"
    return [
        Design(f"{config.name}_pe", f"{config.name}, element", "pe", role, replace(config, rows=1, cols=1)),
        Design(f"{config.name}_array", f"{config.name}, array", "array", role, config, element="array"),
    ]


def job(
    design: Design, library: str, sources: Sequence[Path], targets: tuple[float | None, ...] | None
) -> Job:
    """The measurement of `design` with the library of the Liberty files `sources`.

    `targets`: periods in ns to synthesize for, None among them: for area. None: for area, and for `SHARES` of
    the period which that gives.
    """
    return Job(design, library, tuple(sources), targets or ())
