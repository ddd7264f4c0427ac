"""Weights as they lie in an accelerator's memory, and the file that keeps them.

`mixpe.quant.packing.memory` makes and reads the bytes; docs/memory.md describes them and the file.
"""

import dataclasses
import os
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...spec.array import MATRIX_FIELDS, Config
from ...spec.core import SIZE_BITS
from ...spec.errors import UserError
from ...spec.formats.numbers import FP16
from ...spec.layout import LAYOUT_VERSION, scale_bytes, weight_bytes

_CONFIG = (*MATRIX_FIELDS, "cols", "lanes")
"""The fields of a configuration that the bytes depend on."""

# What NumPy and zipfile raise for bytes that never were such a file, or no longer are; RuntimeError and its
# kin stand for a compression or an encryption that zipfile does not know.
_DAMAGE = (
    OSError,
    EOFError,
    LookupError,
    MemoryError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


def kind(config: Config) -> dict[str, Any]:
    """The fields of `PackedWeights` that follow from the array."""
    return {**{name: getattr(config, name) for name in _CONFIG}, "scale": config.scale.name}


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedWeights:
    """A matrix [k, n] of weight codes with its scales and zero points, packed for arrays of one kind.

    Parameters
    ----------
    weight_format, weight_bits, weight_signed, zero_point, group, cols, lanes: as in
        `mixpe.spec.array.Config`, whose other fields change nothing here.
    k, n: the matrix's size, each below 2**24.
    weights, scales: the two regions, uint8 [bytes].
    scale: the scales' format.
    layout: version of the memory layout.

    Raises `UserError` that names the field, its value and what is allowed; also for another version of the
    layout or format of scales than this software's, and for regions of another size than the fields say.
    """

    weight_bits: int
    weight_signed: bool
    zero_point: bool
    group: int
    cols: int
    lanes: int
    k: int
    n: int
    weights: np.ndarray
    scales: np.ndarray
    weight_format: str = "int"
    scale: str = FP16.name
    layout: int = LAYOUT_VERSION

    def __post_init__(self):
        for name, known in (("layout", LAYOUT_VERSION), ("scale", FP16.name)):
            if (value := getattr(self, name)) != known:
                raise UserError(f"{name} of packed weights must be {known} for this software, not {value}")
        for name in ("k", "n"):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value < 1 << SIZE_BITS:
                raise UserError(f"{name} must be an integer of 1 to {(1 << SIZE_BITS) - 1}, not {value!r}")
        for name, size in (("weights", weight_bytes), ("scales", scale_bytes)):
            region, expected = getattr(self, name), size(self.k, self.n, self.config)
            if not isinstance(region, np.ndarray) or region.dtype != np.uint8 or region.shape != (expected,):
                raise UserError(f"{name} must be uint8 [{expected}], not {described(region)}")

    @cached_property
    def config(self) -> Config:
        """A configuration of that kind; the fields that do not matter have their defaults."""
        return Config(**{name: getattr(self, name) for name in _CONFIG})

    def matches(self, config: Config) -> bool:
        """Whether an array of `config` reads these weights."""
        return not self._others(config)

    def check(self, config: Config) -> None:
        """Raises `UserError` that names what differs unless an array of `config` reads these weights."""
        if others := self._others(config):
            packed = ", ".join(f"{name} = {_shown(getattr(self, name))}" for name in others)
            asked = ", ".join(f"{name} = {_shown(value)}" for name, value in others.items())
            raise UserError(f"the weights are packed for {packed}, and the array has {asked}: pack them anew")

    def _others(self, config: Config) -> dict[str, Any]:
        """What `config` has otherwise."""
        return {name: value for name, value in kind(config).items() if getattr(self, name) != value}

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the file `path`, an .npz: aside first, then renamed. Makes the folder. Returns the path.

        Raises `UserError` where the system refuses.
        """
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent, prefix=".packed") as folder:
                aside = Path(folder, "aside.npz")
                with aside.open("wb") as file:
                    np.savez(file, **{field.name: getattr(self, field.name) for field in _fields()})
                os.replace(aside, path)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror or error}") from None
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "PackedWeights":
        """Reads a file that `save` wrote.

        Raises `UserError` if there is none, if it holds something else, is damaged, or has another version
        of the layout.
        """
        path = Path(path)
        try:
            file = path.open("rb")
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror or error}") from None
        with file:
            try:
                values = _values(file)
            except _DAMAGE:
                raise UserError(
                    f"{path} holds no packed weights, or is damaged: pack the weights anew"
                ) from None
        if (version := values["layout"]) != LAYOUT_VERSION:
            raise UserError(
                f"{path} has version {version} of the memory layout, and this software reads "
                f"{LAYOUT_VERSION}: pack the weights anew"
            )
        try:
            return cls(**values)
        except UserError as error:
            raise UserError(f"{path} is damaged: {error}") from None


def _values(file: Any) -> dict[str, Any]:
    """The fields of `PackedWeights` in an .npz; of another version of the layout, that field alone.

    Raises one of `_DAMAGE` if it does not hold them.
    """
    archive = np.load(file, allow_pickle=False)
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise TypeError
    with archive:
        version = _scalar(archive["layout"], int)
        if version != LAYOUT_VERSION:
            return {"layout": version}
        # A file of before there were other weights than integers lacks their format.
        lacking = {"weight_format"} - set(archive)
        arrays = {field: archive[field.name] for field in _fields() if field.name not in lacking}
    return {
        field.name: array if field.type is np.ndarray else _scalar(array, field.type)
        for field, array in arrays.items()
    }


def _fields() -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(PackedWeights)


def _scalar(array: np.ndarray, kind: Any) -> Any:
    value = array.item()
    if type(value) is not kind:
        raise TypeError
    return value


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def described(value: Any) -> str:
    """Type and shape of what was given for an array."""
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__
