"""A core compiled by Verilator, as the driver's transport."""

import ctypes
import weakref
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from time import monotonic

import numpy as np

from ..driver.transport import RegisterError
from ..spec.core import CoreConfig
from ..spec.errors import UserError, check_type
from ..spec.layout import ALIGNMENT
from ..support.memory import require_memory
from .build import core_library, verilog_library

_FAILED = -1
_RESPONSES = {2: "SLVERR", 3: "DECERR"}
_FIRST_CYCLES = 1 << 8
_CALL_SECONDS = 0.05
"""Bounds one call of the library, about: an interrupt from the keyboard is met between two. How many cycles a
call runs follows from how long the last one took, and changes nothing in the simulation."""


class SimulationError(RuntimeError):
    """Says that the core broke a rule of its bus, or answered no register access, and when."""


class _Options(ctypes.Structure):
    """Holds the options as bus.h declares them."""

    _fields_ = (
        ("base", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("seed", ctypes.c_uint64),
        ("bytes_per_cycle", ctypes.c_double),
        ("back_pressure", ctypes.c_double),
        ("read_latency", ctypes.c_uint32),
        ("write_latency", ctypes.c_uint32),
        ("requests", ctypes.c_uint32),
        ("patient", ctypes.c_uint32),
        ("argument", ctypes.c_char_p),
    )


class Access(ctypes.Structure):
    """Stands for one access of a register, as registers.h declares it.

    offset: of the register. value: to write, or what was read. strobes: of the bytes to write. writes: it is
    a write. response: what answered it, 0 for OKAY, 2 for SLVERR, 3 for DECERR.
    """

    _fields_ = (
        ("offset", ctypes.c_uint32),
        ("value", ctypes.c_uint32),
        ("strobes", ctypes.c_uint32),
        ("writes", ctypes.c_uint32),
        ("response", ctypes.c_uint32),
    )


def reading(offset: int) -> Access:
    return Access(offset)


def writing(offset: int, value: int, strobes: int = 15) -> Access:
    return Access(offset, value, strobes, 1)


class SimulatedCore:
    """Simulates a core with memory on its bus: a `mixpe.driver.transport.Transport` and context manager.

    Time passes only in register accesses and `wait`. The core is reset at first.

    Parameters
    ----------
    memory_bytes, memory_base: size of the memory and address of its first byte, multiples of 64. Other
        addresses are answered DECERR.
    latency: cycles from a read request taken to its first word at the earliest; words come in the order of
        requests.
    write_latency: cycles from a burst's last word taken to its answer. Memory holds the burst from then on.
    bytes_per_cycle: of reads and writes together; None: a word each way in every cycle.
    requests: reads, and writes, that the memory takes before it has answered the first.
    back_pressure: chance, below 1, of every ready and every new valid of the memory to be low in a cycle,
        drawn from `seed`; where it is not 0, register accesses wait at random too.
    patient: every ready of the memory is low until its valid is high, as AXI allows.
    trace: a VCD file to write all signals to, up to `close`.
    verilog: of a module `config.name` with a core's ports, in place of the core that `config` describes.
    argument: an argument such as "+name=1", which the Verilog may read by $value$plusargs. With one, no
        assertion of the Verilog ends the simulation.

    Attributes: `config`; `memory`, the memory's bytes, uint8, not a copy.

    Raises `UserError` that names the parameter, its value and what is allowed, or a program that is missing;
    `BuildError` (`mixpe.sim.build`) where `verilog` does not compile. All methods raise `SimulationError`
    from the cycle on in which the core breaks a rule of AXI, up to the next `reset`.
    """

    def __init__(
        self,
        config: CoreConfig,
        *,
        memory_bytes: int = 1 << 26,
        memory_base: int = 0,
        latency: int = 40,
        write_latency: int = 20,
        bytes_per_cycle: float | None = None,
        requests: int = 16,
        back_pressure: float = 0.0,
        patient: bool = False,
        seed: int = 0,
        trace: Path | None = None,
        verilog: str | None = None,
        argument: str | None = None,
    ):
        check_type("config", config, CoreConfig)
        if config.bus != "axi":
            raise UserError(f"bus must be axi for a simulated core, not {config.bus}")
        for name, value in (("memory_bytes", memory_bytes), ("memory_base", memory_base)):
            if value < 0 or value % ALIGNMENT or (name == "memory_bytes" and not value):
                raise UserError(f"{name} must be a multiple of {ALIGNMENT}, not {value}")
        if (last := memory_base + memory_bytes) > 1 << config.address_bits:
            raise UserError(
                f"memory must end at 2**{config.address_bits}, the core's addresses, not at {last:#x}"
            )
        for name, value in (("latency", latency), ("write_latency", write_latency), ("requests", requests)):
            if not 1 <= value < 1 << 32:
                raise UserError(f"{name} must be at least 1, not {value}")
        if bytes_per_cycle is not None and not bytes_per_cycle > 0:
            raise UserError(f"bytes_per_cycle must be above 0, or None, not {bytes_per_cycle}")
        if not 0 <= back_pressure < 1:
            raise UserError(f"back_pressure must be at least 0 and below 1, not {back_pressure}")
        require_memory(memory_bytes, f"the memory of {config.name}")
        self.config = config
        self.memory = np.zeros(memory_bytes, np.uint8)
        self._call_cycles = _FIRST_CYCLES
        self._base = memory_base
        if verilog is None:
            path = core_library(config, trace=trace is not None)
        else:
            path = verilog_library(verilog, config.name, trace=trace is not None)
        self._library = _load(path)
        options = _Options(
            memory_base,
            memory_bytes,
            seed % (1 << 64),
            bytes_per_cycle or 0.0,
            back_pressure,
            latency,
            write_latency,
            requests,
            patient,
            argument.encode() if argument else None,
        )
        model = self._library.mixpe_create(self.memory.ctypes.data, ctypes.byref(options))
        if not model:
            raise SimulationError(f"{config.name} does not start")
        self._model = model
        # The memory lives until the model, which writes to it, is gone.
        self._close = weakref.finalize(self, _destroy, self._library, model, self.memory)
        if trace is not None:
            self._check(self._library.mixpe_open_trace(model, str(trace).encode()))
        self.reset()

    def __enter__(self) -> "SimulatedCore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the simulation; only `memory` may be used after it. It may be called again."""
        self._close()

    # Transport

    @property
    def memory_base(self) -> int:
        return self._base

    @property
    def memory_bytes(self) -> int:
        return self.memory.size

    def read_register(self, offset: int) -> int:
        return self._access(reading(offset))

    def write_register(self, offset: int, value: int) -> None:
        self._access(writing(offset, value))

    def read_memory(self, address: int, size: int) -> np.ndarray:
        return self._slice(address, size).copy()

    def write_memory(self, address: int, data: np.ndarray) -> None:
        self._slice(address, data.size)[:] = data

    def wait(self, cycles: int) -> bool:
        return self._run(cycles, until_irq=True)

    # What only a simulation can

    @property
    def cycles(self) -> int:
        """Counts the clock's cycles since the simulation began."""
        return self._library.mixpe_cycles(self._alive())

    @property
    def bytes_read(self) -> int:
        """Counts the bytes of the whole words that the core took since the simulation began."""
        return self._library.mixpe_read_bytes(self._alive())

    @property
    def bytes_written(self) -> int:
        """Counts the strobed bytes that memory answered since the simulation began."""
        return self._library.mixpe_write_bytes(self._alive())

    def access_registers(self, accesses: Sequence[Access]) -> list[Access]:
        """Makes several accesses, each offered before the one before it is answered, reads beside writes.

        Returns them with their answers. Reads stay in order, and so do writes.
        """
        made = (Access * len(accesses))(*accesses)
        self._check(self._library.mixpe_access_registers(self._alive(), made, len(made)))
        return list(made)

    def run(self, cycles: int) -> bool:
        """Lets `cycles` pass, whatever `irq` does. Returns whether it is high."""
        return self._run(cycles, until_irq=False)

    def reset(self) -> None:
        """Resets the core and drops what is under way on its bus; memory and `inject` stay."""
        self._check(self._library.mixpe_reset(self._alive()))

    def reset_alone(self) -> None:
        """Resets the core while memory goes on with what is under way, and answers it."""
        self._check(self._library.mixpe_reset_alone(self._alive()))

    def inject(self, address: int, size: int, response: str) -> None:
        """Answers `response`, "SLVERR" or "DECERR", to words that touch these bytes; none is written."""
        codes = {name: code for code, name in _RESPONSES.items()}
        if response not in codes:
            raise UserError(f"response must be one of {', '.join(codes)}, not {response!r}")
        self._library.mixpe_add_fault(self._alive(), address, size, codes[response])

    def clear_injected(self) -> None:
        """Ends all of `inject`."""
        self._library.mixpe_clear_faults(self._alive())

    def _run(self, cycles: int, *, until_irq: bool) -> bool:
        while True:
            step, begin = min(cycles, self._call_cycles), monotonic()
            irq = bool(self._check(self._library.mixpe_run(self._alive(), step, until_irq)))
            cycles -= step
            if cycles <= 0 or (until_irq and irq):
                return irq
            took = monotonic() - begin
            # At most twice as many at a time: the last call may have been a lucky one.
            self._call_cycles = max(1, min(2 * step, int(step * _CALL_SECONDS / max(took, 1e-6))))

    def _access(self, access: Access) -> int:
        self._check(self._library.mixpe_access_registers(self._alive(), ctypes.byref(access), 1))
        if access.response in _RESPONSES:
            raise RegisterError(access.offset, _RESPONSES[access.response], writes=bool(access.writes))
        return access.value

    def _alive(self) -> int:
        if not self._close.alive:
            raise SimulationError(f"the simulation of {self.config.name} is closed")
        return self._model

    def _check(self, result: int) -> int:
        if result == _FAILED:
            text = self._library.mixpe_error(self._alive()).decode()
            raise SimulationError(f"{self.config.name}: {text}")
        return result

    def _slice(self, address: int, size: int) -> np.ndarray:
        first = address - self._base
        if first < 0 or size < 0 or first + size > self.memory.size:
            raise UserError(
                f"memory must hold {size} bytes at {address:#x}, and has {self.memory.size} from "
                f"{self._base:#x} on"
            )
        return self.memory[first : first + size]


@lru_cache
def _load(path: Path) -> ctypes.CDLL:
    """Loads the library and types its functions. Calls let other threads run."""
    library = ctypes.CDLL(str(path))
    model = ctypes.c_void_p
    types = {
        "create": (model, [ctypes.c_void_p, ctypes.POINTER(_Options)]),
        "destroy": (None, [model]),
        "error": (ctypes.c_char_p, [model]),
        "reset": (ctypes.c_int, [model]),
        "reset_alone": (ctypes.c_int, [model]),
        "run": (ctypes.c_int, [model, ctypes.c_uint64, ctypes.c_int]),
        "access_registers": (ctypes.c_int, [model, ctypes.POINTER(Access), ctypes.c_uint64]),
        "add_fault": (None, [model, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int]),
        "clear_faults": (None, [model]),
        "cycles": (ctypes.c_uint64, [model]),
        "read_bytes": (ctypes.c_uint64, [model]),
        "write_bytes": (ctypes.c_uint64, [model]),
        "open_trace": (ctypes.c_int, [model, ctypes.c_char_p]),
    }
    for name, (result, arguments) in types.items():
        function = getattr(library, f"mixpe_{name}")
        function.restype, function.argtypes = result, arguments
    return library


def _destroy(library: ctypes.CDLL, model: int, _memory: np.ndarray) -> None:
    library.mixpe_destroy(model)
