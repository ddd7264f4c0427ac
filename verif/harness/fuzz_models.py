"""Damages checkpoints and tokenizers of llama2.c as their structure suggests."""

import math
import random
import struct

from .fuzz_mutators import raw

_INTS = (0, 1, -1, 2, 3, 7, -(1 << 31), (1 << 31) - 1, 1 << 30, 1 << 16, 46341, 255)
_FLOATS = (math.nan, math.inf, -math.inf, 3.4e38, -3.4e38, 1e-45, 0.0, 65504.0, 1e5, 1e20)


def checkpoint(content: bytes, header: tuple[int, ...], draw: random.Random) -> bytes:
    """A checkpoint whose sizes, numbers, format or length are odd."""
    size = struct.calcsize("<7i")
    head, body = list(header), content[size:]

    def number() -> bytes:
        """Odd numbers in some places."""
        changed = bytearray(content)
        for _ in range(draw.choice((1, 1, 5, 200))):
            at = size + 4 * draw.randrange(len(body) // 4)
            struct.pack_into("<f", changed, at, draw.choice(_FLOATS))
        return bytes(changed)

    def sizes() -> bytes:
        head[draw.randrange(7)] = draw.choice(_INTS)
        return struct.pack("<7i", *head) + body

    def new_version() -> bytes:
        """Version 1, the cos and sin of which are not there: any number of positions has these bytes."""
        dim, heads, vocab = header[0], header[3], header[5]
        seq_len, half = draw.choice((12, *_INTS)), dim // heads // 2
        start = struct.pack(
            "<Ii7iB", 0x616B3432, draw.choice((1, 1, 1, 0, 2)), *header[:5], abs(vocab), seq_len, vocab > 0
        )
        return start.ljust(256, b"\0") + body[: len(body) - 8 * header[6] * half]

    everywhere = struct.pack("<f", draw.choice(_FLOATS)) * (len(body) // 4)
    ways = (
        number,
        number,
        sizes,
        sizes,
        new_version,
        lambda: raw(content, draw),
        lambda: content[:size] + everywhere,
    )
    return draw.choice(ways)()


def tokenizer(content: bytes, draw: random.Random) -> bytes:
    """A tokenizer whose counts, lengths, scores or bytes are odd."""
    changed = bytearray(content)
    at = 4
    for _ in range(draw.randrange(260)):
        at += 8 + struct.unpack_from("<i", content, at + 4)[0]
    chance = draw.random()
    if chance < 0.2:
        struct.pack_into("<i", changed, 0, draw.choice(_INTS))
    elif chance < 0.5:
        struct.pack_into("<f", changed, at, draw.choice(_FLOATS))
    elif chance < 0.7:
        struct.pack_into("<i", changed, at + 4, draw.choice(_INTS))
    elif chance < 0.8:
        changed[at + 8] = draw.randrange(256)
    else:
        return raw(content, draw)
    return bytes(changed)
