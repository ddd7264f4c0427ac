"""The configuration of an accelerator core: its array, its bus, its on-chip memories."""

import dataclasses
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from . import layout
from .array import Config
from .errors import UserError
from .fields import LONGEST_NAME, check_name
from .table import check_scheme, check_types, check_values, row, rows_of

SIZE_BITS = 24
"""Width of M, K and N in a command: the largest is 2**24 - 1."""

STRIDE_BITS = 32
"""Width of the distances of rows in a command, in bytes."""

GROUP_BITS = 16
"""Width of the group size in a command."""

_ENGINE = "_engine"
"""What the names of the array's modules add to the core's."""

_LONGEST = LONGEST_NAME - len(_ENGINE)
"""Characters of a name."""

_AXI = ("axi",)


def _words(default: int, meaning: str, short: str) -> Any:
    """A row of a size of an on-chip memory."""
    return row(default, meaning, limits=(2, 65536), power=True, schemes=_AXI, short=short)


def ram_module(prefix: str, depth: int, width: int) -> str:
    """Name of the Verilog module of an on-chip memory (`mixpe.hw.ram`) of the design `prefix`."""
    return f"{prefix}_ram_{depth}x{width}"


def ram_size(prefix: str, module: str) -> tuple[int, int] | None:
    """Inverse of `ram_module`: depth and width; None if `module` is no memory of the design `prefix`."""
    found = re.fullmatch(rf"{re.escape(prefix)}_ram_(\d+)x(\d+)", module)
    return (int(found[1]), int(found[2])) if found else None


@dataclass(frozen=True, kw_only=True)
class CoreConfig:
    """An array behind a bus; the rows say what each field means and may be.

    `array` is the array; its modules are called after the core, `<name>_engine...`. A core with bus "stream"
    has the array's streams as AXI4-Stream, and no sizes: they stay at their defaults.

    Raises `UserError` that names the field, its value and what is allowed.
    """

    array: Config = field(default_factory=Config)
    name: str = row(
        "",
        "Names the top module and the files; if empty, the bus, the array's name and the sizes that are no "
        "defaults make a name.",
    )
    bus: str = row(
        "axi",
        "Chooses what the core speaks: `axi` has registers and an AXI4 master that reads and writes memory, "
        "`stream` has the array's streams as AXI4-Stream.",
        choices=("axi", "stream"),
    )
    data_bits: int = row(
        128,
        "Sets the width of the AXI4 data buses, a word; it holds at least the lanes of a row's activations.",
        choices=(64, 128, 256, 512),
        schemes=_AXI,
        short="d{}",
    )
    address_bits: int = row(
        40, "Sets the width of the AXI4 addresses in bits.", limits=(32, 64), schemes=_AXI, short="addr{}"
    )
    burst: int = row(
        16,
        "Sets the most words of a burst, which is at most 4096 bytes.",
        limits=(1, 256),
        power=True,
        schemes=_AXI,
        short="b{}",
    )
    outstanding: int = row(
        8,
        "Sets how many bursts are read at a time, and how many written ones may wait for their answer.",
        limits=(1, 64),
        power=True,
        schemes=_AXI,
        short="o{}",
    )
    act_words: int = _words(
        128,
        "Sets the words of activations that each of a row's two banks holds, at least a burst: a product "
        "whose rows fit in a bank reads its activations once, else once for every column tile.",
        "aw{}",
    )
    weight_words: int = _words(
        512, "Sets the words of weights on chip ahead of the array, at least two bursts.", "ww{}"
    )
    scale_words: int = _words(
        64, "Sets the words of scales on chip ahead of the array, at least two bursts.", "sw{}"
    )
    queue: int = row(
        4,
        "Sets the commands that can wait behind the one under way.",
        limits=(1, 15),
        schemes=_AXI,
        short="q{}",
    )

    def __post_init__(self):
        if type(self.array) is not Config:
            raise UserError(f"array must be of type Config, not {self.array!r}")
        check_types(self)
        rows_of(CoreConfig)["bus"].check_value(self.bus)
        check_scheme(self, self.bus, f"bus {self.bus}, which has none")
        check_values(self)
        if self.bus == "axi":
            self._check_sizes()
        if not self.name:
            object.__setattr__(self, "name", self._description)
        check_name(self.name, longest=_LONGEST)
        object.__setattr__(self, "array", dataclasses.replace(self.array, name=self.name + _ENGINE))

    @property
    def _description(self) -> str:
        """The name made of the bus, the array's and the sizes that are not the default ones."""
        shown = [each.shown(getattr(self, name)) for name, each in rows_of(CoreConfig).items() if each.short]
        name = "_".join(["core" if self.bus == "axi" else "stream", self.array.name, *filter(None, shown)])
        if len(name) > _LONGEST:
            raise UserError(
                f"name must be given: the one made of all fields, {name!r}, has {len(name)} characters, "
                f"not at most {_LONGEST}"
            )
        return name

    def _check_sizes(self) -> None:
        """Checks what one size, or the array, asks of another."""
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
        if self.array.group > (most := (1 << GROUP_BITS) - 1):
            raise UserError(
                f"group must be 1 to {most} for bus axi, not {self.array.group}: the register field "
                f"OPERANDS.GROUP has {GROUP_BITS} bits"
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
