"""Damages files as their structure suggests: each function returns a file that is wrong somewhere."""

import copy
import gzip
import json
import math
import random
import re
from collections.abc import Callable
from typing import Any

_ENCODINGS = ("utf-16", "utf-16-le", "utf-32")


def raw(data: bytes, draw: random.Random) -> bytes:
    """Bytes changed, cut, doubled or written in another encoding."""
    at, end = sorted((draw.randrange(len(data) + 1), draw.randrange(len(data) + 1)))
    ways: list[Callable[[], bytes]] = [
        lambda: data[:at],
        lambda: data[:at] + data[end:],
        lambda: data[:end] + data[at:],
        lambda: data[:at] + draw.randbytes(draw.randint(1, 9)) + data[at:],
        lambda: data[:at] + draw.choice((b"\0", b"\xff", b"\xe9", b"\r", b"\x1b[31m")) + data[at:],
        lambda: b"\xef\xbb\xbf" + data,
        lambda: data.decode("utf-8", "replace").encode(draw.choice(_ENCODINGS)),
        lambda: data.replace(b"\n", b"\r\n"),
        lambda: b"",
        lambda: gzip.compress(data),
        lambda: gzip.compress(data)[: draw.randint(2, 40)],
        lambda: draw.randbytes(draw.randint(1, 200)),
        lambda: bytes(draw.randint(1, 64)),
    ]
    return draw.choice(ways)()


def seldom(data: bytes, draw: random.Random) -> bytes:
    """Damages one in four."""
    return raw(data, draw) if draw.random() < 0.25 else data


def text(data: bytes, draw: random.Random) -> bytes:
    """Text in another encoding, with odd characters, or damaged."""
    odd = (
        "",
        "\ufeff",
        "\u202e",
        "\U0001f600",
        "e\u0301",
        "\0",
        "\x1b[2J",
        "\u2028",
        "a" * 500,
        "\r\n",
        "[/red]",
    )
    ways: list[Callable[[], bytes]] = [
        lambda: raw(data, draw),
        lambda: draw.choice(odd).encode() + data + draw.choice(odd).encode(),
        lambda: data.decode().encode("latin-1", "replace"),
        lambda: draw.choice((b"\xed\xa0\x80", b"\xff", b"\xc0\x80", b"\xf5\x80\x80\x80")) + data,
    ]
    return draw.choice(ways)()


# JSON

_JSON: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    math.nan,
    math.inf,
    -0.0,
    1e308,
    10**400,
    "",
    "x",
    "\ud800",
)
_JSON += (
    "[/red]",
    "a\nb",
    "\x1b[31m",
    [],
    {},
    [[]],
    {"a": 1},
    "9" * 500,
    2**63,
    -5.5,
    "core",
    "array",
    1e-320,
)


def json_text(values: Any, draw: random.Random) -> bytes:
    """JSON with a field of another type, missing, doubled, renamed or foreign; or damaged text."""
    if draw.random() < 0.15:
        return raw(json.dumps(values).encode(), draw)
    values = copy.deepcopy(values)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        places = list(_places(values))
        if not places:
            break
        holder, key = draw.choice(places)
        chance = draw.random()
        if chance < 0.55:
            holder[key] = draw.choice(_JSON)
        elif chance < 0.7:
            del holder[key]
        elif isinstance(holder, dict):
            holder[draw.choice(("colour", "", "\ud800", "kind", "[/red]"))] = holder.pop(key)
        else:
            holder.insert(0, draw.choice((*_JSON, holder[key])))
    text = json.dumps(values)
    if draw.random() < 0.05:
        text = "[" * draw.choice((10, 100_000)) + text
    if draw.random() < 0.05:
        text = text.replace("{", '{"kind": "pe", ', 1)
    return text.encode("utf-8", "surrogatepass")


def _places(values: Any) -> Any:
    """Yields every object or list with each of its keys."""
    pairs = (
        values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    )
    for key, value in list(pairs):
        yield values, key
        yield from _places(value)


# TOML

_TOML = ("0", "-1", "1", "3", "1.5", "nan", "-inf", "true", '""', '"int"', '"x"', "[]", "{}", "[1, [2]]")
_TOML += (
    "1979-05-27",
    "07:32:00",
    "9223372036854775807",
    "9" * 30,
    "9" * 5000,
    "0x10",
    '"\\u0000"',
    "'''a\nb'''",
)
_TOML += (
    '"[/red]"',
    '"../x"',
    '"module"',
    '"fp16"',
    '"fp_mac"',
    '"asic"',
    "{ a = 1 }",
    '"/dev/zero"',
    "2",
    "128",
)
_TOML_KEYS = ("act_format", "fp_scheme", "bus", "align_bits", "lanes")
_TOML_LINE = re.compile(r"^(\w+) = (.*)$", re.MULTILINE)


