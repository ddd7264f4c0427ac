"""The streams of an array's top, listed once: their beats, field by field.

The hardware's payloads (`mixpe.hw.array.beats`), the manifest, packing, testbenches and cocotb drivers derive
from this list.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from .array import Config
from .formats.numbers import FloatFormat, IntFormat

FLAG = IntFormat(1, signed=False)
"""The format of a single bit that is no number."""


@dataclass(frozen=True)
class Field:
    """Elements of a beat, side by side.

    Parameters
    ----------
    name: its name in the payload.
    format: of an element.
    counts: the number of elements along each index, the slowest index first; empty for a single element.
    meaning: one phrase for documents.
    """

    name: str
    format: IntFormat | FloatFormat
    counts: Mapping[str, int]
    meaning: str

    @property
    def count(self) -> int:
        """The number of elements."""
        total = 1
        for each in self.counts.values():
            total *= each
        return total

    @property
    def width(self) -> int:
        """Bits of all elements."""
        return self.count * self.format.bits


@dataclass(frozen=True)
class Stream:
    """A stream of beats.

    Parameters
    ----------
    name: prefix of its ports.
    takes: whether the top takes its beats; else it gives them.
    fields: of a beat's payload, from bit 0 up.
    meaning: one phrase for documents; `timing`: in which cycle a beat is taken.
    optional: only some configurations have it.
    """

    name: str
    takes: bool
    fields: tuple[Field, ...]
    meaning: str
    timing: str = ""
    optional: bool = False

    @property
    def width(self) -> int:
        """Bits of a beat."""
        return sum(field.width for field in self.fields)


def streams(config: Config) -> tuple[Stream, ...]:
    """Returns the streams of the top of `config`, inputs first, in the order of its ports."""
    tile_cols, lanes = {"col": config.cols}, {"lane": config.lanes}
    acts = Field(
        "a",
        config.act_code,
        {"row": config.rows, **lanes},
        "activation a[m, k] of tile row `row`; 0 where there is none",
    )
    weights = Field(
        "q", config.weight_code, {**tile_cols, **lanes}, "weight code q[k, n] of tile column `col`"
    )
    groups = [Field(each.symbol, each.format, tile_cols, each.meaning) for each in config.matrix.members]
    rows = [Field(each.symbol, each.format, {}, each.meaning) for each in config.row_members]
    results = Field("y", config.out, tile_cols, "result out[m, n]")
    last_beat = "the tile's last beat: ends the tile and its last group, which may be short"
    found = [
        Stream(
            "acts",
            True,
            (acts, Field("last", FLAG, {}, last_beat)),
            "activations; beat b of a group holds k = group start + lanes*b + lane; a group begins a beat",
        ),
        Stream(
            "weights",
            True,
            (weights,),
            "weights of the same k as the acts beat",
            f"; {config.scheme.acts_lead}",
        ),
        Stream(
            "scales",
            True,
            tuple(groups),
            "one beat a group",
            ", taken in the same cycle as the group's last weights beat",
        ),
    ]
    if rows:
        found.append(Stream("tokens", True, tuple(rows), "one beat a tile row, in row order", optional=True))
    found.append(
        Stream(
            "out",
            False,
            (results, Field("last", FLAG, {}, "the tile's last row")),
            "one beat a tile row, in row order",
        )
    )
    return tuple(found)


def inputs(config: Config) -> tuple[Stream, ...]:
    """Returns the streams whose beats the top takes."""
    return tuple(stream for stream in streams(config) if stream.takes)
