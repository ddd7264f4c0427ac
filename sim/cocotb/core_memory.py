"""The memory port of an accelerator core under test: a strict memory behind it, and an eye on it.

The environment variable MIXPE_CORE holds the configuration's fields as JSON (the array's under `array`).
"""

import json
import os

import numpy as np
from cocotb.triggers import RisingEdge

from ...spec import layout
from ...spec.array import Config
from ...spec.core import CoreConfig
from .core_products import Products

FIELDS = json.loads(os.environ["MIXPE_CORE"])
CONFIG = CoreConfig(**FIELDS | {"array": Config(**FIELDS["array"])})
ARRAY = CONFIG.array

MEMORY_BYTES = 1 << 20
_PAGE = 4096


class Memory(Products):
    """Holds products in a memory that answers SLVERR to every access outside their regions.

    `bad`: addresses at which accesses fail too. `strays`: the accesses that no command should make. `far`:
    if not 0, what the strides of commands have more than their rows are apart.
    """

    def __init__(self, rng: np.random.Generator):
        spaces = (1 << CONFIG.address_bits) // MEMORY_BYTES
        # Also at both ends of all addresses.
        places = (0, spaces - 1, int(rng.integers(0, spaces, dtype=np.uint64)))
        self.far = 0
        self.bad = range(0)
        self.strays: list[str] = []
        super().__init__(
            CONFIG, rng, np.empty(MEMORY_BYTES, np.uint8), MEMORY_BYTES * places[rng.integers(0, 3)]
        )

    def check(self) -> None:
        """Checks the results as `Products.check` does; nor may there be strays."""
        assert not self.strays, f"{self.strays[0]} is outside the regions of all commands"
        super().check()

    def _place(self, what: str, address: int, size: int, allowed: np.ndarray) -> slice:
        first = (address - self.base) % self.far if self.far else address - self.base
        inside = 0 <= first <= MEMORY_BYTES - size
        if not inside or not allowed[first // layout.ALIGNMENT]:
            self.strays.append(f"a {what} of {size} bytes at {address:#x}")
            raise ValueError(self.strays[-1])
        if address < self.bad.stop and address + size > self.bad.start:
            raise ValueError("bad memory")
        return slice(first, first + size)

    # As cocotbext-axi calls a slave's target.

    async def read(self, address: int, size: int) -> bytes:
        return self.data[self._place("read", address, size, self.readable)].tobytes()

    async def write(self, address: int, octets: bytes) -> None:
        place = self._place("write", address, len(octets), self.writable)
        self.data[place] = np.frombuffer(octets, np.uint8)


class Watch:
    """Holds the core's memory port to the rules of AXI4 and of docs/core.md, and counts what it moves."""

    def __init__(self, dut):
        self.dut = dut
        self.moved = 0
        """Words and requests so far."""
        self.read_words = self.written_bytes = 0
        self.under_way = {"ar": 0, "aw": 0}
        """Bursts without their last word, or answer."""
        self._held: dict[str, tuple[int, ...]] = {}

    @property
    def quiet(self) -> bool:
        """Whether nothing is under way, nor offered."""
        return not self._held and not any(self.under_way.values())

    async def run(self) -> None:
        dut, held = self.dut, self._held
        payloads = {"ar": ("addr", "len"), "aw": ("addr", "len"), "w": ("data", "strb", "last")}
        while True:
            await RisingEdge(dut.clk)
            if int(dut.rst.value):
                held.clear()
                self.under_way = dict.fromkeys(self.under_way, 0)
                continue
            for channel, names in payloads.items():
                valid = int(getattr(dut, f"m_axi_{channel}valid").value)
                if not valid:
                    assert channel not in held, f"{channel}valid fell before {channel}ready"
                    continue
                ready = int(getattr(dut, f"m_axi_{channel}ready").value)
                if channel not in held and ready and channel == "w":
                    self.moved += 1
                    self.written_bytes += int(dut.m_axi_wstrb.value).bit_count()
                    continue
                offered = tuple(int(getattr(dut, f"m_axi_{channel}{name}").value) for name in names)
                assert held.get(channel, offered) == offered, f"{channel} changed before {channel}ready"
                if not ready:
                    held[channel] = offered
                    continue
                held.pop(channel, None)
                self.moved += 1
                if channel == "w":
                    self.written_bytes += offered[1].bit_count()
                else:
                    self._burst(channel, *offered)
            if int(dut.m_axi_rvalid.value):
                assert int(dut.m_axi_rready.value), "data is held up"
                self.moved += 1
                self.read_words += 1
                self.under_way["ar"] -= int(dut.m_axi_rlast.value)
            self.under_way["aw"] -= int(dut.m_axi_bvalid.value)  # bready is always high

    def _burst(self, channel: str, address: int, more: int) -> None:
        size = (more + 1) * CONFIG.word_bytes
        limit = CONFIG.burst * CONFIG.word_bytes if channel == "ar" else _PAGE
        self.under_way[channel] += 1
        assert self.under_way[channel] <= CONFIG.outstanding, f"too many bursts of {channel}"
        assert address % CONFIG.word_bytes == 0, f"{channel}addr {address:#x} is no word's"
        assert address % limit + size <= limit, f"{channel} of {size} bytes at {address:#x} crosses {limit}"
