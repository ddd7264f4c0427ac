"""The accelerator as software sees it: load weights, multiply, read counters."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..quant.matrix import QuantizedMatrix
from ..quant.operands import check_acts, check_token_scales
from ..quant.packing import memory
from ..quant.packing.memory import PackedWeights
from ..spec import layout
from ..spec.array import Config
from ..spec.core import SIZE_BITS, CoreConfig
from ..spec.errors import UserError, check_type
from .allocator import Allocator
from .command import Command, Counters, Operation
from .identity import identify
from .queue import CommandQueue
from .registers import Registers
from .transport import Transport


class LoadedWeights:
    """Stands for a matrix [k, n] in the memory of an `Accelerator`, until `free`.

    `bytes` counts both its regions.
    """

    def __init__(self, owner: "Accelerator", k: int, n: int, addresses: tuple[int, int], size: int):
        self.k = k
        self.n = n
        self.bytes = size
        self._owner = owner
        self._addresses = addresses

    @property
    def addresses(self) -> tuple[int, int]:
        """Returns the addresses of codes and of scales. Raises `UserError` once they are free."""
        if not self._addresses:
            raise UserError(f"the weights [{self.k}, {self.n}] are freed: load them anew")
        return self._addresses

    @property
    def owner(self) -> "Accelerator":
        return self._owner

    def free(self) -> None:
        """Gives their memory back, behind the commands that read them. It may be called again."""
        addresses, self._addresses = self._addresses, ()
        if addresses:
            self._owner.release(addresses)


@dataclass
class Measured:
    """Holds in `counters` what the core counted in an `Accelerator.measured` block that has ended."""

    counters: Counters = field(default_factory=Counters)


class Accelerator:
    """Drives a core behind a transport.

    Parameters
    ----------
    config: the core that must be there; None takes what its registers say (`mixpe.driver.identity`).
    patience: cycles without any progress after which a command hangs; None: more than one can need.

    Attributes: `array`, the array's configuration; `registers`, all registers by name.

    Raises `UserError` if another core, or none, is there. It takes over the core's interrupts, and memory
    from `transport.memory_base` on: a core has one `Accelerator`. Regions of operands and results that the
    hardware could not take raise `UserError` before it is touched.
    """

    def __init__(
        self, transport: Transport, config: CoreConfig | None = None, *, patience: int | None = None
    ):
        if config is not None:
            check_type("config", config, CoreConfig)
        self._transport = transport
        identity = identify(Registers(transport), config)
        last = transport.memory_base + transport.memory_bytes
        if last > 1 << identity.address_bits:
            raise UserError(
                f"memory must end at 2**{identity.address_bits}, the core's addresses, not at {last:#x}"
            )
        self.array: Config = identity.array
        self._memory = Allocator(transport.memory_base, transport.memory_bytes)
        self._regions: dict[Command, tuple[int, ...]] = {}
        self._queue = CommandQueue(transport, identity, self._retire, patience)
        self.registers: Registers = self._queue.registers
        self._last = Counters()

    # Weights

    def load_weights(self, weights: QuantizedMatrix | PackedWeights) -> LoadedWeights:
        """Puts weights in the core's memory: a quantized matrix, or one that is packed already.

        Raises `UserError` for weights that this array does not take, weights packed for another one, or if
        memory has no room.
        """
        if isinstance(weights, PackedWeights):
            packed = weights
            packed.check(self.array)
        else:
            packed = memory.pack_weights(weights, self.array)
        regions = (packed.weights, packed.scales)
        what = f"weights [{packed.k}, {packed.n}]"
        addresses = self._place([region.size for region in regions], what)
        for address, region in zip(addresses, regions, strict=True):
            self._transport.write_memory(address, region)
        return LoadedWeights(
            self, packed.k, packed.n, (addresses[0], addresses[1]), sum(r.size for r in regions)
        )

    def release(self, addresses: tuple[int, ...]) -> None:
        """Gives regions back once no command reads them."""
        self._queue.wait_all()
        for address in addresses:
            self._memory.release(address)

    @property
    def free_bytes(self) -> int:
        """Counts the bytes of memory that are free, in all pieces."""
        return self._memory.free_bytes

    # Products

    def matmul(self, a: Any, weights: LoadedWeights, t: Any = None) -> np.ndarray:
        """Returns out[M, N] of a[M, K], the weights and t[M], with the bits of `mixpe.quant.golden.mpgemm`.

        Operands and errors as there. Also raises `UserError` if memory has no room, `CommandError` if the
        core reports an error, `HangError` if it stands still. `last_counters` has what it counted.
        """
        self._queue.wait_all()
        command = self.submit(a, weights, t)
        out = command.result()
        self._last = command.counters or Counters()
        return out

    def submit(self, a: Any, weights: LoadedWeights, t: Any = None) -> Command:
        """Does as `matmul`, but waits only for room in the core's queue and in memory, not for the result."""
        a, t = self._check(a, weights, t)
        (m, k), n = a.shape, weights.n
        acts = memory.pack_acts(a, self.array)
        tokens = np.empty(0, np.uint8) if t is None else memory.pack_tokens(t)
        stride = layout.out_stride(n, self.array)
        sizes = [acts.size, m * stride, *([tokens.size] if tokens.size else [])]
        regions = self._place(sizes, f"activations and results of M = {m}, K = {k}, N = {n}")
        a_address, o_address, t_address = (*regions, 0)[:3]
        self._transport.write_memory(a_address, acts.reshape(-1))
        if tokens.size:
            self._transport.write_memory(t_address, tokens)
        w_address, s_address = weights.addresses
        operation = Operation(
            m, k, n, a_address, w_address, s_address, t_address, o_address, acts.shape[1], stride
        )
        try:
            command = self._queue.submit(operation)
        except Exception:
            for address in regions:
                self._memory.release(address)
            raise
        self._regions[command] = regions
        return command

    def wait_all(self) -> None:
        """Waits until all commands have ended; each keeps its own failure for `Command.result`."""
        self._queue.wait_all()

    def abort(self) -> None:
        """Ends all commands, which then fail, and waits until the core is idle. Raises `HangError`."""
        self._queue.abort()

    def reset(self, pulse: Callable[[], None]) -> None:
        """Resets the core alone, while its memory goes on: all commands fail, and loaded weights stay.

        `pulse` resets the core. It is called once the core's bus is quiet, as docs/core.md demands, and not
        at all if that never comes: then `HangError` is raised, and only a reset of core and memory together
        helps, with an `Accelerator` anew.
        """
        self._queue.reset(pulse)

    # Counters

    def counters(self) -> Counters:
        """Returns what the core has counted since it was reset, or `clear_counters`."""
        return self._queue.counters()

    def clear_counters(self) -> None:
        self._queue.wait_all()
        self.registers.write_fields("CONTROL", {"CLEAR_COUNTERS": 1})

    @property
    def last_counters(self) -> Counters:
        """Holds what the core counted in the last `matmul`."""
        return self._last

    @contextmanager
    def measured(self) -> Iterator[Measured]:
        """Measures what the core counts in the commands of a `with` block, which ends when they have."""
        self._queue.wait_all()
        before, measured = self._queue.counters(), Measured()
        try:
            yield measured
        except Exception:  # not an interrupt, which waits for nothing
            measured.counters = self._waited() - before
            raise
        measured.counters = self._waited() - before

    def _waited(self) -> Counters:
        self._queue.wait_all()
        return self._queue.counters()

    # For tests of the hardware

    def submit_raw(self, tag: int = 0, **values: int) -> None:
        """Writes registers by their names in lower case (m=0, ...), then SUBMIT, and checks nothing.

        Registers not named keep what they hold. Raises `RegisterError` if the core refuses, and
        `registers.error()` then tells why, until the next command. `wait_idle` waits for its end.
        """
        self._queue.submit_raw(tag, {name.upper(): value for name, value in values.items()})

    def wait_idle(self) -> None:
        """Waits until the core has nothing to do, commands of `submit_raw` included. Raises `HangError`."""
        self._queue.wait_idle()

    # Inside

    def _check(self, a: Any, weights: LoadedWeights, t: Any) -> tuple[np.ndarray, np.ndarray | None]:
        if not isinstance(weights, LoadedWeights):
            raise UserError(f"weights must be what load_weights returned, not {type(weights).__name__}")
        if weights.owner is not self:
            raise UserError("weights must be loaded in this accelerator, not in another")
        _ = weights.addresses
        a, t = check_acts(a, self.array), check_token_scales(t, self.array)
        if a.shape[1] != weights.k:
            raise UserError(
                f"a must have K = {weights.k} columns, as the weights have rows, not shape {a.shape}"
            )
        if a.shape[0] >= 1 << SIZE_BITS:
            raise UserError(f"a must have at most {(1 << SIZE_BITS) - 1} rows, not {a.shape[0]}")
        if t is not None and t.shape != a.shape[:1]:
            raise UserError(f"t must have shape [M] = ({a.shape[0]},), not {t.shape}")
        return a, t

    def _place(self, sizes: list[int], what: str) -> tuple[int, ...]:
        """Returns addresses of new regions; waits for commands to give up theirs where there is no room."""
        while True:
            try:
                return self._memory.allocate(sizes, what)
            except UserError:
                if not self._queue.pending:
                    raise
                self._queue.advance()

    def _retire(self, command: Command, done: bool) -> np.ndarray | None:
        out = None
        if done:
            operation = command.operation
            size = operation.m * operation.o_stride
            data = self._transport.read_memory(operation.o_address, size).reshape(operation.m, -1)
            out = memory.unpack_results(data, operation.n, self.array)
        for address in self._regions.pop(command, ()):
            self._memory.release(address)
        return out
