"""Commands in a core: given to it, awaited, and cleared away when it reports an error or hangs."""

from collections import deque
from collections.abc import Callable
from dataclasses import fields

import numpy as np

from ..spec.layout import LAYOUT_VERSION
from ..spec.registers import Error, register
from .command import Command, CommandError, Counters, HangError, Operation
from .identity import Identity
from .registers import Registers
from .transport import RegisterError, Transport

_BUS_CYCLES = 50_000
"""Cycles in which a bus must have moved something."""

_FIRST_RUN_ERROR = Error.READ_SLAVE
"""Codes below it refuse a command, others end one."""

_POLLS = 32
"""How often a core that drains is looked at within its patience."""

Retire = Callable[[Command, bool], np.ndarray | None]
"""Takes a command that has ended, and whether it is done: then reads its results. Gives up its regions."""


def patience_of(identity: Identity) -> int:
    """Returns the cycles without any progress after which a core hangs.

    Within them the slowest array takes a whole group, sends out a tile's results and fills again, and any
    memory answers.
    """
    array = identity.array
    fill = array.scheme.fill_cycles(array.group)
    return _BUS_CYCLES + array.tile_cycles(array.group) + fill + array.drain_latency


class CommandQueue:
    """Holds the commands that the core has, oldest first."""

    def __init__(self, transport: Transport, identity: Identity, retire: Retire, patience: int | None):
        self.registers = Registers(transport)
        self._transport = transport
        self._identity = identity
        self._retire = retire
        self._patience = patience_of(identity) if patience is None else patience
        self._pending: deque[Command] = deque()
        self._tag = 0
        self._before: Counters | None = None  # when the only command in the core was given to it
        # When the core was last seen idle: registers.acts, which tells whether it may have had commands that
        # are not in _pending since, and what it had counted.
        self._idle: tuple[int, Counters] | None = None
        self._lost: HangError | None = None
        self._take_over()

    @property
    def pending(self) -> tuple[Command, ...]:
        """Lists the commands that have not ended, as far as is known."""
        return tuple(self._pending)

    def counters(self) -> Counters:
        return Counters(**{each.name: self.registers.read(each.name.upper()) for each in fields(Counters)})

    def submit(self, operation: Operation) -> Command:
        """Gives a command to the core, as soon as it has room. Raises `CommandError` if it refuses."""
        if self._lost:
            raise self._lost
        while self._pending and self.registers.fields("STATUS")["QUEUED"] >= self._identity.queue:
            self.advance()
        self.collect()
        self._before = None if self._pending else self._counted_so_far()
        command = Command(self, operation, self._tag)
        self._tag = (self._tag + 1) % (1 << register("SUBMIT").field("TAG").width)
        for name, value in vars(operation).items():
            self.registers.write(name.upper(), value, changes=True)
        operands = {"GROUP": self._identity.array.group, "LAYOUT": LAYOUT_VERSION}
        self.registers.write_fields("OPERANDS", operands, changes=True)
        self._offer(command)
        self._pending.append(command)
        return command

    def submit_raw(self, tag: int, values: dict[str, int]) -> None:
        """Writes registers and SUBMIT, whatever they hold. Raises `RegisterError` if the core refuses."""
        self.wait_all()
        for name, value in values.items():
            self.registers.write(name, value)
        self._submit(tag)

    def collect(self) -> None:
        """Clears away the commands that have ended."""
        if not self._pending:
            return
        # First, so that what ends from now on interrupts again.
        self.registers.clear("INTERRUPT")
        is_busy = self.registers.fields("STATUS")["BUSY"]
        error, _ = self.registers.error()
        if is_busy and error < _FIRST_RUN_ERROR:
            self._retire_done()
        elif not is_busy or self._drained():
            self._settle()
        else:
            self._lose(f"{self._hang()}, after an error")

    def advance(self) -> None:
        """Waits until a command ends, and collects. Commands that hang fail with `HangError`."""
        if self._lost:
            raise self._lost
        before, count = None, len(self._pending)
        while not self._transport.wait(self._patience):
            self.collect()
            if len(self._pending) < count:
                return
            now = self._progress()
            if now == before:
                self._give_up()
                return
            before = now
        self.collect()

    def wait_all(self) -> None:
        """Waits until all commands have ended; each keeps its own failure."""
        while self._pending:
            self.advance()

    def wait_idle(self) -> None:
        """Waits until the core has nothing to do, raw commands included. Raises `HangError`."""
        self.wait_all()
        before = None
        while not self._drained():
            now = self._progress()
            if now == before:
                raise HangError(self._hang())
            before = now

    def abort(self) -> None:
        """Ends all commands, which fail; waits until the core is idle. Raises `HangError` if it is not."""
        if not self._drained(aborting=True):
            raise self._lose(f"{self._hang()}, and no abort ends it")
        self._settle()
        self.registers.clear("ERROR")

    def reset(self, pulse: Callable[[], None]) -> None:
        """Ends all commands, waits until the core's bus is quiet, calls `pulse`, takes the core over anew.

        Raises `HangError`, and does not call `pulse`, if the bus does not become quiet.
        """
        if self._lost:
            raise self._lost
        self.abort()
        pulse()
        self.registers.forget()
        self._take_over()

    def _take_over(self) -> None:
        """Begins with a core that nobody else uses."""
        self._done_count = 0
        self._idle = None
        self.registers.clear("INTERRUPT")
        self.registers.clear("INTERRUPT_ENABLE")

    def _counted_so_far(self) -> Counters:
        """Returns the counters of a core without commands; waits for raw ones, clears the error of one."""
        if self._idle and self._idle[0] == self.registers.acts:
            return self._idle[1]
        self.wait_idle()
        self.registers.clear("ERROR")
        self._done_count = self.registers.fields("DONE")["COUNT"]
        return self.counters()

    def _submit(self, tag: int) -> None:
        self.registers.write_fields("SUBMIT", {"TAG": tag})

    def _offer(self, command: Command) -> None:
        """Submits a command; once more if an earlier error stands in the way, which it clears."""
        for may_retry in (True, False):
            try:
                self._submit(command.tag)
                return
            except RegisterError:
                error, tag = self.registers.error()
                self.collect()
                if self._lost:
                    raise self._lost from None
                self.registers.clear("ERROR")
                own = tag == command.tag and error < _FIRST_RUN_ERROR
                if own or not may_retry:
                    raise CommandError(str(command.operation), error) from None

    def _settle(self) -> None:
        """Clears away all commands, and an error that ended one, of a core that is idle."""
        error, tag = self.registers.error()
        self._retire_done()
        failed = error if error >= _FIRST_RUN_ERROR else Error.NONE
        while self._pending:
            command = self._pending.popleft()
            dropped = failed is not Error.NONE and command.tag != tag
            command.fail(CommandError(str(command.operation), failed, dropped=dropped))
            self._retire(command, False)
            self._idle = None
        if failed:
            self.registers.clear("ERROR")

    def _retire_done(self) -> None:
        count = self.registers.fields("DONE")["COUNT"]
        counts = 1 << register("DONE").field("COUNT").width
        ended = (count - self._done_count) % counts
        for _ in range(min(ended, len(self._pending))):
            # An interrupt from the keyboard must leave it in the queue.
            command, counters = self._pending[0], None
            if len(self._pending) == 1:
                counted = self.counters()
                self._idle = (self.registers.acts, counted)
                counters = None if self._before is None else counted - self._before
            out = self._retire(command, True)
            assert out is not None
            command.finish(out, counters)
            self._pending.popleft()
            self._done_count = (self._done_count + 1) % counts

    def _progress(self) -> tuple[int, ...]:
        counted = self.counters()
        return (counted.beats, counted.read_bytes, counted.write_bytes, self.registers.read("DONE"))

    def _drained(self, *, aborting: bool = False) -> bool:
        """Whether the core is idle within its patience; `aborting`: made so."""
        for _ in range(_POLLS):
            if aborting:
                # Again at every poll: the first may come between two commands.
                self.registers.write_fields("CONTROL", {"ABORT": 1})
            self.registers.clear("INTERRUPT")
            if not self.registers.fields("STATUS")["BUSY"]:
                return True
            self._transport.wait(max(1, self._patience // _POLLS))
        return False

    def _hang(self) -> str:
        oldest = f" in a {self._pending[0].operation}" if self._pending else ""
        counted = self.counters()
        return (
            f"the core made no progress for {self._patience} cycles{oldest} "
            f"(beats {counted.beats}, read {counted.read_bytes}, written {counted.write_bytes} bytes)"
        )

    def _give_up(self) -> None:
        """Aborts a core that hangs. Its commands fail; if it does not end them either, it is lost."""
        failure = HangError(self._hang())
        if not self._drained(aborting=True):
            self._lose(f"{failure}, and no abort ends it")
            return
        self._retire_done()
        while self._pending:
            command = self._pending.popleft()
            command.fail(failure)
            self._retire(command, False)
        self.registers.clear("ERROR")

    def _lose(self, text: str) -> HangError:
        """Fails all commands, now and later. The core may still write to any region: none is given up."""
        self._lost = lost = HangError(f"{text}: reset it with its memory")
        while self._pending:
            self._pending.popleft().fail(lost)
        return lost
