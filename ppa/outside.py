"""Competitors from outside this package: what their descriptions say, checked (docs/competitors.md)."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..spec.array import Config
from ..spec.errors import UserError
from ..spec.fields import check_name

Arithmetic = Literal["integer", "float", "fp16"]

OPERANDS = ("weights", "activations")
CONTROLS = ("reset", "valid", "first", "last", "clear")
"""Ports of one bit that the stimulus drives, where a competitor has them."""

_PORTS = ("clock", *OPERANDS, "sum", *CONTROLS)
_FORMAT = re.compile(r"W([2-8])A(\d{1,2})")
_LATENCY = (0, 64)
_GROUP = 128


@dataclass(frozen=True)
class Description:
    """What a competitor is, in its own words.

    role: the formats it multiplies: "INT8", "W4A8" and the like for integers, "W4A16" for integer weights
        and FP16 activations, "FP16" for weights that are FP16 too.
    ports: the name of each port by what it does. constants: values of other inputs.
    parameters: of the Verilog module. latency: cycles from a group's last operands until its sum.
    exact: the sums must be those of NumPy, bit for bit.
    """

    name: str
    title: str
    role: str
    config: Config
    arithmetic: Arithmetic
    ports: Mapping[str, str]
    constants: Mapping[str, int] = field(default_factory=dict)
    parameters: Mapping[str, int] = field(default_factory=dict)
    latency: int = 1
    reset_high: bool = True
    exact: bool = True

    @property
    def operand_bits(self) -> dict[str, int]:
        """Returns the width of each operand port: all lanes, lane 0 in the low bits."""
        weight = 16 if self.arithmetic == "fp16" else self.config.weight_bits
        lanes = self.config.lanes
        return {"weights": lanes * weight, "activations": lanes * self.config.act_bits}


@dataclass(frozen=True)
class Outside:
    """A competitor ready to be measured.

    verilog: its own Verilog, and a module `top` around it whose ports are called clk, sum, and by what they
        do: weights, activations, and those of `CONTROLS` that it has. sum_bits: width of its sum.
    """

    description: Description
    top: str
    verilog: str
    sum_bits: int

    @property
    def name(self) -> str:
        """Returns the design's name."""
        return self.description.name

    @property
    def title(self) -> str:
        """Says what the design is."""
        return self.description.title

    @property
    def config(self) -> Config:
        """Returns formats, group and lanes; the other fields mean nothing."""
        return self.description.config


def describe(values: Mapping[str, Any], default_name: str, own: Collection[str], where: str) -> Description:
    """Returns the description that the fields `values` give.

    own: fields that only this kind of competitor has. Raises `UserError`, which begins with `where`.
    """
    known = ("name", "title", "role", "lanes", "group", "ports", "constants", *_OPTIONS, *own)
    for key in values:
        if key not in known:
            raise UserError(f"{where}: unknown field {key!r}, must be one of {', '.join(known)}")
    for key in ("role", "ports"):
        if key not in values:
            raise UserError(f"{where}: the field {key} is missing")
    name = _typed(values.get("name", default_name), str, f"{where}: name")
    role = _typed(values["role"], str, f"{where}: role")
    try:
        check_name(name)
        config, arithmetic = _formats(role, name, values, where)
    except UserError as error:
        raise UserError(str(error) if str(error).startswith(where) else f"{where}: {error}") from None
    latency = _typed(values.get("latency", 1), int, f"{where}: latency")
    if not _LATENCY[0] <= latency <= _LATENCY[1]:
        raise UserError(f"{where}: latency must be {_LATENCY[0]} to {_LATENCY[1]}, not {latency}")
    active = values.get("reset_active", "high")
    if active not in ("high", "low"):
        raise UserError(f"{where}: reset_active must be high or low, not {active!r}")
    return Description(
        name=name,
        title=_typed(values.get("title", f"{role} {name}"), str, f"{where}: title"),
        role=role,
        config=config,
        arithmetic=arithmetic,
        ports=_ports(values["ports"], where),
        constants=_integers(values.get("constants", {}), f"{where}: constants"),
        parameters=_integers(values.get("parameters", {}), f"{where}: parameters"),
        latency=latency,
        reset_high=active == "high",
        exact=_typed(values.get("exact", True), bool, f"{where}: exact"),
    )


_OPTIONS = ("latency", "reset_active", "exact")


def _formats(role: str, name: str, values: Mapping[str, Any], where: str) -> tuple[Config, Arithmetic]:
    """Returns the formats of a role, with lanes and group, and how products are added."""
    sizes = {
        key: _typed(values.get(key, default), int, f"{where}: {key}")
        for key, default in (("lanes", 1), ("group", _GROUP))
    }
    shape: dict[str, Any] = {"name": name, "rows": 1, "cols": 1, **sizes}
    if role == "INT8":
        return Config(weight_bits=8, act_bits=8, **shape), "integer"
    floats: dict[str, Any] = {"act_format": "fp16", "fp_scheme": "fp_mac"}
    if role == "FP16":
        return Config(**floats, **shape), "fp16"
    if found := _FORMAT.fullmatch(role):
        weight_bits, act_bits = int(found[1]), int(found[2])
        if act_bits == 16:
            return Config(weight_bits=weight_bits, **floats, **shape), "float"
        if 4 <= act_bits < 16:
            return Config(weight_bits=weight_bits, act_bits=act_bits, **shape), "integer"
    raise UserError(
        f"{where}: role must be INT8, FP16 or W<2 to 8>A<4 to 16> such as W4A8 (A16: FP16 activations), "
        f"not {role!r}"
    )


def _ports(values: Any, where: str) -> dict[str, str]:
    """Returns the ports by what they do; the clock is clk if nothing is said."""
    if not isinstance(values, Mapping):
        raise UserError(f"{where}: ports must be a table, not {values!r}")
    ports = {"clock": "clk"} | {
        role: _typed(name, str, f"{where}: port {role}") for role, name in values.items()
    }
    for role in ports:
        if role not in _PORTS:
            raise UserError(f"{where}: ports: unknown port {role!r}, must be one of {', '.join(_PORTS)}")
    for role in (*OPERANDS, "sum"):
        if role not in ports:
            raise UserError(f"{where}: ports: {role} is missing")
    if len(set(ports.values())) < len(ports):
        raise UserError(f"{where}: ports: one name must not stand for two ports")
    if "first" in ports and "clear" in ports:
        raise UserError(f"{where}: ports: a group begins with first or with clear, not with both")
    return ports


def _integers(values: Any, where: str) -> dict[str, int]:
    if not isinstance(values, Mapping):
        raise UserError(f"{where} must be a table, not {values!r}")
    for name, value in values.items():
        if _typed(value, int, f"{where}: {name}") < 0:
            raise UserError(f"{where}: {name} must be an integer from 0 up, not {value}")
    return dict(values)


_TYPES = {str: "text", int: "an integer", bool: "true or false"}


def _typed(value: Any, kind: type, where: str) -> Any:
    if type(value) is not kind:
        raise UserError(f"{where} must be {_TYPES[kind]}, not {value!r}")
    return value