def toml(source: str, draw: random.Random) -> bytes:
    """TOML with values of another type or size, unknown, missing or doubled keys; or damaged."""
    if draw.random() < 0.2:
        return raw(source.encode(), draw)
    for _ in range(draw.choice((1, 1, 2, 3))):
        found = list(_TOML_LINE.finditer(source))
        if not found:
            break
        line = draw.choice(found)
        key, value = line.groups()
        changed = draw.choice(
            (
                f"{key} = {draw.choice(_TOML)}",
                f"{key} = {draw.choice(_TOML)}",
                f"{key} = {draw.choice(_TOML)}",
                "",
                f"{key} = {value}\n{key} = {value}",
                f"{key}x = {value}",
                f"[{key}]\n{key} = {value}",
                f"{key}.{key} = {value}",
                f'"" = {value}',
                f"{key} = ",
                f"{draw.choice(_TOML_KEYS)} = {draw.choice(_TOML)}",
            )
        )
        source = source[: line.start()] + changed + source[line.end() :]
    return source.encode()


# Liberty

_LIBERTY = (
    "nan",
    "inf",
    "-inf",
    "-1",
    "0",
    "1e999",
    "1e-999",
    "",
    '""',
    "big",
    '"1.5"',
    "0x1",
    "1,5",
    "NaN",
    "1e308",
)
_EXPRESSIONS = (
    '"!"',
    '""',
    '"A&"',
    '"Z"',
    '"(A"',
    '"A B"',
    '"1"',
    '"A^B^A"',
    '"IQ"',
    "A",
    '"!!A"',
    '"A\\nB"',
)
_NAMES = (
    "",
    '""',
    "a b",
    '"a;b"',
    '"a b"',
    "1x",
    "[/red]",
    "\u00e9",
    "$x",
    "INV",
    "DFF",
    "a/b",
    "-x",
    '"\\"',
    "x" * 999,
)


def liberty(source: str, draw: random.Random) -> bytes:
    """A library with odd numbers, functions, names and directions, groups missing or doubled; or damaged."""
    if draw.random() < 0.2:
        return raw(source.encode(), draw)
    for _ in range(draw.choice((1, 1, 2, 3))):
        source = draw.choice(_LIBERTY_WAYS)(source, draw)
    data = source.encode()
    return gzip.compress(data) if draw.random() < 0.1 else data


def _replaced(pattern: str, values: tuple[str, ...]) -> Callable[[str, random.Random], str]:
    """Returns a mutator that replaces what the group of `pattern` matches somewhere by one of `values`."""

    def way(source: str, draw: random.Random) -> str:
        found = list(re.finditer(pattern, source))
        if not found:
            return source
        match = draw.choice(found)
        return source[: match.start(1)] + draw.choice(values) + source[match.end(1) :]

    return way


def _without_cells(source: str, draw: random.Random) -> str:
    kept = [line for line in source.splitlines() if not line.startswith("  cell") or draw.random() < 0.5]
    return "\n".join(kept) + "\n"


def _twice(source: str, draw: random.Random) -> str:
    lines = source.splitlines()
    line = draw.choice(lines)
    return source.replace(line, f"{line}\n{line}", 1)


_LIBERTY_WAYS = (
    _replaced(r" : ([\d.]+);", _LIBERTY),
    _replaced(r" : ([\d.]+);", _LIBERTY),
    _replaced(r'function : ("[^"]*")', _EXPRESSIONS),
    _replaced(r'(?:next_state|clocked_on|enable) : ("[^"]*")', _EXPRESSIONS),
    _replaced(r"cell \((\w+)\)", _NAMES),
    _replaced(r"pin \((\w+)\)", _NAMES),
    _replaced(r"direction : (\w+)", ("inout", "internal", "x", "", "input", "output")),
    _replaced(r"( direction : \w+;)", ("",)),
    _replaced(r"( function : \"[^\"]*\";)", ("",)),
    _replaced(r"( capacitance : [\d.]+;)", ("",)),
    _replaced(r"( area : [\d.]+;)", ("",)),
    _replaced(r'time_unit : ("1ns")', ('"1fs"', '"1h"', '""', "1", '"0ns"')),
    _replaced(r"capacitive_load_unit (\(1, pf\))", ("()", "(1, kg)", "(nan, pf)", "(0, pf)", "(1)")),
    _replaced(r"([{}();:,\"])", ("", "{", "}", "(", ")", '"', ";", "{{", "/*", "\\")),
    _replaced(
        r"( ff \([^{]*\{[^}]*\})", ("", " ff () { }", ' ff (A) { clocked_on : "C"; }', " latch (a, b) { }")
    ),
    _without_cells,
    _twice,
)
