"""cocotb bench of the floating-point units: bit patterns against NumPy, every lane every cycle."""

import os

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from numpy.typing import NDArray

from . import bench_rng
from .fp_bank import KINDS, LANE_BITS, OPERAND_BITS, UNITS, specs
from .fp_vectors import Words, corners, expected, random_words

VECTORS = "MIXPE_FP_VECTORS"  # random operands for each of the four classes of units; a million unless set
_FILL = 1 + max(spec.latency for spec in specs(0))  # cycles from an operand to the last of its results


async def stream(dut, words: Words) -> NDArray[np.uint8]:
    """Feed `words` [cycles, lanes]; returns the results' bytes [cycles + _FILL, lanes, bytes of a lane].

    Byte 0 is the lowest. Row j is read before the edge that takes row j, which is edge j.
    """
    cycles, lanes = words.shape
    dut.rst.value = 0  # nothing in a unit is reset
    cocotb.start_soon(Clock(dut.clk, 2, unit="ns").start())
    raw = np.empty((cycles + _FILL, lanes * LANE_BITS // 8), np.uint8)
    operands = [int.from_bytes(row.tobytes(), "little") for row in words] + [0] * _FILL
    for row, operand in enumerate(operands):
        await RisingEdge(dut.clk)
        bits = str(dut.o.value)
        if row >= _FILL and not set(bits) <= {"0", "1"}:
            raise AssertionError(f"unknown bits in the results of cycle {row}")
        raw[row] = np.packbits(np.frombuffer(bits.encode(), np.uint8) & 1)
        dut.i.value = operand
    return np.ascontiguousarray(raw[:, ::-1]).reshape(cycles + _FILL, lanes, LANE_BITS // 8)


def mismatches(unit: str, words: Words, got: NDArray[np.uint32]) -> str | None:
    """How often `unit` differs, and the first cases; None if never."""
    want = expected(unit, words)
    wrong = np.flatnonzero(want != got)
    first = "; ".join(f"operands {words[k]:016x} want {want[k]:08x} got {got[k]:08x}" for k in wrong[:4])
    return f"{unit}: {len(wrong)} of {len(words)} wrong: {first}" if len(wrong) else None


@cocotb.test
async def units_match_numpy(dut):
    """Directed corners, then random patterns, for each kind of lane; every result, in its own cycle."""
    lanes, rng = len(dut.i) // OPERAND_BITS, bench_rng()
    directed = [corners(kind) for kind in range(KINDS)]
    count = int(os.environ.get(VECTORS, 1_000_000)) + sum(map(len, directed))
    rows = -(-max(count // KINDS, *map(len, directed)) * KINDS // lanes)
    streams = [np.append(first, random_words(rng, rows * lanes // KINDS - len(first))) for first in directed]
    words = np.stack(
        [s.reshape(rows, lanes // KINDS) for s in streams], axis=2
    )  # [rows, lanes / KINDS, KINDS]
    raw = await stream(dut, words.reshape(rows, lanes))
    results = raw.view("<u4").reshape(-1, lanes // KINDS, KINDS, UNITS)
    wrong = []
    for kind in range(KINDS):
        for place, spec in enumerate(specs(kind)):
            got = results[spec.latency + 1 :][:rows, :, kind, place]
            wrong.append(mismatches(spec.name, words[..., kind].ravel(), got.ravel()))
    dut._log.info("%d operands, %d of them random", words.size, words.size - sum(map(len, directed)))
    assert not any(wrong), "\n".join(filter(None, wrong))
