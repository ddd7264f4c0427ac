"""And-inverter graphs in the binary AIGER format (Biere, Heljanko, Wieringa, "AIGER 1.9 and beyond").

A literal is twice a variable's number, plus 1 for its inverse; variable 0 is the constant low. Inputs come
first, then registers, then gates, each with two literals below its own.
"""


class Aiger:
    """Holds the graph of an AIGER file, whose gates stay as they are."""

    def __init__(self, text: bytes):
        header, _, rest = text.partition(b"\n")
        numbers = [int(each) for each in header.split()[1:]]
        self._most, self._inputs, registers, outputs, self._gates, *more = numbers
        self._more = more  # bad states, constraints
        *lines, self._tail = rest.split(b"\n", registers + outputs + sum(more))
        self._next = [int(line.split()[0]) for line in lines[:registers]]
        self._begin: list[int | None] = [None] * registers
        self._outputs = [int(line) for line in lines[registers : registers + outputs]]
        self._others = lines[registers + outputs :]

    def begin_behind(self, reset: int) -> None:
        """Lets registers begin as a cycle of reset leaves them: at their reset value, or at any if they have
        none. So all that can follow a reset is covered, whatever was before.

        reset: the number of the input that is high in reset.
        """
        values: list[bool | None] = [None] * (self._most + 1)
        values[0], values[1 + reset] = False, True

        def value(literal: int) -> bool | None:
            known = values[literal >> 1]
            return None if known is None else known ^ bool(literal & 1)

        first = self._inputs + len(self._next) + 1
        for variable, (left, right) in enumerate(self._pairs(first), first):
            pair = value(left), value(right)
            values[variable] = False if False in pair else (None if None in pair else True)
        self._begin = [None if value(each) is None else int(bool(value(each))) for each in self._next]

    def _pairs(self, first: int) -> list[tuple[int, int]]:
        """Returns the two literals of each gate, from the variable `first` on."""
        at, pairs = 0, []

        def number() -> int:
            nonlocal at
            result = shift = 0
            while True:
                byte = self._tail[at]
                at += 1
                result |= (byte & 0x7F) << shift
                if byte < 0x80:
                    return result
                shift += 7

        for variable in range(first, first + self._gates):
            left = 2 * variable - number()
            pairs.append((left, left - number()))
        return pairs

    def with_output(self, index: int) -> bytes:
        """Returns the file with one of its outputs alone."""
        registers = [
            f"{each} {2 * (self._inputs + 1 + place) if begin is None else begin}".encode()
            for place, (each, begin) in enumerate(zip(self._next, self._begin, strict=True))
        ]
        numbers = [self._most, self._inputs, len(registers), 1, self._gates, *self._more]
        header = " ".join(["aig", *map(str, numbers)]).encode()
        return b"\n".join([header, *registers, b"%d" % self._outputs[index], *self._others, self._tail])
