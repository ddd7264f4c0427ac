"""The configuration of an accelerator core: its array, its bus, its on-chip memories."""

import dataclasses
import re
from dataclasses import dataclass, field
from functools import cached_property

from . import layout
from .array import Config
from .errors import UserError
from .fields import check_name

BUSES = ("axi", "stream")
DATA_BITS = (64, 128, 256, 512)

SIZE_BITS = 24
"""Width of M, K and N in a command: the largest is 2**24 - 1."""

STRIDE_BITS = 32
"""Width of the distances of rows in a command, in bytes."""

_ENGINE = "_engine"
"""What the names of the array's modules add to the core's."""

_LONGEST = 63 - len(_ENGINE)
"""Characters of a name."""

_RANGES = {
    "address_bits": (32, 64),
    "burst": (1, 256),
    "outstanding": (1, 64),
    "act_words": (2, 65536),
    "weight_words": (2, 65536),
    "scale_words": (2, 65536),
    "queue": (1, 15),
}
_POWERS = ("burst", "outstanding", "act_words", "weight_words", "scale_words")

_ABBREVIATIONS = {
    "data_bits": "d",
    "address_bits": "addr",
    "burst": "b",
    "outstanding": "o",
    "act_words": "aw",
    "weight_words": "ww",
    "scale_words": "sw",
    "queue": "q",
}
"""In names, of the fields that a core with bus "stream" lacks."""


def ram_module(prefix: str, depth: int, width: int) -> str:
    """Name of the Verilog module of an on-chip memory (`mixpe.hw.ram`) of the design `prefix`."""
    return f"{prefix}_ram_{depth}x{width}"


def ram_size(prefix: str, module: str) -> tuple[int, int] | None:
    """Inverse of `ram_module`: depth and width; None if `module` is no memory of the design `prefix`."""
    found = re.fullmatch(rf"{re.escape(prefix)}_ram_(\d+)x(\d+)", module)
    return (int(found[1]), int(found[2])) if found else None


