"""A core in the fast simulation with what its benches share: products in its memory, and software's part."""

from dataclasses import dataclass

import numpy as np

from mixpe.quant.golden import mpgemm
from mixpe.quant.packing import memory
from mixpe.quant.samples import random_operands
from mixpe.sim.cocotb.core_products import Command, Products
from mixpe.sim.fast import Access, SimulatedCore, writing
from mixpe.spec import layout
from mixpe.spec.core import CoreConfig
from mixpe.spec.registers import WORD_BITS, register

OKAY, SLVERR = 0, 2
ALL = (1 << WORD_BITS) - 1
MEMORY_BYTES = 1 << 20


@dataclass(frozen=True)
class Design:
    """What is tried: a core of `config`, whose Verilog may be another, with an argument for it."""

    config: CoreConfig
    verilog: str | None = None
    argument: str | None = None

    def core(self, **options) -> SimulatedCore:
        return SimulatedCore(self.config, verilog=self.verilog, argument=self.argument, **options)


def offset(name: str, word: int = 0) -> int:
    return register(name).offset + 4 * word


def _words(name: str, value: int) -> list[Access]:
    each = register(name)
    return [writing(offset(name, i), value >> WORD_BITS * i & ALL) for i in range(each.words)]


def made(core: SimulatedCore, access: Access) -> tuple[int, int]:
    """Makes one access; returns the response and what was read."""
    done = core.access_registers([access])[0]
    return done.response, done.value


def fields(core: SimulatedCore, name: str) -> dict[str, int]:
    return register(name).unpack(core.read_register(offset(name)))


class Bench:
    """A core with products in its memory, and what software does with them."""

    def __init__(
        self,
        design: Design,
        rng: np.random.Generator,
        size: int = MEMORY_BYTES,
        base: int | None = None,
        **options,
    ):
        config = design.config
        if base is None:
            top = (1 << config.address_bits) // size
            base = size * (0, top - 1, int(rng.integers(0, top, dtype=np.uint64)))[rng.integers(0, 3)]
        self.base = base
        self.core = design.core(memory_bytes=size, memory_base=self.base, **options)
        self.config, self.array, self.rng = config, config.array, rng
        self._products: Products | None = None

    @property
    def products(self) -> Products:
        """Products in the first part of memory, which is noise before."""
        if self._products is None:
            self._products = Products(self.config, self.rng, self.core.memory[:MEMORY_BYTES], self.base)
        return self._products

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_: object) -> None:
        self.core.close()

    def read(self, name: str) -> int:
        """Reads a register; of one of 64 bits both halves."""
        words = [self.core.read_register(offset(name, i)) for i in range(register(name).words)]
        return sum(word << WORD_BITS * i for i, word in enumerate(words))

    def write(self, name: str, value: int, strobes: int = 15) -> int:
        """Writes a register of 32 bits; returns the response."""
        return made(self.core, writing(offset(name), value, strobes))[0]

    def submit(self, values: dict[str, int], tag: int) -> int:
        """Writes all registers of a command, overlapping; returns how SUBMIT is answered."""
        batch = [access for name, value in values.items() for access in _words(name, value)]
        *rest, last = self.core.access_registers([*batch, writing(offset("SUBMIT"), tag)])
        assert not any(access.response for access in rest)
        return last.response

    def run(self, command: Command, tag: int = 1) -> int:
        """Runs a command to its end. Returns the cycles from the answer to SUBMIT to the interrupt."""
        self.write("INTERRUPT_ENABLE", register("INTERRUPT_ENABLE").pack(DONE=1, ERROR=1))
        self.write("INTERRUPT", ALL)
        done = fields(self.core, "DONE")["COUNT"]
        assert self.submit(command.registers, tag) == OKAY, f"{command.shape} is refused"
        began = self.core.cycles
        assert self.core.wait(200_000), f"{command.shape} does not end"
        took = self.core.cycles - began
        assert self.read("ERROR") == 0
        assert fields(self.core, "DONE") == {"COUNT": done + 1 & 0xFFFF, "TAG": tag}
        assert fields(self.core, "INTERRUPT") == {"DONE": 1, "ERROR": 0}
        assert self.read("STATUS") == 0
        return took


class Placed:
    """A small product whose regions lie where a test wants them, in the memory of a `Bench`."""

    def __init__(self, bench: Bench, m: int, k: int, n: int):
        array = bench.array
        self.bench, self.m = bench, m
        a, weights, t = random_operands(bench.rng, m, k, n, array)
        packed = memory.pack_weights(weights, array)
        self.acts = memory.pack_acts(a, array)
        out = memory.pack_results(mpgemm(a, weights, t=t, config=array), array)
        self.out = out[:, : layout.out_row_bytes(n, array)]
        self.fixed = {"W": packed.weights, "S": packed.scales}
        if array.row_members:
            self.fixed["T"] = memory.pack_tokens(t)
        self.values = {"M": m, "K": k, "N": n}
        self.values["OPERANDS"] = register("OPERANDS").pack(GROUP=array.group, LAYOUT=layout.LAYOUT_VERSION)

    def sizes(self) -> dict[str, int]:
        """Returns the bytes of each region, where rows lie behind one another."""
        m, k, n = (self.values[name] for name in "MKN")
        o_stride = layout.out_stride(n, self.bench.array)
        return layout.region_bytes(m, k, n, self.acts.shape[1], o_stride, self.bench.array)

    def run(self, places: dict[str, int], a_stride: int, o_stride: int, tag: int = 1) -> None:
        """Runs it, with regions at `places` from the memory's first byte on, and checks the results."""
        data = self.bench.core.memory
        for letter, region in self.fixed.items():
            data[places[letter] :][: region.size] = region
        for row, octets in enumerate(self.acts):
            data[places["A"] + row * a_stride :][: octets.size] = octets
        found = [data[places["O"] + row * o_stride :][: self.out.shape[1]] for row in range(self.m)]
        for row in found:
            row[:] = self.bench.rng.integers(0, 256, row.size)
        values = {f"{letter}_ADDRESS": self.bench.base + place for letter, place in places.items()}
        values |= self.values | {"A_STRIDE": a_stride, "O_STRIDE": o_stride}
        self.bench.run(Command(values, self.out, self.out), tag)
        for row, (is_there, right) in enumerate(zip(found, self.out, strict=True)):
            assert (is_there == right).all(), f"row {row}, strides {a_stride:#x}, {o_stride:#x}"
