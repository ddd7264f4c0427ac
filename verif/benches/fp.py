"""cocotb bench of the floating-point units: bit patterns against NumPy, an operand every cycle."""

import os

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge, Timer
from numpy.typing import NDArray

from mixpe.sim.cocotb.seeds import bench_rng, start_clock

from .fp_bank import BURST, KINDS, LANE_BITS, UNITS, specs
from .fp_vectors import Words, corners, expected, random_words

VECTORS = "MIXPE_FP_VECTORS"  # random operands for each of the four classes of units; a million unless set
_FILL = max(spec.latency for spec in specs(0))  # cycles from an operand to the last of its results


async def stream(dut, kind: int, words: Words) -> NDArray[np.uint32]:
    """Feeds `words` to the lane of `kind`; returns the results [words and at least `_FILL` more, units].

    Row t + latency holds what a unit made of word t.
    """
    bursts = -(-(len(words) + _FILL) // BURST)
    words = np.pad(words, (0, bursts * BURST - len(words))).reshape(bursts, BURST)
    raw = np.empty((bursts, BURST * LANE_BITS // 8), np.uint8)
    dut.kind.value = kind
    for row, burst in zip(raw, words, strict=True):
        dut.i.value = int.from_bytes(burst.astype("<u8").tobytes(), "little")
        await RisingEdge(dut.step)
        bits = str(dut.o.value)
        if not set(bits) <= {"0", "1"}:
            raise AssertionError(f"unknown bits in the results of lane {kind}")
        row[::-1] = np.packbits(np.frombuffer(bits.encode(), np.uint8) & 1)
    return raw.view("<u4").reshape(-1, UNITS)


def mismatches(unit: str, words: Words, got: NDArray[np.uint32]) -> str | None:
    """Says how often `unit` differs, and the first cases; None if never."""
    want = expected(unit, words)
    wrong = np.flatnonzero(want != got)
    first = "; ".join(f"operands {words[k]:016x} want {want[k]:08x} got {got[k]:08x}" for k in wrong[:4])
    return f"{unit}: {len(wrong)} of {len(words)} wrong: {first}" if len(wrong) else None


@cocotb.test
async def units_match_numpy(dut):
    """Directed corners, then random patterns, for each kind of lane; every result, in its own cycle."""
    rng, total, wrong = bench_rng(), 0, []
    share = -(-int(os.environ.get(VECTORS, 1_000_000)) // KINDS)
    dut.kind.value, dut.i.value = 0, 0
    await Timer(1, "ns")
    start_clock(dut.clk)
    await RisingEdge(dut.step)
    for kind in range(KINDS):
        words = np.append(corners(kind), random_words(rng, share))
        results = await stream(dut, kind, words)
        for place, spec in enumerate(specs(kind)):
            got = results[spec.latency :, place][: len(words)]
            wrong.append(mismatches(spec.name, words, got))
        total += len(words)
    dut._log.info("%d operands for each class of units, %d of them random", total, share * KINDS)
    assert not any(wrong), "\n".join(filter(None, wrong))
