"""TOML, JSON and plain text of the user's: read, and checked against dataclasses; JSON as it is written.

What is wrong is one line that names the file, the field, its value and what is allowed.
"""

import json
import math
import tomllib
import types
from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from ..spec.errors import UserError
from .files import looks_like, read_text

Held = TypeVar("Held")


def read_plain(path: Path, what: str) -> str:
    """Returns the text of a file in UTF-8, without a byte order mark, its line ends as "\\n".

    Raises `UserError` for a file that cannot be read, of another encoding, or with NUL
    bytes, which no text has.
    """
    text = read_text(path, what, encoding="utf-8-sig")
    if "\0" in text:
        place = len(text[: text.index("\0")].encode())
        why = looks_like(text.encode()) or f"there is one at byte {place}"
        raise UserError(f"{what} {path} must be UTF-8, without NUL bytes: {why}")
    return text


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Returns the content of a TOML file, with a byte order mark or without. Raises `UserError`."""
    text = read_text(path, what, encoding="utf-8-sig")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # of too long a number, too deep a list
        raise UserError(f"{what} {path} is not TOML: {error}") from None


def read_json(path: Path, what: str) -> Any:
    """Returns the content of a JSON file, with a byte order mark or without.

    Raises `UserError`, also for NaN and infinities, which JSON has not, and for a key that stands twice in an
    object.
    """
    text = read_text(path, what, encoding="utf-8-sig")
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_twins)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{what} {path} is not JSON: {error}") from None


def to_json(values: Any) -> str:
    """Returns JSON text, which everybody reads: a number that is not finite is an error of ours."""
    return json.dumps(values, indent=2, allow_nan=False) + "\n"


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twin!r} stands twice in an object")
    return found


def read_as(
    cls: type[Held],
    values: Mapping[str, Any],
    where: str,
    *,
    names: Mapping[str, str] = {},
    hint: str = "",
    foreign: bool = False,
) -> Held:
    """Returns the dataclass `cls`, made of `values` as JSON or TOML hold them.

    names: those of fields that the file calls otherwise. hint: what the message about a missing or an unknown
    field says besides. foreign: unknown fields are skipped.

    Raises `UserError`, which begins with `where`, for a field that is missing, unknown or of another type,
    and for what `cls` itself refuses.
    """
    hints = get_type_hints(cls)
    expected = {names.get(own, own): own for own in cast(Any, cls).__dataclass_fields__}
    after = f": {hint}" if hint else ""
    if missing := [name for name in expected if name not in values]:
        raise UserError(f"{where} lacks the field {missing[0]}{after}")
    if unknown := [name for name in values if name not in expected and not foreign]:
        raise UserError(f"{where} has an unknown field {unknown[0][:40]!r}{after}")
    made = {own: _value(hints[own], values[name], f"{where}: {name}", hint) for name, own in expected.items()}
    try:
        return cls(**made)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _value(kind: Any, value: Any, where: str, hint: str) -> Any:
    """Returns `value` as the annotation `kind` has it. Raises `UserError` if it is something else."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        (kind,) = (each for each in inner if each is not type(None))
        return _value(kind, value, where, hint)
    if is_dataclass(kind) and isinstance(value, dict):
        return read_as(cast(type, kind), value, where, hint=hint)
    if origin is Literal and isinstance(value, str) and value in inner:
        return value
    if origin is dict and isinstance(value, dict):
        return {name: _value(inner[1], each, f"{where}: {name}", hint) for name, each in value.items()}
    if origin is tuple and isinstance(value, list):
        kinds = [inner[0]] * len(value) if inner[1:] == (...,) else inner
        if len(kinds) == len(value):
            return tuple(_value(own, each, where, hint) for own, each in zip(kinds, value, strict=True))
    if kind is float and (number := _finite(value)) is not None:
        return number
    if kind in (bool, int) and type(value) is kind:
        return value
    if kind is str and isinstance(value, str) and value.isprintable():
        return value
    allowed = f"one of {', '.join(map(str, inner))}" if origin is Literal else _words(kind)
    raise UserError(f"{where} must be {allowed}, not {shown(value)}")


def _finite(value: Any) -> float | None:
    """Returns a number as a float; None for anything else, and for one that is no finite float."""
    if type(value) not in (int, float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _words(kind: Any) -> str:
    plain = {float: "a number", int: "an integer", str: "text in a line", bool: "true or false"}
    if kind in plain:
        return plain[kind]
    return "an object" if is_dataclass(kind) or get_origin(kind) is dict else "a list of the right length"


def shown(value: Any) -> str:
    """Returns a value of a file in a few characters, for a message."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else f"{text[:37]}..."
