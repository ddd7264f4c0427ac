"""Rows of equally wide fields as bits and as Python ints, and back."""

import numpy as np

from ...spec.errors import UserError

# Beats expanded to one byte per bit at a time, which bounds the memory of a long stream.
_CHUNK_BITS = 1 << 24


def narrowest(width: int) -> np.dtype:
    """The narrowest unsigned type of `width` bits, at most 32."""
    return np.dtype(next(f"u{size}" for size in (1, 2, 4) if 8 * size >= width))


def to_bits(values: np.ndarray, width: int) -> np.ndarray:
    """values[..., fields] modulo 2**width as 0 and 1, uint8 [..., bits], a field's bit 0 first.

    `width` is at most 32.
    """
    whole = narrowest(width)
    octets = np.ascontiguousarray(values.astype(whole.newbyteorder("<"))).view(np.uint8)
    bits = np.unpackbits(octets.reshape(-1), bitorder="little").reshape(-1, 8 * whole.itemsize)
    return bits[:, :width].reshape(*values.shape[:-1], -1)


def from_bits(bits: np.ndarray, width: int) -> np.ndarray:
    """Inverse of `to_bits`, in the narrowest unsigned type."""
    whole = narrowest(width)
    padded = np.zeros((bits.size // width, 8 * whole.itemsize), np.uint8)
    padded[:, :width] = bits.reshape(-1, width)
    fields = np.packbits(padded.reshape(-1), bitorder="little").view(whole.newbyteorder("<"))
    return fields.astype(whole, copy=False).reshape(*bits.shape[:-1], -1)


def to_beats(values: np.ndarray, width: int) -> list[int]:
    """Row i of values[beats, fields] as one int: field j in bits [j*width +: width], modulo 2**width.

    `width` is at most 32.
    """
    count, fields = values.shape
    size = -(-fields * width // 8)
    beats: list[int] = []
    step = max(1, _CHUNK_BITS // (fields * 32))
    for i in range(0, count, step):
        rows = np.packbits(to_bits(values[i : i + step], width), axis=-1, bitorder="little").tobytes()
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
        bits = np.unpackbits(octets, axis=-1, count=fields * width, bitorder="little")
        values[i : i + step] = from_bits(bits, width)
    return values
