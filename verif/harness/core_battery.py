"""Everything that software can see of a core, in the fast simulation: registers, refusals, far rows, cycles.

`Soak` adds random commands. What takes a core apart is in no order that hides something: each part begins
with a core of its own, in a memory of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mixpe.quant.golden import mpgemm
from mixpe.quant.packing import memory
from mixpe.quant.samples import random_operands
from mixpe.sim.cocotb.core_products import Command, Products
from mixpe.sim.fast import Access, SimulatedCore, reading, writing
from mixpe.spec import cycles as traffic
from mixpe.spec import layout
from mixpe.spec.core import SIZE_BITS, CoreConfig
from mixpe.spec.registers import (
    ADDRESS_BITS,
    REGISTERS,
    TAG_BITS,
    WORD_BITS,
    Error,
    Register,
    constants,
    register,
)
from verif.harness.core_soak import Soak

_OKAY, _SLVERR = 0, 2
_ALL = (1 << WORD_BITS) - 1
_PLACES = {each.offset + 4 * word: (each, word) for each in REGISTERS for word in range(each.words)}
_WRITES = [place for place, (each, _) in _PLACES.items() if each.access == "read/write"]
_FIXED = [place for place, (each, _) in _PLACES.items() if each.access == "constant"]
_ALIGNED = (layout.ALIGNMENT - 1).bit_length()
_FAR_BYTES = 1 << 20


@dataclass(frozen=True)
class Design:
    """What is tried: a core's configuration, and its Verilog with an argument if it is not that of `config`."""

    config: CoreConfig
    verilog: str | None = None
    argument: str | None = None

    def core(self, **options) -> SimulatedCore:
        return SimulatedCore(self.config, verilog=self.verilog, argument=self.argument, **options)


