"""Random products in the memory of an accelerator core, and all that memory must hold after them."""

from dataclasses import dataclass

import numpy as np

from ...quant.codecs import codec
from ...quant.golden import mpgemm
from ...quant.matrix import QuantizedMatrix
from ...quant.packing import memory
from ...quant.samples import random_operands
from ...spec import cycles as traffic
from ...spec import layout
from ...spec.array import Config
from ...spec.core import CoreConfig
from ...spec.formats.numbers import FloatFormat, IntFormat
from ...spec.registers import register

_PAGE = 4096
_MOST_CYCLES = 3000
"""Bounds the array's cycles in a product of a random shape."""


@dataclass
class Command:
    """Stands for a product in memory.

    registers: of the command. rows: the results, bytes [M, bytes of a row]; before: what was in their place.
    """

    registers: dict[str, int]
    rows: np.ndarray
    before: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.registers["M"], self.registers["K"], self.registers["N"]


class Products:
    """Makes commands for a core, in memory `data` (uint8, of whole pages) whose first address is `base`.

    `image`: what memory should hold, the results of all `commands` among it. `readable`, `writable`: of each
    line of `layout.ALIGNMENT` bytes, whether a command may access it. All else, and all padding, is noise.
    """

    def __init__(self, config: CoreConfig, rng: np.random.Generator, data: np.ndarray, base: int):
        self.config = config
        self.rng = rng
        self.data = data
        self.base = base
        self.commands: list[Command] = []
        self.clear()

    def clear(self) -> None:
        """Drops all commands and begins anew."""
        self.data[:] = np.frombuffer(self.rng.bytes(self.data.size), np.uint8)
        self.image = self.data.copy()
        self.readable, self.writable = np.zeros((2, self.data.size // layout.ALIGNMENT), bool)
        self.commands.clear()
        self._next = layout.ALIGNMENT * int(self.rng.integers(0, 64))

    def take(self, size: int, *, written: bool = False) -> int:
        """Returns the address of a region, behind a random gap, which the core may read, or write."""
        first = self._next
        if self.rng.integers(0, 3) == 0:  # across the end of a page
            lines = int(self.rng.integers(1, 4))
            first += -(first + lines * layout.ALIGNMENT) % _PAGE
        self._next = first + layout.aligned(size) + layout.ALIGNMENT * int(self.rng.integers(0, 3))
        if self._next > self.data.size:
            raise AssertionError("memory is too small for the commands")
        self._lines(self.writable if written else self.readable, self.base + first, size)[:] = True
        return self.base + first

    def put(self, octets: np.ndarray) -> int:
        """Puts `octets` in a region of their own; returns its address."""
        address = self.take(octets.size)
        for data in (self.data, self.image):
            data[address - self.base :][: octets.size] = octets
        return address

    def product(
        self, m: int, k: int, n: int, *, extreme: bool = False, after: Command | None = None
    ) -> Command:
        """Puts random operands of a product in memory. `after`: whose results are its activations."""
        array = self.config.array
        a, weights, t = random_operands(self.rng, m, k, n, array, extreme=extreme)
        if after is None:
            packed = memory.pack_acts(a, array)
            stride = packed.shape[1] + layout.ALIGNMENT * int(self.rng.integers(0, 2))
            rows = self._noise((m, stride))
            rows[:, : packed.shape[1]] = self._overlaid(packed, _act_bits(k, array))
            address = self.put(rows.ravel())
        else:
            address, stride = after.registers["O_ADDRESS"], after.registers["O_STRIDE"]
            self._lines(self.readable, address, m * stride)[:] = True
            a = memory.unpack_acts(self._rows(self.image, address, m, stride), k, array)
        registers = {"M": m, "K": k, "N": n, "A_STRIDE": stride, "A_ADDRESS": address}
        packed, used = memory.pack_weights(weights, array), _weight_bits(k, n, array)
        registers["W_ADDRESS"] = self.put(self._overlaid(packed.weights, used.weights))
        registers["S_ADDRESS"] = self.put(self._overlaid(packed.scales, used.scales))
        if t is None:  # the core does not look at it
            registers["T_ADDRESS"] = int(self.rng.integers(0, 1 << 63))
        else:
            registers["T_ADDRESS"] = self.put(memory.pack_tokens(t))
        stride = layout.out_stride(n, array) + layout.ALIGNMENT * int(self.rng.integers(0, 2))
        registers |= {"O_ADDRESS": self.take(m * stride, written=True), "O_STRIDE": stride}
        registers["OPERANDS"] = register("OPERANDS").pack(GROUP=array.group, LAYOUT=layout.LAYOUT_VERSION)
        out = memory.pack_results(mpgemm(a, weights, t=t, config=array), array)
        command = Command(registers, out[:, : layout.out_row_bytes(n, array)], np.empty(0))
        place = self._results(command, self.image)
        command.before = place.copy()
        place[:] = command.rows
        self.commands.append(command)
        return command

    def random_product(self) -> Command:
        """Draws a product; one in four has extreme operands."""
        return self.product(*self.random_shape(), extreme=bool(self.rng.integers(0, 4) == 0))

    def random_shape(self) -> tuple[int, int, int]:
        """Draws M, K and N around the sizes of tiles, groups, lanes and banks, of a bearable product."""
        array, rng, bank = self.config.array, self.rng, self.longest_resident
        rows, cols, group, lanes = array.rows, array.cols, array.group, array.lanes
        while True:
            m = int(rng.choice(np.array([1, rows, rows + 1, rng.integers(1, 3 * rows + 1)])))
            n = int(rng.choice(np.array([1, cols, cols + 1, rng.integers(1, 3 * cols + 1)])))
            around = np.array([1, lanes, group, 2 * group, bank, rng.integers(1, 3 * group + 1), 2 * bank])
            k = max(1, int(rng.choice(around) + rng.integers(-1, 2)))
            if traffic.tiles(m, n, self.config) * array.tile_cycles(k) <= _MOST_CYCLES:
                return m, k, n

    @property
    def longest_resident(self) -> int:
        """Returns the greatest K whose rows of activations fit in a bank."""
        return max(k for k in range(1, self.config.act_bank_positions + 1) if self.config.resident(k))

    # What commands did

    def dropped(self, command: Command) -> None:
        """Notes that a command did not run: nothing may be written."""
        self._results(command, self.image)[:] = command.before

    def broken_off(self, command: Command) -> None:
        """Notes that a command ended early: any of its results may be written, and nothing else."""
        found = self._results(command, self.data)
        wrong = (found != command.rows) & (found != command.before)
        assert not wrong.any(), f"{command.shape}: {wrong.sum()} bytes are wrong though it ended early"
        self._results(command, self.image)[:] = found

    def check(self) -> None:
        """Checks that memory holds what the commands were to write, and else what it held."""
        for command in self.commands:
            found, rows = (self._results(command, data) for data in (self.data, self.image))
            if (found != rows).any():
                raise AssertionError(f"{command.shape}: {self._first_difference(found, rows)}")
        wrong = np.flatnonzero(self.data != self.image)
        assert not wrong.size, f"{wrong.size} bytes are wrong, the first at {self.base + int(wrong[0]):#x}"

    def _first_difference(self, found: np.ndarray, rows: np.ndarray) -> str:
        differs, size = found != rows, self.config.array.out.bits // 8
        i, byte = (int(index[0]) for index in np.nonzero(differs))
        code = slice(byte // size * size, byte // size * size + size)
        wrong, right = (bytes(octets[i, code])[::-1].hex() for octets in (found, rows))
        return (
            f"{differs.any(axis=1).sum()} of {len(rows)} rows of results are wrong, the first in "
            f"row {i}, column {byte // size}: {wrong}, not {right}"
        )

    def _results(self, command: Command, data: np.ndarray) -> np.ndarray:
        m, address, stride = (command.registers[name] for name in ("M", "O_ADDRESS", "O_STRIDE"))
        return self._rows(data, address, m, stride)[:, : command.rows.shape[1]]

    def _rows(self, data: np.ndarray, address: int, m: int, stride: int) -> np.ndarray:
        return data[address - self.base :][: m * stride].reshape(m, stride)

    def _lines(self, flags: np.ndarray, address: int, size: int) -> np.ndarray:
        first = (address - self.base) // layout.ALIGNMENT
        return flags[first : first + layout.aligned(size) // layout.ALIGNMENT]

    def _noise(self, shape) -> np.ndarray:
        return self.rng.integers(0, 256, shape, np.uint8)

    def _overlaid(self, octets: np.ndarray, used: np.ndarray) -> np.ndarray:
        """Puts noise in the bits that nothing uses."""
        return octets & used | self._noise(octets.shape) & ~used


def _act_bits(k: int, array: Config) -> np.ndarray:
    """Returns ones in the bits of a row that hold activations."""
    form, container = codec(array.act_code), layout.container_bits(array)
    pattern = sum(((1 << form.bits) - 1) << place for place in range(0, 16, container)) & 0xFFFF
    ones = memory.pack_acts(form.decode(np.full((1, k), (1 << form.bits) - 1)), array)
    return ones & np.frombuffer(pattern.to_bytes(2, "little") * (ones.size // 2), np.uint8)


def _weight_bits(k: int, n: int, array: Config) -> memory.PackedWeights:
    """Returns ones in the bits that hold weights, scales and zero points."""

    def ones(form: IntFormat | FloatFormat, *shape: int) -> np.ndarray:
        return codec(form).decode(np.full(shape, (1 << form.bits) - 1))

    groups = {each.symbol: ones(each.format, array.matrix.groups(k), n) for each in array.matrix.members}
    weights = QuantizedMatrix(array.matrix, ones(array.weight_code, k, n), groups)
    return memory.pack_weights(weights, array)
