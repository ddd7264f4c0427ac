"""Random commands on a core in the fast simulation, with memories of all sorts, and all that may go wrong."""

from math import ceil

import numpy as np

from mixpe.driver.registers import Registers
from mixpe.driver.transport import RegisterError
from mixpe.sim.cocotb.core_products import Command, Products
from mixpe.sim.fast import SimulatedCore
from mixpe.spec import cycles as traffic
from mixpe.spec import layout
from mixpe.spec.core import CoreConfig
from mixpe.spec.registers import TAG_BITS, Error

MEMORY_BYTES = 1 << 19
_PATIENCE = 50_000
"""Cycles within which something must move on the bus, or a command end."""

_FATES = {"run": 0.55, "fault": 0.2, "abort": 0.15, "reset": 0.1}
"""What becomes of a batch of commands, and how often."""

_CODES = {
    ("read", "SLVERR"): Error.READ_SLAVE,
    ("read", "DECERR"): Error.READ_DECODE,
    ("write", "SLVERR"): Error.WRITE_SLAVE,
    ("write", "DECERR"): Error.WRITE_DECODE,
}


class Soak:
    """Runs commands in batches on a core with a memory drawn at random.

    verilog: of the core, if it is not the one that `config` describes, and `argument` for it. `fates`: how
    many batches had which.
    Raises `AssertionError` where the core does wrong.
    """

    def __init__(
        self,
        config: CoreConfig,
        rng: np.random.Generator,
        verilog: str | None = None,
        argument: str | None = None,
    ):
        self.config = config
        self.rng = rng
        base = MEMORY_BYTES * int(
            rng.integers(0, (1 << config.address_bits) // MEMORY_BYTES, dtype=np.uint64)
        )
        bandwidth = rng.choice([0, 0.5, 1, 2, 3])
        self.core = SimulatedCore(
            config,
            memory_bytes=MEMORY_BYTES,
            memory_base=base,
            latency=int(rng.choice([1, 2, 10, 50, 200])),
            write_latency=int(rng.choice([1, 2, 10, 50, 200])),
            bytes_per_cycle=float(bandwidth) * config.word_bytes or None,
            requests=int(rng.choice([1, 2, 3, 16])),
            back_pressure=float(rng.choice([0, 0.1, 0.5, 0.9])),
            seed=int(rng.integers(0, 1 << 63)),
            verilog=verilog,
            argument=argument,
        )
        self.registers = Registers(self.core)
        self.products = Products(config, rng, self.core.memory, base)
        self.fates = dict.fromkeys(_FATES, 0)
        self._written: dict[str, int] = {}
        self._done = 0
        self._tag = 0

    def close(self) -> None:
        self.core.close()

    def batch(self, most: int) -> int:
        """Runs up to `most` commands, with one fate, and checks all memory. Returns how many."""
        self._tag = int(self.rng.integers(0, 1 << TAG_BITS))
        self.products.clear()
        count = min(most, int(self.rng.integers(1, self.config.queue + 2)))
        for _ in range(count):
            self.products.random_product()
        fate = str(self.rng.choice([*_FATES], p=[*_FATES.values()]))
        self.fates[fate] += 1
        getattr(self, f"_{fate}")(self.products.commands)
        self.products.check()
        return count

    # Fates

    def _run(self, commands: list[Command]) -> None:
        before = self._counted()
        first = self._tag
        for command in commands:
            self._submit(command)
        self._wait()
        assert self.registers.error()[0] == Error.NONE
        self._check_done(len(commands), first)
        found = {name: value - before[name] for name, value in self._counted().items()}
        shapes = [command.shape for command in commands]
        assert found["BEATS"] == sum(traffic.beats(*shape, self.config) for shape in shapes)
        assert found["READ_BYTES"] == sum(traffic.read_bytes(*shape, self.config) for shape in shapes)
        assert found["WRITE_BYTES"] == sum(traffic.write_bytes(m, n, self.config) for m, _, n in shapes)
        assert found["CYCLES"] > found["BEATS"] + found["STALL_READ"] + found["STALL_ARRAY"]

    def _fault(self, commands: list[Command]) -> None:
        """Makes a word fail that one of the commands needs."""
        broken = int(self.rng.integers(0, len(commands)))
        what, address = self._word(commands[broken])
        response = str(self.rng.choice(["SLVERR", "DECERR"]))
        self.core.inject(address, 1, response)
        first = self._tag
        for index, command in enumerate(commands):
            try:
                self._submit(command)
            except RegisterError:
                assert index > broken, f"command {index} is refused, and {broken} fails"
        self._wait()
        self.core.clear_injected()
        assert self.registers.error() == (_CODES[what, response], first + broken & 0xFFFF), (
            f"{what} {address:#x}"
        )
        self._end_early(broken, first)

    def _abort(self, commands: list[Command]) -> None:
        first = self._tag
        for command in commands:
            self._submit(command)
        self.core.run(self._moment())
        self.registers.write_fields("CONTROL", {"ABORT": 1})
        error, tag = self.registers.error()
        if error is Error.NONE:
            self._wait()
            self._check_done(len(commands), first)
            return
        assert error is Error.ABORTED
        broken = tag - first & 0xFFFF
        assert broken < len(commands)
        again = bool(self.rng.integers(0, 2)) and self._disturb()
        self._wait()
        self._end_early(broken, first, again)

    def _disturb(self) -> bool:
        """Aborts once more, while the core drains or after it, and repeats the last command.

        Returns whether the core takes it.
        """
        self.registers.write_fields("CONTROL", {"ABORT": 1})
        drains = self.registers.fields("STATUS")["BUSY"]
        self.registers.clear("ERROR")
        try:
            self.registers.write_fields("SUBMIT", {"TAG": self._tag})
        except RegisterError:
            assert drains, "the core is idle, and refuses"
            assert self.registers.error() == (Error.PENDING, self._tag)
            return False
        self._tag = self._tag + 1 & 0xFFFF
        return True

    def _reset(self, commands: list[Command]) -> None:
        for command in commands:
            self._submit(command)
        self.core.run(self._moment())
        self.core.reset()
        self._written.clear()
        self._done = 0
        for name in ("STATUS", "DONE", "ERROR", "INTERRUPT", "INTERRUPT_ENABLE", "CYCLES", "READ_BYTES"):
            assert self.registers.read(name) == 0, f"{name} survives a reset"
        for command in commands:
            self.products.broken_off(command)

    # Parts

    def _submit(self, command: Command) -> None:
        """Writes registers, at times only those that change, and SUBMIT."""
        everything = self.rng.integers(0, 2)
        for name, value in command.registers.items():
            if everything or self._written.get(name, 0) != value:
                self.registers.write(name, value)
                self._written[name] = value
        tag, self._tag = self._tag, self._tag + 1 & 0xFFFF
        self.registers.write_fields("SUBMIT", {"TAG": tag})

    def _wait(self) -> None:
        """Waits until the core is idle; fails if nothing moves."""
        self.registers.write_fields("INTERRUPT_ENABLE", {"DONE": 1, "ERROR": 1})
        before, waited = self._moved(), 0
        while self.registers.fields("STATUS")["BUSY"]:
            began = self.core.cycles
            self.core.wait(1000)
            self.registers.clear("INTERRUPT")
            waited += self.core.cycles - began
            if self._moved() != before:
                before, waited = self._moved(), 0
            assert waited <= _PATIENCE, f"the core is busy, and did nothing for {waited} cycles"
        assert not any(self.registers.fields("STATUS").values())

    def _moved(self) -> tuple[int, ...]:
        return self.core.bytes_read, self.core.bytes_written, self.registers.read("DONE")

    def _end_early(self, broken: int, first: int, again: bool = False) -> None:
        """Commands before `broken` are done, those behind it are dropped; `again`: the last one then ran."""
        if again:
            assert self.registers.error()[0] is Error.NONE
            self._check_done(broken + 1, self._tag - broken - 1)
        else:
            self._check_done(broken, first)
        commands = self.products.commands
        ended = commands[broken : len(commands) - again]
        for command in ended[:1]:
            self.products.broken_off(command)
        for command in ended[1:]:
            self.products.dropped(command)
        self.registers.clear("ERROR")

    def _check_done(self, count: int, first: int) -> None:
        """Checks that `count` more commands are done, with tags from `first` on."""
        done = self.registers.fields("DONE")
        self._done = self._done + count & 0xFFFF
        assert done["COUNT"] == self._done
        assert not count or done["TAG"] == first + count - 1 & 0xFFFF

    def _counted(self) -> dict[str, int]:
        names = ("CYCLES", "BEATS", "STALL_READ", "STALL_ARRAY", "READ_BYTES", "WRITE_BYTES")
        return {name: self.registers.read(name) for name in names}

    def _moment(self) -> int:
        """Draws cycles to wait, up to about what the commands take."""
        array = self.config.array
        shapes = [command.shape for command in self.products.commands]
        most = sum(traffic.tiles(m, n, self.config) * array.tile_cycles(k) + 100 for m, k, n in shapes)
        return int(self.rng.integers(0, 1 + ceil(most * self.rng.choice([0.1, 1, 3]))))

    def _word(self, command: Command) -> tuple[str, int]:
        """Whether the core reads or writes it, and the address of a word that `command` needs."""
        array, size, rng = self.config.array, self.config.word_bytes, self.rng
        m, k, n = command.shape
        tiles = layout.col_tiles(n, array)
        weights = layout.beats(k, array) * layout.weight_beat_bits(array)
        scales = layout.groups(k, array) * layout.scale_beat_bits(array)
        strides = {
            "A": (m, command.registers["A_STRIDE"], layout.act_row_bytes(k, array)),
            "W": (tiles, layout.weight_tile_bytes(k, array), ceil(weights / 8)),
            "S": (tiles, layout.scale_tile_bytes(k, array), ceil(scales / 8)),
            "O": (m, command.registers["O_STRIDE"], layout.out_row_bytes(n, array)),
        }
        if array.row_members:
            strides["T"] = (1, 0, layout.token_bytes(m))
        letter = str(rng.choice([*strides]))
        count, stride, used = strides[letter]
        place = int(rng.integers(0, count)) * stride + int(rng.integers(0, used)) // size * size
        return "write" if letter == "O" else "read", command.registers[f"{letter}_ADDRESS"] + place
