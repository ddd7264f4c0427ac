"""A core's registers in the fast simulation: what they hold, what they refuse, and how they interrupt."""

from collections.abc import Iterator

import numpy as np

from mixpe.sim.fast import SimulatedCore, reading, writing
from mixpe.spec import layout
from mixpe.spec.core import SIZE_BITS
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
from verif.harness.core_bench import ALL, OKAY, SLVERR, Bench, Design, fields, made, offset

_PLACES = {each.offset + 4 * word: (each, word) for each in REGISTERS for word in range(each.words)}
_WRITES = [place for place, (each, _) in _PLACES.items() if each.access == "read/write"]
_FIXED = [place for place, (each, _) in _PLACES.items() if each.access == "constant"]
_BARRED = [place for place, (each, _) in _PLACES.items() if not each.access.writable]
_FREE = [place for place in range(0, 1 << ADDRESS_BITS, 4) if place not in _PLACES]
_ALIGNED = (layout.ALIGNMENT - 1).bit_length()


def registers(design: Design, rng: np.random.Generator) -> None:
    """Values after reset, every bit of what holds something, strobes, places without registers; accesses that
    overlap, with and without waits."""
    for pressure in (0.0, 0.0, 0.5):
        with design.core(
            memory_bytes=1 << 12, back_pressure=pressure, seed=int(rng.integers(1 << 30))
        ) as core:
            fixed, held = constants(design.config), dict.fromkeys(_WRITES, 0)
            for place, (each, word) in _PLACES.items():
                expected = fixed.get(each.name, 0) >> WORD_BITS * word & ALL
                assert made(core, reading(place)) == (OKAY, expected), f"{each.name} after reset"
            _strobes(core, rng, held)
            for _ in range(60):
                _overlapping(core, rng, fixed, held)
            if not pressure:
                _without_waits(core, fixed)
            everything = [*held]
            rng.shuffle(everything)
            for access in core.access_registers([reading(place) for place in everything]):
                assert (access.response, access.value) == (OKAY, held[access.offset])
            for name in ("STATUS", "DONE", "ERROR", "INTERRUPT", "CYCLES", "READ_BYTES", "WRITE_BYTES"):
                assert core.read_register(offset(name)) == 0, f"{name} of a core that did nothing"


def _mask(each: Register, word: int) -> int:
    """Ones in the bits of a word of a register that hold something."""
    bits = sum(part.mask for part in each.parts)
    return bits >> WORD_BITS * word & ALL


def _strobes(core: SimulatedCore, rng, held: dict[int, int]) -> None:
    """Each register with each set of strobes keeps the bytes that are not written."""
    for place in _WRITES:
        for strobes in (15, *range(16)):
            value = int(rng.integers(0, 1 << WORD_BITS))
            _store(held, place, value, strobes)
            assert made(core, writing(place, value, strobes))[0] == OKAY
            assert made(core, reading(place)) == (OKAY, held[place]), f"{place:#x}, strobes {strobes:04b}"


def _store(held: dict[int, int], place: int, value: int, strobes: int) -> None:
    """Changes what the register at `place` holds, as a write does."""
    lanes = sum(0xFF << 8 * byte for byte in range(4) if strobes >> byte & 1) & _mask(*_PLACES[place])
    held[place] = held[place] & ~lanes | value & lanes


def _overlapping(core: SimulatedCore, rng, fixed, held: dict[int, int]) -> None:
    """Writes here, reads there; `held`: what registers hold that software may write."""
    batch = []
    touched = {int(place) for place in rng.choice(_WRITES, 4, replace=False)}
    for _ in range(int(rng.integers(1, 9))):
        value, low = int(rng.integers(0, 1 << WORD_BITS)), int(rng.integers(0, 4))
        kind = rng.integers(0, 8)
        if kind < 4:
            place, strobes = (
                int(rng.choice([*touched])),
                15 if rng.integers(0, 2) else int(rng.integers(0, 16)),
            )
            _store(held, place, value, strobes)
            batch.append((writing(place + low, value, strobes), OKAY, value))
        elif kind < 5:
            place = int(rng.choice([*_FREE, *_BARRED]))
            batch.append((writing(place + low, value), SLVERR, value))
        elif kind < 6:
            place = int(rng.choice(_FREE))
            batch.append((reading(place + low), SLVERR, None))
        elif kind < 7:
            place = int(rng.choice(_FIXED))
            batch.append((reading(place + low), OKAY, fixed[_PLACES[place][0].name]))
        else:
            place = int(rng.choice([place for place in _WRITES if place not in touched]))
            batch.append((reading(place + low), OKAY, held[place]))
    done = core.access_registers([access for access, _, _ in batch])
    for access in core.access_registers([reading(place) for place in touched]):
        assert access.value == held[access.offset], f"{access.offset:#x} holds {access.value:#x}"
    for access, (_, response, value) in zip(done, batch, strict=True):
        assert access.response == response, f"{access.offset:#x} is answered {access.response}"
        assert value is None or access.value == value, f"{access.offset:#x} shows {access.value:#x}"


