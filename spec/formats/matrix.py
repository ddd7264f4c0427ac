"""The format of a quantized matrix: its weights, its groups, and what belongs to each group."""

from dataclasses import dataclass

from .numbers import FloatFormat, IntFormat
from .weights import WeightFormat


@dataclass(frozen=True)
class Member:
    """Something that belongs to a group of weights, or to a row of the result.

    Parameters
    ----------
    symbol: its letter in the formulas, such as "s".
    name: its name in the hardware, such as "scale".
    format: what its codes are.
    meaning: one phrase for documents.
    """

    symbol: str
    name: str
    format: IntFormat | FloatFormat
    meaning: str


@dataclass(frozen=True)
class MatrixFormat:
    """What a quantized matrix [K, N] is made of.

    Parameters
    ----------
    weight: the format of the codes.
    group: consecutive weights along K that share members; the last group of a K may be shorter.
    members: what each group of each column has, in the order of streams and memory.

    This is the one list: stream beats, memory layout, manifest, packing, golden model and dequantizer derive
    from it.
    """

    weight: WeightFormat
    group: int
    members: tuple[Member, ...]

    def groups(self, k: int) -> int:
        """Returns the number of groups along an inner dimension `k`."""
        return -(-k // self.group)

    def member(self, symbol: str) -> Member:
        """Returns the member of that symbol; raises `KeyError` if groups have none."""
        for member in self.members:
            if member.symbol == symbol:
                return member
        raise KeyError(symbol)

    def has(self, symbol: str) -> bool:
        """Returns whether groups have the member of that symbol."""
        return any(member.symbol == symbol for member in self.members)

    @property
    def member_bits(self) -> int:
        """Bits of all members of one group of one column."""
        return sum(member.format.bits for member in self.members)

    @property
    def subtracts(self) -> bool:
        """Whether dequantization subtracts a multiple of the row sum: a zero point's, or an offset's."""
        return self.has("z") or self.weight.offset > 0

    @property
    def zero_limits(self) -> tuple[int, int]:
        """The least and the greatest zero point in the array: (0, 0) where nothing is subtracted."""
        return self.weight.limits if self.has("z") else (-self.weight.offset, -self.weight.offset)

    @property
    def zero_symbol(self) -> str:
        """How formulas name the zero point."""
        return "z[g,n]" if self.has("z") else "0"

    def __str__(self) -> str:
        members = ", ".join(f"{member.symbol} in {member.format}" for member in self.members)
        return f"{self.weight} in groups of {self.group} with {members}"
