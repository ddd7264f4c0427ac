"""The table of fields: what each field of a configuration may be and what it means, stated once.

A configuration is a frozen dataclass whose fields are made by `row`. The checks below, the options of the
command line and the tables of docs/configuration.md all read those rows.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from .errors import UserError

_KEY = "row"


@dataclass(frozen=True, kw_only=True)
class Row:
    """Describes one field.

    name, kind, default: as the dataclass has them. meaning: a whole sentence.
    choices: all values that are allowed, or none if `limits` or the type alone say what is.
    limits: least and greatest value. zero: 0 is allowed besides, and stands for a value that is worked out.
    power: only powers of two are allowed.
    schemes: names of the schemes (of an array) or buses (of a core) that the field belongs to; in all others
        it must have its default. Empty: it belongs to all.
    short: how a generated name shows a value that is not the default, such as "acc{}"; none if empty.
    hint: what a refusal of a value out of `limits` says besides.
    """

    name: str
    kind: type
    default: Any
    meaning: str
    choices: tuple[Any, ...] = ()
    limits: tuple[int, int] | None = None
    zero: bool = False
    power: bool = False
    schemes: tuple[str, ...] = ()
    short: str = ""
    hint: str = ""

    @property
    def allowed(self) -> str:
        """Says in words what the field may be, as far as the field alone decides that."""
        if self.choices:
            return f"one of {', '.join(map(str, self.choices))}"
        if self.limits:
            span = f"{self.limits[0]} to {self.limits[1]}"
            return f"{'0 or ' if self.zero else ''}{'a power of two, ' if self.power else ''}{span}"
        if self.kind is bool:
            return "true or false"
        return "a lower-case letter, then lower-case letters, digits and underscores"

    def check_type(self, value: Any) -> None:
        """Raises `UserError` unless `value` has the field's type."""
        if type(value) is not self.kind:
            raise UserError(f"{self.name} must be of type {self.kind.__name__}, not {value!r}")

    def check_value(self, value: Any) -> None:
        """Raises `UserError` unless `value`, of the field's type, is allowed."""
        if self.choices and value not in self.choices:
            raise UserError(f"{self.name} must be {self.allowed}, not {value!r}")
        if not self.limits or (self.zero and not value):
            return
        low, high = self.limits
        if not low <= value <= high:
            hint = f"; {self.hint}" if self.hint else ""
            span = f"{'0 or ' if self.zero else ''}{low} to {high}"
            raise UserError(f"{self.name} must be {span}, not {value}{hint}")
        if self.power and value & (value - 1):
            raise UserError(f"{self.name} must be a power of two, not {value}")

    def shown(self, value: Any) -> str:
        """Returns what a generated name shows of `value`; nothing for the default."""
        return "" if value == self.default else self.short.format(value)


def row(default: Any, meaning: str, **facts: Any) -> Any:
    """Makes a field of a dataclass, and its row of the table; `facts` are more members of `Row`."""
    return dataclasses.field(default=default, metadata={_KEY: {"meaning": meaning, **facts}})


@cache
def rows_of(configuration: type) -> Mapping[str, Row]:
    """Returns the rows of a dataclass by the names of its fields, in their order."""
    return {
        field.name: Row(name=field.name, kind=field.type, default=field.default, **field.metadata[_KEY])  # type: ignore[arg-type]
        for field in dataclasses.fields(configuration)
        if _KEY in field.metadata
    }


def check_types(configuration: Any) -> None:
    """Raises `UserError` unless every field of the dataclass that has a row has its type."""
    for name, each in rows_of(type(configuration)).items():
        each.check_type(getattr(configuration, name))


def check_values(configuration: Any) -> None:
    """Raises `UserError` unless every field of the dataclass that has a row has a value its row allows."""
    for name, each in rows_of(type(configuration)).items():
        each.check_value(getattr(configuration, name))


def check_scheme(configuration: Any, scheme: str, words: str) -> None:
    """Raises `UserError` unless the fields that do not belong to `scheme`, called `words`, have defaults."""
    for name, each in rows_of(type(configuration)).items():
        value = getattr(configuration, name)
        if each.schemes and scheme not in each.schemes and value != each.default:
            raise UserError(f"{name} must be {each.default} for {words}, not {value}")