def _without_waits(core: SimulatedCore, fixed) -> None:
    """Nothing waits: an access each way every other cycle."""
    reads = [reading(place) for place in _FIXED * 4]
    writes = [writing(place, 0) for place in _FREE[: len(reads)]]
    for batch in (reads, writes, [*reads, *writes]):
        began = core.cycles
        for access in core.access_registers(batch):
            name = "" if access.writes else _PLACES[access.offset][0].name
            expected = (SLVERR, access.value) if access.writes else (OKAY, fixed[name])
            assert (access.response, access.value) == expected
        took = core.cycles - began
        assert took <= 2 * len(reads) + 2, f"{len(reads)} accesses took {took} cycles"


def interrupts(design: Design, rng: np.random.Generator) -> None:
    """Each cause, enabled or not; each way to clear it; tags with every bit; strobes of what acts."""
    with Bench(design, rng, latency=3) as bench:
        core, array = bench.core, bench.array
        command = bench.products.product(1, 1, 1)
        for bit in range(TAG_BITS):
            assert bench.submit(command.registers, 1 << bit) == OKAY
            core.run(1000 + array.run_cycles(1))
            assert fields(core, "DONE") == {"COUNT": bit + 1, "TAG": 1 << bit}
        assert not core.run(1), "no cause is enabled"
        bad = command.registers | {"M": 0}
        for code, tag_bit in enumerate(range(TAG_BITS)):
            for enabled in range(4):
                bench.write("INTERRUPT_ENABLE", enabled)
                causes = fields(core, "INTERRUPT")["DONE"] | 2 * bool(code or enabled)
                assert bench.read("INTERRUPT") == causes
                assert core.run(1) == bool(causes & enabled)
                if not enabled:
                    assert bench.submit(bad, 1 << tag_bit) == SLVERR
            assert fields(core, "ERROR") == {"CODE": Error.ZERO_SIZE, "TAG": 1 << tag_bit}
            for strobes in (0b0000, 0b1010 if tag_bit % 2 else 0b0010):
                bench.write("ERROR", 0x0000FF00, strobes)
                bench.write("INTERRUPT", ALL, strobes & 0b1110)
                bench.write("CONTROL", ALL, strobes & 0b1110)
                bench.write("INTERRUPT_ENABLE", 0, strobes & 0b1110)
                assert bench.write("SUBMIT", 1, strobes & 0b1100) == OKAY
            assert fields(core, "ERROR") == {"CODE": Error.ZERO_SIZE, "TAG": 1 << tag_bit}
            assert bench.read("INTERRUPT_ENABLE") == 3
            assert bench.read("INTERRUPT") & 2
            part = register("ERROR").field("CODE" if tag_bit % 2 else "TAG")
            assert bench.write("ERROR", 1 << part.lsb + tag_bit % part.width) == OKAY
            assert bench.read("ERROR") == 0
        assert bench.write("INTERRUPT", 1) == OKAY
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
            assert bench.submit(good.registers | changes, tag) == SLVERR, f"{changes} is not refused"
            assert fields(bench.core, "ERROR") == {"CODE": error, "TAG": tag}, f"{changes}"
            assert fields(bench.core, "STATUS") == {"BUSY": 0, "QUEUED": 0}
            if not tag % 8:
                assert bench.submit(good.registers, tag + 1) == SLVERR, "an error is pending"
                assert fields(bench.core, "ERROR") == {"CODE": error, "TAG": tag}
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
