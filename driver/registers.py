"""A core's registers by name."""

from collections.abc import Mapping

from ..spec.registers import WORD_BITS, Access, Error, register
from .transport import Transport

_WORD_BYTES = WORD_BITS // 8
_MASK = (1 << WORD_BITS) - 1


class Registers:
    """Reads and writes the registers of `mixpe.spec.registers` by name; all raise `RegisterError`.

    Those of 64 bits take two accesses, the low half first. `acts`: writes so far that make the core act, of
    `Access.SET`, answered by an error or not.
    """

    def __init__(self, transport: Transport):
        self.acts = 0
        self._transport = transport
        self._held: dict[int, int] = {}  # what was written to words of `Access.WRITE`, by offset

    def read(self, name: str) -> int:
        each = register(name)
        words = [self._transport.read_register(each.offset + _WORD_BYTES * i) for i in range(each.words)]
        return sum(word << (WORD_BITS * i) for i, word in enumerate(words))

    def write(self, name: str, value: int, *, changes: bool = False) -> None:
        """Writes a register by its name; `changes` leaves out words known to hold the value already."""
        each = register(name)
        self.acts += each.access is Access.SET
        for i in range(each.words):
            offset, word = each.offset + _WORD_BYTES * i, value >> (WORD_BITS * i) & _MASK
            if changes and self._held.get(offset) == word:
                continue
            self._transport.write_register(offset, word)
            if each.access is Access.WRITE:
                self._held[offset] = word

    def forget(self) -> None:
        """Forgets what registers hold: the core was reset."""
        self._held.clear()

    def fields(self, name: str) -> dict[str, int]:
        """Reads a register: the values of its fields."""
        return register(name).unpack(self.read(name))

    def write_fields(self, name: str, fields: Mapping[str, int], *, changes: bool = False) -> None:
        """Writes a register, with 0 in the fields that are not given."""
        self.write(name, register(name).pack(**fields), changes=changes)

    def clear(self, name: str) -> None:
        """Writes ones to all fields."""
        self.write(name, sum(field.mask for field in register(name).fields))

    def error(self) -> tuple[Error, int]:
        """Returns the first error since it was cleared, and the tag of its command."""
        fields = self.fields("ERROR")
        return Error(fields["CODE"]), fields["TAG"]
