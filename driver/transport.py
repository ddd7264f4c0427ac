"""What carries register and memory accesses to a core: a simulation, a board's bus, a PCIe link."""

from typing import Protocol

import numpy as np


class RegisterError(RuntimeError):
    """Says that a core answered a register access with an error.

    offset: of the register. response: "SLVERR" or "DECERR". writes: the access was a write.
    """

    def __init__(self, offset: int, response: str, *, writes: bool):
        self.offset = offset
        self.response = response
        self.writes = writes
        super().__init__(
            f"{'write' if writes else 'read'} of register 0x{offset:03x} was answered {response}"
        )


class Transport(Protocol):
    """Reaches one core, and the memory on its AXI4 bus: five methods and two properties.

    Addresses are those that the core sees.
    """

    @property
    def memory_base(self) -> int:
        """Returns the address of the first byte that is the driver's, a multiple of 64."""
        ...

    @property
    def memory_bytes(self) -> int:
        """Returns how many bytes from there on are the driver's."""
        ...

    def read_register(self, offset: int) -> int:
        """Returns the 32-bit register at `offset`. Raises `RegisterError`."""
        ...

    def write_register(self, offset: int, value: int) -> None:
        """Writes 32 bits. Raises `RegisterError`."""
        ...

    def read_memory(self, address: int, size: int) -> np.ndarray:
        """Returns a copy of `size` bytes, uint8."""
        ...

    def write_memory(self, address: int, data: np.ndarray) -> None:
        """Writes `data`, uint8 of one dimension; the core sees it from the next register access on."""
        ...

    def wait(self, cycles: int) -> bool:
        """Waits until the wire `irq` is high or about `cycles` of the core's clock have passed.

        Returns whether `irq` is high. Where it is not wired, polling INTERRUPT & INTERRUPT_ENABLE does.
        """
        ...