def battery(design: Design, seed: int, commands: int) -> Iterator[str]:
    """Tries everything; yields the name of each part that is passed.

    commands: random ones to run. Raises whatever tells that the core is wrong.
    """
    for part in (registers, interrupts, refusals, counters, products, far_rows):
        part(design, np.random.default_rng([seed, len(part.__name__)]))
        yield part.__name__
    for round_ in range(-(-commands // _PER_MEMORY)):
        soak = Soak(
            design.config, np.random.default_rng([seed, round_]), design.verilog, argument=design.argument
        )
        try:
            left = min(_PER_MEMORY, commands - round_ * _PER_MEMORY)
            while left:
                left -= soak.batch(left)
        finally:
            soak.close()
        yield f"soak {round_}"


_PER_MEMORY = 15


def _offset(name: str, word: int = 0) -> int:
    return register(name).offset + 4 * word


def _words(name: str, value: int) -> list[Access]:
    each = register(name)
    return [writing(_offset(name, i), value >> WORD_BITS * i & _ALL) for i in range(each.words)]


def _one(core: SimulatedCore, access: Access) -> tuple[int, int]:
    """Makes one access; returns the response and what was read."""
    done = core.access_registers([access])[0]
    return done.response, done.value


def _fields(core: SimulatedCore, name: str) -> dict[str, int]:
    return register(name).unpack(core.read_register(_offset(name)))


def _mask(each: Register, word: int) -> int:
    """Ones in the bits of a word of a register that hold something."""
    bits = sum(part.mask for part in each.parts)
    return bits >> WORD_BITS * word & _ALL


# Registers


def registers(design: Design, rng: np.random.Generator) -> None:
    """Values after reset, every bit of what holds something, strobes, places without registers; accesses that
    overlap, with and without waits."""
    for pressure in (0.0, 0.0, 0.5):
        with design.core(memory_bytes=1 << 12, back_pressure=pressure, seed=int(rng.integers(1 << 30))) as core:
            fixed, held = constants(design.config), dict.fromkeys(_WRITES, 0)
            for place, (each, word) in _PLACES.items():
                expected = fixed.get(each.name, 0) >> WORD_BITS * word & _ALL
                assert _one(core, reading(place)) == (_OKAY, expected), f"{each.name} after reset"
            for _ in range(30):
                _overlapping(core, rng, fixed, held)
            if not pressure:
                _without_waits(core, fixed)
            everything = [*held]
            rng.shuffle(everything)
            for access in core.access_registers([reading(place) for place in everything]):
                assert (access.response, access.value) == (_OKAY, held[access.offset])
            for name in ("STATUS", "DONE", "ERROR", "INTERRUPT", "CYCLES", "READ_BYTES", "WRITE_BYTES"):
                assert core.read_register(_offset(name)) == 0, f"{name} of a core that did nothing"


def _overlapping(core: SimulatedCore, rng, fixed, held: dict[int, int]) -> None:
    """Writes here, reads there; `held`: what registers hold that software may write."""
    batch = []
    touched = {int(place) for place in rng.choice(_WRITES, 4, replace=False)}
    free = [place for place in range(0, 1 << ADDRESS_BITS, 4) if place not in _PLACES]
    for _ in range(int(rng.integers(1, 9))):
        value, low = int(rng.integers(0, 1 << WORD_BITS)), int(rng.integers(0, 4))
        kind = rng.integers(0, 8)
        if kind < 4:
            place, strobes = int(rng.choice([*touched])), int(rng.choice([15, rng.integers(0, 16)]))
            each, word = _PLACES[place]
            lanes = sum(0xFF << 8 * byte for byte in range(4) if strobes >> byte & 1)
            lanes &= _mask(each, word)
            held[place] = held[place] & ~lanes | value & lanes
            batch.append((writing(place + low, value, strobes), _OKAY, value))
        elif kind < 5:
            barred = [p for p, (each, _) in _PLACES.items() if not each.access.writable]
            place = int(rng.choice([*free, *barred]))
            batch.append((writing(place + low, value), _SLVERR, value))
        elif kind < 6:
            place = int(rng.choice(free))
            batch.append((reading(place + low), _SLVERR, None))
        elif kind < 7:
            place = int(rng.choice(_FIXED))
            batch.append((reading(place + low), _OKAY, fixed[_PLACES[place][0].name]))
        else:
            place = int(rng.choice([place for place in _WRITES if place not in touched]))
            batch.append((reading(place + low), _OKAY, held[place]))
    done = core.access_registers([access for access, _, _ in batch])
    for access, (_, response, value) in zip(done, batch, strict=True):
        assert access.response == response, f"{access.offset:#x} is answered {access.response}"
        assert value is None or access.value == value, f"{access.offset:#x} shows {access.value:#x}"


def _without_waits(core: SimulatedCore, fixed) -> None:
    """Nothing waits: an access each way every other cycle."""
    reads = [reading(place) for place in _FIXED * 4]
    writes = [writing(place, 0) for place in free_places()[: len(reads)]]
    for batch in (reads, writes, [*reads, *writes]):
        began = core.cycles
        for access in core.access_registers(batch):
            name = "" if access.writes else _PLACES[access.offset][0].name
            expected = (_SLVERR, access.value) if access.writes else (_OKAY, fixed[name])
            assert (access.response, access.value) == expected
        took = core.cycles - began
        assert took <= 2 * len(reads) + 2, f"{len(reads)} accesses took {took} cycles"


def free_places() -> list[int]:
    """Returns the addresses of words that no register has."""
    return [place for place in range(0, 1 << ADDRESS_BITS, 4) if place not in _PLACES]


# Commands


class Bench:
    """A core with products in its memory, and what software does with them."""

    def __init__(self, design: Design, rng: np.random.Generator, size: int = _FAR_BYTES, **options):
        config = design.config
        top = (1 << config.address_bits) // size
        self.base = size * int(rng.choice([0, top - 1, rng.integers(0, top, dtype=np.uint64)]))
        self.core = design.core(memory_bytes=size, memory_base=self.base, **options)
        self.config, self.array, self.rng = config, config.array, rng
        self.products = Products(config, rng, self.core.memory[:_FAR_BYTES], self.base)

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_: object) -> None:
        self.core.close()

    def read(self, name: str) -> int:
        """Reads a register; of one of 64 bits both halves."""
        words = [self.core.read_register(_offset(name, i)) for i in range(register(name).words)]
        return sum(word << WORD_BITS * i for i, word in enumerate(words))

    def write(self, name: str, value: int, strobes: int = 15) -> int:
        """Writes a register of 32 bits; returns the response."""
        return _one(self.core, writing(_offset(name), value, strobes))[0]

    def submit(self, values: dict[str, int], tag: int) -> int:
        """Writes all registers of a command, overlapping; returns how SUBMIT is answered."""
        batch = [access for name, value in values.items() for access in _words(name, value)]
        *rest, last = self.core.access_registers([*batch, writing(_offset("SUBMIT"), tag)])
        assert not any(access.response for access in rest)
        return last.response

    def run(self, command: Command, tag: int = 1) -> int:
        """Runs a command to its end. Returns the cycles from the answer to SUBMIT to the interrupt."""
        self.write("INTERRUPT_ENABLE", register("INTERRUPT_ENABLE").pack(DONE=1, ERROR=1))
        self.write("INTERRUPT", _ALL)
        done = _fields(self.core, "DONE")["COUNT"]
        assert self.submit(command.registers, tag) == _OKAY, f"{command.shape} is refused"
        began = self.core.cycles
        assert self.core.wait(200_000), f"{command.shape} does not end"
        took = self.core.cycles - began
        assert self.read("ERROR") == 0
        assert _fields(self.core, "DONE") == {"COUNT": done + 1 & 0xFFFF, "TAG": tag}
        assert _fields(self.core, "INTERRUPT") == {"DONE": 1, "ERROR": 0}
        assert self.read("STATUS") == 0
        return took


def interrupts(design: Design, rng: np.random.Generator) -> None:
    """Each cause, enabled or not; each way to clear it; tags with every bit; strobes of registers that act."""
    with Bench(design, rng, latency=3) as bench:
        core, array = bench.core, bench.array
        command = bench.products.product(1, 1, 1)
        for bit in range(TAG_BITS):
            assert bench.submit(command.registers, 1 << bit) == _OKAY
            core.run(1000 + array.run_cycles(1))
            assert _fields(core, "DONE") == {"COUNT": bit + 1, "TAG": 1 << bit}
        assert not core.run(1), "no cause is enabled"
        bad = command.registers | {"M": 0}
        for code, tag_bit in enumerate(range(TAG_BITS)):
            for enabled in range(4):
                bench.write("INTERRUPT_ENABLE", enabled)
                causes = _fields(core, "INTERRUPT")["DONE"] | 2 * bool(code or enabled)
                assert bench.read("INTERRUPT") == causes
                assert core.run(1) == bool(causes & enabled)
                if not enabled:
                    assert bench.submit(bad, 1 << tag_bit) == _SLVERR
            assert _fields(core, "ERROR") == {"CODE": Error.ZERO_SIZE, "TAG": 1 << tag_bit}
            for strobes in (0b0000, 0b1010 if tag_bit % 2 else 0b0010):
                bench.write("ERROR", 0x0000FF00, strobes)
                bench.write("INTERRUPT", _ALL, strobes & 0b1110)
                bench.write("CONTROL", _ALL, strobes & 0b1110)
                bench.write("INTERRUPT_ENABLE", 0, strobes & 0b1110)
                assert bench.write("SUBMIT", 1, strobes & 0b1100) == _OKAY
            assert _fields(core, "ERROR") == {"CODE": Error.ZERO_SIZE, "TAG": 1 << tag_bit}
            assert bench.read("INTERRUPT_ENABLE") == 3
            assert bench.read("INTERRUPT") & 2
            part = register("ERROR").field("CODE" if tag_bit % 2 else "TAG")
            assert bench.write("ERROR", 1 << part.lsb + tag_bit % part.width) == _OKAY
            assert bench.read("ERROR") == 0
        assert bench.write("INTERRUPT", 1) == _OKAY
        assert bench.read("INTERRUPT") == 2
        bench.write("INTERRUPT_ENABLE", 1)
        assert not core.run(1)
        bench.write("INTERRUPT", 2)
        assert bench.read("INTERRUPT") == 0
        bench.run(command)
        bench.products.check()


def refusals(design: Design, rng: np.random.Generator) -> None:
    """Every bit that makes a command illegal does, has its code, and leaves memory and the core alone."""
    with Bench(design, rng, latency=3) as bench:
        good = bench.products.product(2, bench.array.group, bench.array.cols)
        moved = bench.core.bytes_read
        for tag, (error, changes) in enumerate(_mistakes(bench, good.registers)):
            assert bench.submit(good.registers | changes, tag) == _SLVERR, f"{changes} is not refused"
            assert _fields(bench.core, "ERROR") == {"CODE": error, "TAG": tag}, f"{changes}"
            assert _fields(bench.core, "STATUS") == {"BUSY": 0, "QUEUED": 0}
            if not tag % 8:
                assert bench.submit(good.registers, tag + 1) == _SLVERR, "an error is pending"
                assert _fields(bench.core, "ERROR") == {"CODE": error, "TAG": tag}
            bench.write("ERROR", 1 << int(rng.integers(0, 8)))
        assert bench.core.bytes_read == moved
        assert bench.read("DONE") == 0
        bench.run(good)
        bench.products.check()


def _mistakes(bench: Bench, good: dict[str, int]) -> Iterator[tuple[Error, dict[str, int]]]:
    config, array = bench.config, bench.array
    letters = layout.regions(array)
    for letter in letters:
        name = f"{letter}_ADDRESS"
        for bit in range(_ALIGNED):
            yield Error.ALIGNMENT, {name: good[name] | 1 << bit}
        for bit in range(config.address_bits, 64):
            yield Error.ADDRESS, {name: good[name] | 1 << bit}
    for name in ("A_STRIDE", "O_STRIDE"):
        for bit in range(_ALIGNED):
            yield Error.ALIGNMENT, {name: good[name] | 1 << bit}
    for name in "MKN":
        yield Error.ZERO_SIZE, {name: 0}
        for bit in range(SIZE_BITS, WORD_BITS):
            yield Error.SIZE, {name: good[name] | 1 << bit}
    operands = register("OPERANDS")
    for part, error in (("GROUP", Error.GROUP), ("LAYOUT", Error.LAYOUT)):
        field = operands.field(part)
        for bit in range(field.width):
            yield error, {"OPERANDS": good["OPERANDS"] ^ 1 << field.lsb + bit}
    yield Error.OVERLAP, {"O_STRIDE": layout.out_stride(good["N"], array) - layout.ALIGNMENT}
    yield from _beyond(bench, good)


def _beyond(bench: Bench, good: dict[str, int]) -> Iterator[tuple[Error, dict[str, int]]]:
    """Regions of all sizes that end a line beyond the last address."""
    config, array, rng = bench.config, bench.array, bench.rng
    top = 1 << config.address_bits
    safe = {f"{letter}_ADDRESS": 0 for letter in layout.regions(array)}
    for bit in range(SIZE_BITS):
        for letter in layout.regions(array):
            name = {"W": "N", "S": "N", "T": "M", "A": "M", "O": "M"}[letter]
            least = layout.out_stride(good["N"], array)
            changes = {"M": 1, "N": good["N"], "A_STRIDE": 64, "O_STRIDE": least} | safe
            changes[name] = 1 << bit | int(rng.integers(0, 1 << bit))
            if name == "N":
                changes["O_STRIDE"] = layout.out_stride(changes["N"], array)
            if letter in "AO":
                changes[f"{letter}_STRIDE"] += 64 << int(rng.integers(0, 32 - 6 - 1))
            sizes = layout.region_bytes(
                changes["M"], good["K"], changes["N"], changes["A_STRIDE"], changes["O_STRIDE"], array
            )
            taken = layout.aligned(sizes[letter])
            others = [size for each, size in sizes.items() if each != letter]
            if layout.ALIGNMENT < taken <= top and max(others) <= top:
                yield Error.RANGE, changes | {f"{letter}_ADDRESS": top - taken + layout.ALIGNMENT}


# Counters, cycles


def counters(design: Design, rng: np.random.Generator) -> None:
    """Every cycle of a command counts, and no other; clearing clears; each is what the formulas say."""
    config, array = design.config, design.config.array
    latency, write_latency = 7, 5
    with Bench(design, rng, latency=latency, write_latency=write_latency) as bench:
        for m, n, groups in ((array.rows, array.cols, 3), (1, 2 * array.cols, 2), (array.rows, 3 * array.cols, 2)):
            k = groups * array.group
            bench.products.clear()
            before = _counted(bench)
            took = bench.run(bench.products.product(m, k, n))
            bench.products.check()
            found = {name: value - before[name] for name, value in _counted(bench).items()}
            # The first that counts follows the answer to SUBMIT; the interrupt rises behind the last.
            assert found["CYCLES"] == took, f"{found['CYCLES']} of {took} cycles count"
            assert found["BEATS"] == traffic.beats(m, k, n, config)
            assert found["READ_BYTES"] == traffic.read_bytes(m, k, n, config)
            assert found["WRITE_BYTES"] == traffic.write_bytes(m, n, config)
            counted = found["BEATS"] + found["STALL_READ"] + found["STALL_ARRAY"]
            drain = traffic.drain_cycles(m, n, config, write_latency=write_latency)
            assert found["CYCLES"] == counted + traffic.setup_cycles(config) + drain
        bench.core.run(100)
        assert _counted(bench)["CYCLES"] == sum([before["CYCLES"], found["CYCLES"]]), "an idle core counts"
        bench.write("CONTROL", register("CONTROL").pack(CLEAR_COUNTERS=1))
        assert not any(_counted(bench).values())


def _counted(bench: Bench) -> dict[str, int]:
    return {each.name: bench.read(each.name) for each in REGISTERS if each.access == "counter"}


def products(design: Design, rng: np.random.Generator) -> None:
    """Rows of activations of one bank and of several, all column tiles and strips; a full queue."""
    config, array = design.config, design.config.array
    with Bench(design, rng, latency=5, write_latency=9) as bench:
        fits = bench.products.longest_resident
        shapes = [(2 * array.rows + 1, fits, array.cols + 1), (array.rows + 1, fits + 1, 2 * array.cols)]
        shapes += [(1, 3 * fits + 1, array.cols + 1), (3 * array.rows, array.group + 1, 3 * array.cols)]
        for tag, (m, k, n) in enumerate(shapes):
            if traffic.tiles(m, n, config) * array.tile_cycles(k) < 30_000:
                bench.products.clear()
                bench.run(bench.products.product(m, k, n, extreme=bool(tag % 2)), tag)
                bench.products.check()
        bench.products.clear()
        commands = [bench.products.product(1, 1, 1) for _ in range(config.queue + 1)]
        extra = bench.products.product(array.rows, 4 * array.group, 2 * array.cols)
        assert bench.submit(extra.registers, 0) == _OKAY
        for tag, command in enumerate(commands[1:]):
            assert bench.submit(command.registers, tag) == _OKAY
        if _fields(bench.core, "STATUS")["QUEUED"] == config.queue:
            assert bench.submit(commands[0].registers, 77) == _SLVERR
            assert _fields(bench.core, "ERROR") == {"CODE": Error.QUEUE_FULL, "TAG": 77}
        bench.products.dropped(commands[0])
        bench.core.run(5000 + 50 * array.tile_cycles(4 * array.group))
        assert bench.read("STATUS") == 0
        bench.products.check()


def far_rows(design: Design, rng: np.random.Generator) -> None:
    """Rows of activations and results lie apart by every bit of their strides."""
    config, array = design.config, design.config.array
    bits = range(_ALIGNED, min(32, config.address_bits - 1))
    with Bench(design, rng, _FAR_BYTES + (1 << bits[-1]), latency=3) as bench:
        data = bench.core.memory
        a, weights, t = random_operands(rng, 2, 1, 1, array)
        packed, acts = memory.pack_weights(weights, array), memory.pack_acts(a, array)
        out = memory.pack_results(mpgemm(a, weights, t=t, config=array), array)
        size = layout.out_row_bytes(1, array)
        places = {"W": 0, "S": 0x1000, "T": 0x2000, "A": 0x10040, "O": 0x20080}
        regions = {"W": packed.weights, "S": packed.scales}
        if t is not None:
            regions["T"] = memory.pack_tokens(t)
        for letter, region in regions.items():
            data[places[letter] :][: region.size] = region
        values = {f"{letter}_ADDRESS": bench.base + place for letter, place in places.items()}
        values |= {"M": 2, "K": 1, "N": 1}
        values["OPERANDS"] = register("OPERANDS").pack(GROUP=array.group, LAYOUT=layout.LAYOUT_VERSION)
        for bit in bits:
            strides = {"A": 1 << bit, "O": 1 << bits[-1 - bits.index(bit)]}
            for row in range(2):
                data[places["A"] + row * strides["A"] :][: acts.shape[1]] = acts[row]
            found = [data[places["O"] + row * strides["O"] :][:size] for row in range(2)]
            for row in found:
                row[:] = rng.integers(0, 256, size)
            bench.run(Command(values | {f"{x}_STRIDE": strides[x] for x in "AO"}, out, out), bit)
            for row in range(2):
                assert (found[row] == out[row, :size]).all(), f"row {row}, stride {strides}"
            data[places["A"] + strides["A"] :][: acts.shape[1]] = 0