@dataclass(frozen=True, kw_only=True)
class CoreConfig:
    """An array behind a bus.

    Parameters
    ----------
    array: the array; its modules are called after the core, `<name>_engine...`.
    name: prefix of every Verilog module and file. If empty "core_" or "stream_", the array's name, and what
        differs from the defaults below.
    bus: "axi", a core with registers and an AXI4 master; "stream", the array's streams as AXI4-Stream, which
        leaves all fields below at their defaults.
    data_bits: width of the AXI4 data buses: 64, 128, 256 or 512, at least a beat of one row's activations.
    address_bits: width of the AXI4 addresses, 32 to 64.
    burst: most words (of data_bits) of a burst, a power of two; a burst is at most 4096 bytes.
    outstanding: read bursts under way at a time, and written ones that wait for their answer; a power of two.
    act_words: words of activations that each of the two banks of a row holds, a power of two. A product whose
        rows fit in a bank reads its activations once, else once for every column tile.
    weight_words, scale_words: words of weights and of scales on chip ahead of the array, powers of two of
        at least two bursts.
    queue: commands that wait behind the one under way, 1 to 15.

    Raises `UserError` that names the field, its value and what is allowed.
    """

    array: Config = field(default_factory=Config)
    name: str = ""
    bus: str = "axi"
    data_bits: int = 128
    address_bits: int = 40
    burst: int = 16
    outstanding: int = 8
    act_words: int = 128
    weight_words: int = 512
    scale_words: int = 64
    queue: int = 4

    def __post_init__(self):
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            if type(value) is not each.type:
                raise UserError(f"{each.name} must be of type {each.type.__name__}, not {value!r}")  # type: ignore[union-attr]
        if self.bus not in BUSES:
            raise UserError(f"bus must be one of {', '.join(BUSES)}, not {self.bus!r}")
        if self.bus == "axi":
            self._check_sizes()
        for name, value in self._changed.items():
            if self.bus == "stream":
                default = getattr(type(self), name)
                raise UserError(f"{name} must be {default} for bus stream, which has none, not {value}")
        if not self.name:
            kind = "core" if self.bus == "axi" else "stream"
            sizes = [f"{_ABBREVIATIONS[name]}{value}" for name, value in self._changed.items()]
            name = "_".join([kind, self.array.name, *sizes])
            if len(name) > _LONGEST:
                raise UserError(
                    f"name must be given: the one made of all fields, {name!r}, has {len(name)} characters, "
                    f"not at most {_LONGEST}"
                )
            object.__setattr__(self, "name", name)
        check_name(self.name, longest=_LONGEST)
        object.__setattr__(self, "array", dataclasses.replace(self.array, name=self.name + _ENGINE))

    @property
    def _changed(self) -> dict[str, int]:
        """The sizes that are not the default ones."""
        values = {name: getattr(self, name) for name in _ABBREVIATIONS}
        return {name: value for name, value in values.items() if value != getattr(type(self), name)}

    def _check_sizes(self) -> None:
        if self.data_bits not in DATA_BITS:
            choices = ", ".join(map(str, DATA_BITS))
            raise UserError(f"data_bits must be one of {choices}, not {self.data_bits}")
        for name, (low, high) in _RANGES.items():
            if not low <= (value := getattr(self, name)) <= high:
                raise UserError(f"{name} must be {low} to {high}, not {value}")
        for name in _POWERS:
            if (value := getattr(self, name)) & (value - 1):
                raise UserError(f"{name} must be a power of two, not {value}")
        if self.burst > (most := 4096 // self.word_bytes):
            raise UserError(
                f"burst must be at most {most} words of {self.data_bits} bits (4096 bytes), not {self.burst}"
            )
        for name in ("weight_words", "scale_words"):
            if (value := getattr(self, name)) < 2 * self.burst:
                raise UserError(f"{name} must be at least two bursts, {2 * self.burst}, not {value}")
        if self.act_words < self.burst:
            raise UserError(f"act_words must be at least a burst, {self.burst}, not {self.act_words}")
        if (beat := layout.act_beat_bits(self.array)) > self.data_bits:
            raise UserError(
                f"data_bits must be at least {beat}, the lanes of a row's activations in memory, "
                f"not {self.data_bits}"
            )

    @property
    def word_bytes(self) -> int:
        """Bytes of a word of the data buses."""
        return self.data_bits // 8

    @property
    def word_index_bits(self) -> int:
        """Bits of an address within a word."""
        return (self.word_bytes - 1).bit_length()

    @property
    def word_address_bits(self) -> int:
        """Width of an address in words."""
        return self.address_bits - self.word_index_bits

    @property
    def burst_index_bits(self) -> int:
        """Width of a place in a burst, and of a burst's words less one."""
        return max(1, (self.burst - 1).bit_length())

    # Activations

    @property
    def act_beats_per_word(self) -> int:
        return self.data_bits // layout.act_beat_bits(self.array)

    @property
    def act_bank_positions(self) -> int:
        """Activations of a row (idle lanes too) that a bank holds."""
        return self.act_words * self.data_bits // layout.container_bits(self.array)

    def resident(self, k: int) -> bool:
        """Whether a product of inner dimension `k` reads its activations only once."""
        return layout.act_row_bytes(k, self.array) <= self.act_words * self.word_bytes

    # Token scales: a word may begin with those of rows before.

    @property
    def tokens_per_word(self) -> int:
        return self.data_bits // layout.TOKEN_BITS

    @cached_property
    def token_words(self) -> int:
        """Words that may hold the token scales of a strip."""
        rows, per_word = self.array.rows, self.tokens_per_word
        return max((start * rows % per_word + rows - 1) // per_word + 1 for start in range(per_word))

    @property
    def memory_bits(self) -> dict[str, int]:
        """Bits of the on-chip memories."""
        if self.bus == "stream":
            return {}
        words = {
            "activations": 2 * self.array.rows * self.act_words,
            "weights": self.weight_words,
            "scales": self.scale_words,
            **({"token scales": 2 * self.token_words} if self.array.row_members else {}),
        }
        return {name: count * self.data_bits for name, count in words.items()}
