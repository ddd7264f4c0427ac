"""Everything that software can see of a core, in the fast simulation, part after part.

Each part begins with a core of its own, in a memory of its own, so that no order hides anything.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np

from mixpe.spec import cycles as traffic
from mixpe.spec import layout
from mixpe.spec.core import SIZE_BITS, CoreConfig
from mixpe.spec.registers import REGISTERS, Error, register
from verif.harness.core_bench import ALL, MEMORY_BYTES, OKAY, SLVERR, Bench, Design, Placed, fields
from verif.harness.core_register_bench import interrupts, refusals, registers
from verif.harness.core_soak import Soak

_PER_MEMORY = 15
"""Random commands of a soak."""

_MOST_BITS = 14
_LONGEST = 150_000
"""The bits of a count of tiles or groups, and the cycles, that a product with one large size may have."""

_ALIGNED = (layout.ALIGNMENT - 1).bit_length()


def battery(design: Design, seed: int, commands: int) -> Iterator[str]:
    """Tries everything; yields the name of each part that is passed.

    commands: random ones to run. Raises whatever tells that the core is wrong.
    """
    for part in (
        registers,
        interrupts,
        refusals,
        counters,
        products,
        long_products,
        all_lengths,
        patient_memory,
        slow_writes,
        read_ahead,
        starved_by_acts,
        full_queue,
        far_rows,
        boundaries,
        giants,
    ):
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


def counters(design: Design, rng: np.random.Generator) -> None:
    """Every cycle of a command counts, and no other; clearing clears; each is what the formulas say."""
    array = design.config.array
    latency, write_latency = 7, 5
    with Bench(design, rng, latency=latency, write_latency=write_latency) as bench:
        for m, n, groups in (
            (array.rows, array.cols, 3),
            (1, 2 * array.cols, 2),
            (array.rows, 3 * array.cols, 2),
        ):
            k = groups * array.group
            bench.products.clear()
            before = _counted(bench)
            found = _run_counted(bench, m, k, n, write_latency)
        bench.core.run(100)
        assert _counted(bench)["CYCLES"] == sum([before["CYCLES"], found["CYCLES"]]), "an idle core counts"
        bench.write("CONTROL", register("CONTROL").pack(CLEAR_COUNTERS=1))
        assert not any(_counted(bench).values())


def _counted(bench: Bench) -> dict[str, int]:
    return {each.name: bench.read(each.name) for each in REGISTERS if each.access == "counter"}


def _run_counted(bench: Bench, m: int, k: int, n: int, write_latency: int) -> dict[str, int]:
    """Runs a product, and checks its results and what the counters add, which it returns."""
    config, before = bench.config, _counted(bench)
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
    return found


def products(design: Design, rng: np.random.Generator) -> None:
    """Rows of activations of one bank and of several, with several column tiles and strips."""
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


def long_products(design: Design, rng: np.random.Generator) -> None:
    """Each size is large once, so that counts of words, columns and rows have many bits."""
    config, array = design.config, design.config.array
    with Bench(design, rng, latency=2, write_latency=2) as bench:
        for size, tile in (("m", array.rows), ("k", array.group), ("n", array.cols)):
            sizes = (tile << bits for bits in reversed(range(_MOST_BITS)))
            counts = (most - int(rng.integers(0, tile)) for most in sizes)
            shapes = ({"m": (count, 1, 1), "k": (1, count, 1), "n": (1, 1, count)}[size] for count in counts)
            m, k, n = next(shape for shape in shapes if _is_cheap(shape, config))
            bench.products.clear()
            _run_counted(bench, m, k, n, write_latency=2)


def all_lengths(design: Design, rng: np.random.Generator) -> None:
    """Activations of every number of words up to two bursts; rows and columns up to two tiles."""
    config, array = design.config, design.config.array
    with Bench(design, rng, latency=2, write_latency=2) as bench:
        per_word = config.data_bits // layout.container_bits(array)
        rows, cols = array.rows + 1, array.cols + 1
        shapes = [(rows, words * per_word, cols) for words in range(1, 2 * config.burst + 3)]
        shapes += [(m, 1, 1) for m in range(1, 2 * array.rows + 2)]
        shapes += [(1, 1, n) for n in range(1, 2 * array.cols + 2)]
        for tag, shape in enumerate(shapes):
            if _is_cheap(shape, config):
                bench.products.clear()
                bench.run(bench.products.product(*shape), tag)
                bench.products.check()


def patient_memory(design: Design, rng: np.random.Generator) -> None:
    """A memory whose every ready waits for its valid."""
    array = design.config.array
    with Bench(design, rng, latency=3, patient=True) as bench:
        bench.run(bench.products.product(array.rows + 1, 2 * array.group, 2 * array.cols))
        bench.products.check()


def slow_writes(design: Design, rng: np.random.Generator) -> None:
    """Results wait for memory so long that all queues behind them are full."""
    array = design.config.array
    with Bench(design, rng, latency=2, write_latency=400, requests=1) as bench:
        for tag, groups in enumerate((1, 5)):
            bench.products.clear()
            command = bench.products.product(array.rows, groups * array.group, 60 * array.cols)
            bench.run(command, tag)
            bench.products.check()


def read_ahead(design: Design, rng: np.random.Generator) -> None:
    """With a memory as fast as the bus, operands that need less are read ahead and lack at first only."""
    config, array = design.config, design.config.array
    groups = -(-8 * config.act_words * config.data_bits // (layout.act_beat_bits(array) * array.group_beats))
    m, k, n = array.rows, groups * array.group, 2 * array.cols
    with Bench(design, rng, latency=2, write_latency=2) as bench:
        found = _run_counted(bench, m, k, n, write_latency=2)
        words = found["READ_BYTES"] // config.word_bytes
        if 3 * words < 2 * found["BEATS"]:
            assert found["STALL_READ"] <= found["BEATS"] // 8, f"{found['STALL_READ']} cycles lack operands"


def starved_by_acts(design: Design, rng: np.random.Generator) -> None:
    """Where memory is too slow for all operands, the array itself holds up no more of them than otherwise.

    An aligner's activations go ahead: while others lack, it may be the array that waits for a group's end.
    """
    config, array = design.config, design.config.array
    if array.scheme.name == "aligned":
        return
    shape = array.rows, 40 * array.group, 1
    held = []
    for limit in (None, config.word_bytes / 2, config.word_bytes / 8):
        with Bench(design, rng, latency=2, bytes_per_cycle=limit) as bench:
            bench.run(bench.products.product(*shape))
            bench.products.check()
            held.append(_counted(bench)["STALL_ARRAY"])
    assert held[0] >= held[1] >= held[2], f"the array holds up {held}"


def _is_cheap(shape: tuple[int, int, int], config: CoreConfig) -> bool:
    m, k, n = shape
    array = config.array
    a_stride, o_stride = layout.act_stride(k, array), layout.out_stride(n, array)
    taken = sum(layout.region_bytes(m, k, n, a_stride, o_stride, array).values())
    return 4 * taken < MEMORY_BYTES and traffic.tiles(m, n, config) * array.tile_cycles(k) < _LONGEST


def full_queue(design: Design, rng: np.random.Generator) -> None:
    """One command waits for memory, others behind it; one too many is refused, and they run in order."""
    config = design.config
    with Bench(design, rng, latency=3000) as bench:
        commands = [bench.products.product(1, 1, 1) for _ in range(config.queue + 1)]
        for tag, command in enumerate(commands):
            assert bench.submit(command.registers, tag) == OKAY
            assert fields(bench.core, "STATUS") == {"BUSY": 1, "QUEUED": tag}
        assert bench.submit(commands[0].registers, 77) == SLVERR
        assert fields(bench.core, "ERROR") == {"CODE": Error.QUEUE_FULL, "TAG": 77}
        bench.write("INTERRUPT_ENABLE", 1)
        for tag in range(len(commands)):
            assert bench.core.wait(20_000)
            assert fields(bench.core, "DONE") == {"COUNT": tag + 1, "TAG": tag}
            bench.write("INTERRUPT", ALL)
        assert bench.read("STATUS") == 0
        bench.products.check()


def far_rows(design: Design, rng: np.random.Generator) -> None:
    """Rows of activations and results lie apart by every bit of their strides."""
    bits = range(_ALIGNED, min(32, design.config.address_bits - 1))
    with Bench(design, rng, MEMORY_BYTES + (1 << bits[-1]), latency=3) as bench:
        placed = Placed(bench, 2, 1, 1)
        places = {"W": 0, "S": 0x1000, "T": 0x2000, "A": 0x10040, "O": 0x20080}
        for bit, other in zip(bits, reversed(bits), strict=True):
            placed.run(places, 1 << bit, 1 << other, bit)
            bench.core.memory[places["A"] + (1 << bit) :][:64] = 0


def boundaries(design: Design, rng: np.random.Generator) -> None:
    """Each region in turn lies across each power of two: addresses carry through all of their bits."""
    config, array = design.config, design.config.array
    half = 1 << 16
    for bit in range(17, config.address_bits):
        with Bench(design, rng, 2 * half, base=(1 << bit) - half, latency=2) as bench:
            placed = Placed(bench, array.rows + 1, array.group + 1, array.cols + 1)
            sizes = placed.sizes()
            for letter in layout.regions(array):
                places = {each: 0x2000 * index for index, each in enumerate("AWSTO")}
                lines = layout.aligned(sizes[letter]) // layout.ALIGNMENT
                places[letter] = half - layout.ALIGNMENT * int(rng.integers(1, max(2, lines)))
                strides = placed.acts.shape[1], layout.out_stride(array.cols + 1, array)
                placed.run(places, *strides, bit)


def giants(design: Design, rng: np.random.Generator) -> None:
    """Sizes with every bit. Commands that would take long go on after those of the lower bits alone would be
    done, and are then aborted. Those whose regions end with the last address are taken, too."""
    config, array = design.config, design.config.array
    size = min(1 << 31, 1 << config.address_bits - 1)
    with Bench(design, rng, size, base=0, latency=2, write_latency=2) as bench:
        enough = 12 * max(array.tile_cycles(1), array.tile_gap + array.rows) + 400
        for name, tile in (("M", array.rows), ("N", array.cols), ("K", 1)):
            # What is above the bit keeps it set for a while, or borrows from it at once.
            for bit, above in product(range(SIZE_BITS), (3 * tile + 1, int(rng.integers(0, 2)))):
                values = {"M": 1, "N": 1, "K": 1} | {name: min((1 << bit) + above, (1 << SIZE_BITS) - 1)}
                values |= {"A_STRIDE": 0, "OPERANDS": register("OPERANDS").pack(GROUP=array.group, LAYOUT=1)}
                values["O_STRIDE"] = layout.out_stride(values["N"], array)
                shape = values["M"], values["K"], values["N"]
                sizes = layout.region_bytes(*shape, 0, values["O_STRIDE"], array)
                place = 0
                for letter, taken in sizes.items():
                    values[f"{letter}_ADDRESS"] = place
                    place += layout.aligned(taken)
                values.setdefault("T_ADDRESS", 0)
                if place <= size and traffic.beats(*shape, config) > 5 * enough:
                    _goes_on(bench, values, enough, bit)
                elif place <= MEMORY_BYTES:
                    _is_done(bench, values)
        top = 1 << config.address_bits
        letters = layout.regions(array)
        for _ in range(150):
            values = _ending_at(rng, top, config)
            if values is None:
                continue
            response = bench.submit(values, 1)
            assert response == OKAY, f"{values} is refused: {fields(bench.core, 'ERROR')}"
            _abort(bench)
            # A line further up, a region wraps.
            for name in (f"{letter}_ADDRESS" for letter in letters):
                if values[name] + layout.ALIGNMENT < top:
                    changed = values | {name: values[name] + layout.ALIGNMENT}
                    assert bench.submit(changed, 1) == SLVERR, f"{changed} is taken"
                    assert fields(bench.core, "ERROR")["CODE"] == Error.RANGE
                    bench.write("ERROR", ALL)


def _is_done(bench: Bench, values: dict[str, int]) -> None:
    placed = Placed(bench, values["M"], values["K"], values["N"])
    places, place = dict.fromkeys("AWSTO", 0), 0
    for letter, taken in placed.sizes().items():
        places[letter] = place
        place += layout.aligned(taken)
    placed.run(places, placed.acts.shape[1], values["O_STRIDE"])


def _goes_on(bench: Bench, values: dict[str, int], cycles: int, tag: int) -> None:
    assert bench.submit(values, tag) == OKAY
    names = ("BEATS",) if values["K"] > 1 else ("BEATS", "READ_BYTES", "WRITE_BYTES")
    before = dict.fromkeys(names, -1)
    for _ in range(4):
        bench.core.run(cycles)
        assert fields(bench.core, "STATUS")["BUSY"], f"{values} is done"
        found = {name: bench.read(name) for name in names}
        assert all(found[name] > before[name] for name in names), f"{values} stands still"
        before = found
    _abort(bench)


def _abort(bench: Bench) -> None:
    bench.write("CONTROL", register("CONTROL").pack(ABORT=1))
    for _ in range(50):
        if not bench.read("STATUS"):
            break
        bench.core.run(100)
    assert bench.read("STATUS") == 0, "an abort does not end it"
    bench.write("ERROR", ALL)


def _ending_at(rng: np.random.Generator, top: int, config: CoreConfig) -> dict[str, int] | None:
    """Draws a legal command of which each region ends with the last address; None if it has none."""
    array = config.array
    m, k, n = (int(rng.integers(1, 1 << int(rng.integers(1, SIZE_BITS + 1)))) for _ in range(3))
    o_stride = layout.out_stride(n, array) + 64 * int(rng.integers(0, 1 << int(rng.integers(0, 20))))
    a_stride = 64 * int(rng.integers(0, 1 << int(rng.integers(1, 26))))
    sizes = layout.region_bytes(m, k, n, a_stride, o_stride, array)
    if max(sizes.values()) > top or o_stride >= 1 << 32:
        return None
    values = {f"{letter}_ADDRESS": top - layout.aligned(taken) for letter, taken in sizes.items()}
    values |= {"M": m, "K": k, "N": n, "A_STRIDE": a_stride, "O_STRIDE": o_stride}
    return values | {"OPERANDS": register("OPERANDS").pack(GROUP=array.group, LAYOUT=layout.LAYOUT_VERSION)}
