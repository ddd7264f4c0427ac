"""Rows of equally wide fields as Python ints, and back."""

import numpy as np

from ..hw.errors import UserError

# Beats expanded to one byte per bit at a time, which bounds the memory of a long stream.
_CHUNK_BITS = 1 << 24


def to_beats(values: np.ndarray, width: int) -> list[int]:
    """Row i of values[beats, fields] as one int: field j in bits [j*width +: width], modulo 2**width.

    `width` is at most 32.
    """
    count, fields = values.shape
    size = -(-fields * width // 8)
    beats: list[int] = []
    step = max(1, _CHUNK_BITS // (fields * 32))
    for i in range(0, count, step):
        words = np.ascontiguousarray(values[i : i + step]).astype("<u4")
        bits = np.unpackbits(words.view(np.uint8).reshape(len(words), fields, 4), axis=-1, bitorder="little")
        rows = np.packbits(bits[:, :, :width].reshape(len(words), -1), axis=-1, bitorder="little").tobytes()
        beats += [int.from_bytes(rows[j : j + size], "little") for j in range(0, len(rows), size)]
    return beats


def from_beats(name: str, beats: list[int], fields: int, width: int) -> np.ndarray:
    """Inverse of `to_beats`: uint32 [beats, fields]. Raises `UserError` for a beat that is too wide."""
    size = -(-fields * width // 8)
    for i, beat in enumerate(beats):
        if not 0 <= beat < 1 << (fields * width):
            value = "a negative one" if beat < 0 else f"one of {beat.bit_length()} bits"
            raise UserError(f"{name}[{i}] must be an unsigned integer of {fields * width} bits, not {value}")
    values = np.empty((len(beats), fields), np.uint32)
    step = max(1, _CHUNK_BITS // (fields * 32))
    for i in range(0, len(beats), step):
        rows = b"".join(beat.to_bytes(size, "little") for beat in beats[i : i + step])
        octets = np.frombuffer(rows, np.uint8).reshape(-1, size)
        bits = np.unpackbits(octets, axis=-1, bitorder="little")[:, : fields * width]
        words = np.zeros((len(octets), fields, 32), np.uint8)
        words[:, :, :width] = bits.reshape(len(octets), fields, width)
        packed = np.packbits(words, axis=-1, bitorder="little").view("<u4")
        values[i : i + step] = packed[:, :, 0]
    return values
