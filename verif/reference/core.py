"""A core in plain Python: the registers, and products by the golden model on what lies in memory."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from mixpe.driver.transport import RegisterError
from mixpe.quant.golden import mpgemm
from mixpe.quant.packing import memory
from mixpe.quant.packing.packed import kind
from mixpe.spec import layout
from mixpe.spec.core import SIZE_BITS, CoreConfig
from mixpe.spec.registers import COMMAND, REGISTERS, WORD_BITS, Access, Error, constants, register

DURATION = 100
"""Cycles that each command takes."""


@dataclass
class _Fault:
    first: int
    size: int
    response: str


class _BusError(Exception):
    """Says that memory answered a transfer with `error`."""

    def __init__(self, error: Error):
        self.error = error


class ReferenceCore:
    """Is a `mixpe.driver.transport.Transport` to a core of `config`. Time passes in `wait` alone.

    Attributes: `values`, the registers' by name; `accesses`, how often a register or memory was touched;
    `stuck`, commands never end; `deaf`, nor does an abort end them; `wired`, `irq` shows in `wait`.
    """

    def __init__(self, config: CoreConfig, *, memory_bytes: int = 1 << 20, memory_base: int = 0):
        self.config = config
        self.memory = np.zeros(memory_bytes, np.uint8)
        self.accesses = 0
        self.stuck = self.deaf = False
        self.wired = True
        self._base = memory_base
        self._faults: list[_Fault] = []
        self.reset()

    def reset(self) -> None:
        self.values = {each.name: 0 for each in REGISTERS} | dict(constants(self.config))
        self._queue: deque[dict[str, int]] = deque()
        self._left = 0

    def inject(self, address: int, size: int, response: str) -> None:
        """Makes transfers that touch these bytes be answered "SLVERR" or "DECERR"."""
        self._faults.append(_Fault(address, size, response))

    def clear_injected(self) -> None:
        self._faults.clear()

    # Transport

    @property
    def memory_base(self) -> int:
        return self._base

    @property
    def memory_bytes(self) -> int:
        return self.memory.size

    def read_register(self, offset: int) -> int:
        self.accesses += 1
        name, word = self._place(offset, writes=False)
        self.values["STATUS"] = register("STATUS").pack(
            BUSY=bool(self._queue), QUEUED=max(0, len(self._queue) - 1)
        )
        access = register(name).access
        value = 0 if access is Access.SET else self.values[name]
        return value >> (WORD_BITS * word) & ((1 << WORD_BITS) - 1)

    def write_register(self, offset: int, value: int) -> None:
        self.accesses += 1
        name, word = self._place(offset, writes=True)
        each = register(name)
        if not each.access.writable:
            raise RegisterError(offset, "SLVERR", writes=True)
        if name == "CONTROL":
            self._control(**each.unpack(value))
        elif name == "SUBMIT":
            self._submit(offset, **each.unpack(value))
        elif each.access is Access.CLEAR:
            self.values[name] &= ~value
        elif each.access is Access.CLEAR_ALL:
            self.values[name] = self.values[name] if not value else 0
        else:
            mask = ((1 << WORD_BITS) - 1) << (WORD_BITS * word)
            self.values[name] = self.values[name] & ~mask | value << (WORD_BITS * word)

    def read_memory(self, address: int, size: int) -> np.ndarray:
        self.accesses += 1
        return self._slice(address, size).copy()

    def write_memory(self, address: int, data: np.ndarray) -> None:
        self.accesses += 1
        self._slice(address, data.size)[:] = data

    def wait(self, cycles: int) -> bool:
        while not self._irq and cycles > 0:
            if not self._queue or self.stuck:
                cycles = 0
            else:
                step = min(cycles, self._left)
                cycles -= step
                self._left -= step
                self.values["CYCLES"] += step
                if not self._left:
                    self._end()
        return self._irq and self.wired

    # Inside

    @property
    def _irq(self) -> bool:
        return bool(self.values["INTERRUPT"] & self.values["INTERRUPT_ENABLE"])

    def _place(self, offset: int, *, writes: bool) -> tuple[str, int]:
        for each in REGISTERS:
            if each.offset <= offset < each.offset + 4 * each.words:
                return each.name, (offset - each.offset) // 4
        raise RegisterError(offset, "SLVERR", writes=writes)

    def _slice(self, address: int, size: int) -> np.ndarray:
        first = address - self._base
        if first < 0 or first + size > self.memory.size:
            raise _BusError(Error.READ_DECODE)
        return self.memory[first : first + size]

    def _control(self, ABORT: int, CLEAR_COUNTERS: int) -> None:
        if CLEAR_COUNTERS:
            self.values |= {each.name: 0 for each in REGISTERS if each.access is Access.COUNTER}
        if ABORT and self._queue and not self.deaf:
            self._fail(Error.ABORTED, self._queue[0]["TAG"])
            self._queue.clear()

    def _fail(self, error: Error, tag: int) -> None:
        if not self.values["ERROR"]:
            self.values["ERROR"] = register("ERROR").pack(CODE=error, TAG=tag)
        self.values["INTERRUPT"] |= register("INTERRUPT").pack(ERROR=1)

    def _submit(self, offset: int, TAG: int) -> None:
        command = {each.name: self.values[each.name] for each, _ in COMMAND} | {"TAG": TAG}
        if error := self._refusal(command):
            self._fail(error, TAG)
            raise RegisterError(offset, "SLVERR", writes=True)
        if not self._queue:
            self._left = DURATION
        self._queue.append(command)

    def _refusal(self, command: dict[str, int]) -> Error:
        operands = register("OPERANDS").unpack(command["OPERANDS"])
        sizes = [command[name] for name in "MKN"]
        addresses = [command[f"{name}_ADDRESS"] for name in "AWSTO"]
        if self.values["ERROR"]:
            return Error.PENDING
        if operands["LAYOUT"] != layout.LAYOUT_VERSION:
            return Error.LAYOUT
        if operands["GROUP"] != self.config.array.group:
            return Error.GROUP
        if 0 in sizes:
            return Error.ZERO_SIZE
        if max(sizes) >> SIZE_BITS:
            return Error.SIZE
        if any(x % layout.ALIGNMENT for x in (*addresses, command["A_STRIDE"], command["O_STRIDE"])):
            return Error.ALIGNMENT
        if max(addresses) >> self.config.address_bits:
            return Error.ADDRESS
        if len(self._queue) > self.config.queue:
            return Error.QUEUE_FULL
        return self._misplaced(command)

    def _misplaced(self, command: dict[str, int]) -> Error:
        """Returns what is wrong with the regions of a command."""
        m, n, o_stride = (command[name] for name in ("M", "N", "O_STRIDE"))
        sizes = layout.region_bytes(m, command["K"], n, command["A_STRIDE"], o_stride, self.config.array)
        for letter, size in sizes.items():
            if letter == "O" and m > 1 and o_stride < layout.out_row_bytes(n, self.config.array):
                return Error.OVERLAP
            if command[f"{letter}_ADDRESS"] + size > 1 << self.config.address_bits:
                return Error.RANGE
        return Error.NONE

    def _end(self) -> None:
        """Ends the oldest command."""
        command = self._queue[0]
        try:
            self._multiply(command)
        except _BusError as failure:
            self._fail(failure.error, command["TAG"])
            self._queue.clear()
            return
        self._queue.popleft()
        self._left = DURATION if self._queue else 0
        count = register("DONE").unpack(self.values["DONE"])["COUNT"]
        self.values["DONE"] = register("DONE").pack(COUNT=(count + 1) % (1 << 16), TAG=command["TAG"])
        self.values["INTERRUPT"] |= register("INTERRUPT").pack(DONE=1)

    def _multiply(self, command: dict[str, int]) -> None:
        array = self.config.array
        m, k, n = (command[name] for name in "MKN")
        a = self._read(command["A_ADDRESS"], m * command["A_STRIDE"]).reshape(m, -1)
        packed = memory.PackedWeights(
            k=k,
            n=n,
            weights=self._read(command["W_ADDRESS"], layout.weight_bytes(k, n, array)),
            scales=self._read(command["S_ADDRESS"], layout.scale_bytes(k, n, array)),
            **kind(array),
        )
        t = None
        if array.row_members:
            t = memory.unpack_tokens(self._read(command["T_ADDRESS"], layout.token_bytes(m)))
        weights = memory.unpack_weights(packed)
        out = mpgemm(memory.unpack_acts(a, k, array), weights, config=array, t=t)
        self.values["BEATS"] += (
            layout.row_strips(m, array) * layout.col_tiles(n, array) * layout.beats(k, array)
        )
        size = layout.out_row_bytes(n, array)
        for row, data in enumerate(memory.pack_results(out, array)):
            address = command["O_ADDRESS"] + row * command["O_STRIDE"]
            with self._faulty("WRITE", address, size):
                self._slice(address, size)[:] = data[:size]
                self.values["WRITE_BYTES"] += size

    def _read(self, address: int, size: int) -> np.ndarray:
        with self._faulty("READ", address, size):
            self.values["READ_BYTES"] += size
            return self._slice(address, size).copy()

    @contextmanager
    def _faulty(self, what: str, address: int, size: int) -> Iterator[None]:
        for fault in self._faults:
            if address < fault.first + fault.size and fault.first < address + size:
                raise _BusError(Error[f"{what}_{'SLAVE' if fault.response == 'SLVERR' else 'DECODE'}"])
        try:
            yield
        except _BusError:
            raise _BusError(Error[f"{what}_DECODE"]) from None
