"""Describes the registers of an accelerator core, once for decoder, documents, C header and driver.

Registers are `WORD_BITS` wide, little-endian, at multiples of 4 bytes, on an AXI4-Lite port of `ADDRESS_BITS`
address bits. A `Register` of 64 bits takes two places, the low half first. A write changes the strobed bytes
only. Reading a place that no register has is answered SLVERR, and so is writing it or a register that is not
`writable`.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import Any

from .array import Config
from .core import GROUP_BITS, SIZE_BITS, CoreConfig
from .layout import ALIGNMENT, LAYOUT_VERSION
from .table import rows_of

_CHOICES = rows_of(Config)

REGISTER_MAP_VERSION = 1
ADDRESS_BITS = 10
WORD_BITS = 32


class Access(StrEnum):
    """Says what reading and writing a register does; `ACCESS_MEANINGS` explains."""

    CONSTANT = "constant"
    READ = "read"
    COUNTER = "counter"
    WRITE = "read/write"
    SET = "write"
    CLEAR = "read/clear bits"
    CLEAR_ALL = "read/clear all"

    @property
    def writable(self) -> bool:
        """Whether software may write it without an error."""
        return self not in (Access.CONSTANT, Access.READ, Access.COUNTER)


ACCESS_MEANINGS = {
    Access.CONSTANT: "shows what the core is built for; writing it is an error",
    Access.READ: "shows the core's value; writing it is an error",
    Access.COUNTER: "64 bits; reading a low half keeps the high half of the same moment, and reading any "
    "high half shows what was kept last; writing it is an error",
    Access.WRITE: "holds what software wrote",
    Access.SET: "a write acts once, by the strobed bytes only; reads as zero",
    Access.CLEAR: "shows the core's value; a one written to a bit clears it",
    Access.CLEAR_ALL: "shows the core's value; a one written to any field clears the whole register",
}


@dataclass(frozen=True)
class Field:
    """Describes some bits of a register.

    name: the field's name.
    lsb: its lowest bit in the register.
    width: its bits.
    meaning: what it says.
    codes: the names of the values 0, 1, ... of a field that is no number.
    """

    name: str
    lsb: int
    width: int
    meaning: str
    codes: tuple[str, ...] = ()

    @property
    def mask(self) -> int:
        """A word with ones in the field's place."""
        return ((1 << self.width) - 1) << self.lsb


@dataclass(frozen=True)
class Register:
    """Describes a register.

    name: the register's name.
    offset: its address, in bytes.
    access: what reading and writing it does.
    meaning: what it says.
    fields: its parts; empty if it is one number.
    bits: 32 or 64.
    """

    name: str
    offset: int
    access: Access
    meaning: str
    fields: tuple[Field, ...] = ()
    bits: int = WORD_BITS

    @property
    def parts(self) -> tuple[Field, ...]:
        """The fields, or one without a name over all bits of a register that has none."""
        return self.fields or (Field("", 0, self.bits, self.meaning),)

    @property
    def words(self) -> int:
        """The places of `WORD_BITS` that it takes."""
        return self.bits // WORD_BITS

    def with_fields(self, *fields: Field) -> "Register":
        """Returns the register with these fields."""
        return replace(self, fields=fields)

    def field(self, name: str) -> Field:
        """Returns the field of that name. Raises `KeyError` if there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)

    def pack(self, **values: int) -> int:
        """Returns the register's value from those of its fields, 0 where none is given.

        Raises `KeyError` for a name that is no field's, `ValueError` for a value that does not fit.
        """
        packed = 0
        for name, value in values.items():
            field = self.field(name)
            if not 0 <= value < 1 << field.width:
                raise ValueError(f"{self.name}.{name} must be 0 to {(1 << field.width) - 1}, not {value}")
            packed |= value << field.lsb
        return packed

    def unpack(self, value: int) -> dict[str, int]:
        """Returns the values of the fields in the register's value."""
        return {field.name: (value & field.mask) >> field.lsb for field in self.fields}


class Error(IntEnum):
    """Says why the core refused a command (below 16) or ended one (from 16 on)."""

    NONE = 0
    ALIGNMENT = 1
    ADDRESS = 2
    ZERO_SIZE = 3
    SIZE = 4
    GROUP = 5
    LAYOUT = 6
    QUEUE_FULL = 7
    PENDING = 8
    RANGE = 9
    OVERLAP = 10
    READ_SLAVE = 16
    READ_DECODE = 17
    WRITE_SLAVE = 18
    WRITE_DECODE = 19
    ABORTED = 20


ERROR_MEANINGS = {
    Error.NONE: "no error",
    Error.ALIGNMENT: f"an address or stride is no multiple of {ALIGNMENT} bytes",
    Error.ADDRESS: "an address has bits above the core's address bus",
    Error.ZERO_SIZE: "M, K or N is zero",
    Error.SIZE: f"M, K or N has more than {SIZE_BITS} bits",
    Error.GROUP: "the group size is not the one the core is built for",
    Error.LAYOUT: "the memory layout's version is not the core's",
    Error.QUEUE_FULL: "the queue has no room",
    Error.PENDING: "an earlier error is not cleared",
    Error.RANGE: "a region goes beyond the core's last address",
    Error.OVERLAP: "rows of results overlap: O_STRIDE is less than a row",
    Error.READ_SLAVE: "a read was answered SLVERR",
    Error.READ_DECODE: "a read was answered DECERR",
    Error.WRITE_SLAVE: "a write was answered SLVERR",
    Error.WRITE_DECODE: "a write was answered DECERR",
    Error.ABORTED: "software aborted the command",
}

ID_VALUE = 0x4D69_7850
"""ASCII "MixP"."""

_ADDRESSES = {
    "A": "activations",
    "W": "weights",
    "S": "scales",
    "T": "token scales (not read without them)",
    "O": "results",
}

REGISTERS: tuple[Register, ...] = (
    Register("ID", 0x000, Access.CONSTANT, f'0x{ID_VALUE:08X}, "MixP" in ASCII'),
    Register("VERSION", 0x004, Access.CONSTANT, "versions of what software must agree on").with_fields(
        Field("LAYOUT", 0, 8, "of the memory layout"),
        Field("REGISTERS", 8, 8, "of this register map"),
    ),
    Register("SHAPE", 0x008, Access.CONSTANT, "the array").with_fields(
        Field("ROWS", 0, 8, "rows"),
        Field("COLS", 8, 8, "columns"),
        Field("LANES", 16, 8, "products per element and cycle"),
    ),
    Register("FORMAT", 0x00C, Access.CONSTANT, "the operands").with_fields(
        Field("WEIGHT_BITS", 0, 4, "of a weight code"),
        Field("WEIGHT_SIGNED", 4, 1, "codes are two's complement"),
        Field("ZERO_POINT", 5, 1, "groups have zero points"),
        Field("TOKEN_SCALE", 6, 1, "rows have token scales"),
        Field("OUT_FORMAT", 8, 2, "of results", _CHOICES["out_format"].choices),
        Field("ACT_FORMAT", 12, 3, "of activations", _CHOICES["act_format"].choices),
        Field("ACT_BITS", 16, 5, "of an activation"),
        Field("WEIGHT_FORMAT", 21, 3, "of weights", _CHOICES["weight_format"].choices),
        Field("ALIGN_BITS", 24, 6, "of an aligned activation; 0: none are aligned"),
    ),
    Register("GROUP", 0x010, Access.CONSTANT, "weights that share a scale"),
    Register("BUS", 0x014, Access.CONSTANT, "the bus and the queue").with_fields(
        Field("DATA_BYTES", 0, 8, "of a data word"),
        Field("ADDRESS_BITS", 8, 8, "of an address"),
        Field("QUEUE", 16, 4, "commands that can wait behind the one under way"),
    ),
    Register("CONTROL", 0x020, Access.SET, "what to do now").with_fields(
        Field("ABORT", 0, 1, "end the command under way and drop those that wait"),
        Field("CLEAR_COUNTERS", 1, 1, "set all counters to zero"),
    ),
    Register("STATUS", 0x024, Access.READ, "what the core does").with_fields(
        Field("BUSY", 0, 1, "a command is under way or waits"),
        Field("QUEUED", 4, 4, "commands that wait"),
    ),
    Register("INTERRUPT", 0x028, Access.CLEAR, "causes of an interrupt").with_fields(
        Field("DONE", 0, 1, "a command is done"),
        Field("ERROR", 1, 1, "a command was refused or ended by an error"),
    ),
    Register("INTERRUPT_ENABLE", 0x02C, Access.WRITE, "causes that raise the wire `irq`").with_fields(
        Field("DONE", 0, 1, "as in INTERRUPT"),
        Field("ERROR", 1, 1, "as in INTERRUPT"),
    ),
    Register("ERROR", 0x030, Access.CLEAR_ALL, "the first error since it was cleared").with_fields(
        Field("CODE", 0, 8, "0 if there is none"),
        Field("TAG", 16, 16, "of the command"),
    ),
    Register("DONE", 0x034, Access.READ, "the last command that is done").with_fields(
        Field("COUNT", 0, 16, "of commands done since reset, modulo 65536"),
        Field("TAG", 16, 16, "its tag"),
    ),
    *(
        Register(f"{letter}_ADDRESS", 0x040 + 8 * index, Access.WRITE, f"address of the {what}", bits=64)
        for index, (letter, what) in enumerate(_ADDRESSES.items())
    ),
    Register("A_STRIDE", 0x068, Access.WRITE, "bytes from one row of activations to the next"),
    Register("O_STRIDE", 0x06C, Access.WRITE, "bytes from one row of results to the next"),
    Register("M", 0x070, Access.WRITE, "rows of activations and results"),
    Register("K", 0x074, Access.WRITE, "inner dimension"),
    Register("N", 0x078, Access.WRITE, "columns of weights and results"),
    Register("OPERANDS", 0x07C, Access.WRITE, "how the weights were packed").with_fields(
        Field("GROUP", 0, GROUP_BITS, "weights that share a scale"),
        Field("LAYOUT", 16, 8, "version of the layout"),
    ),
    Register(
        "SUBMIT", 0x080, Access.SET, "queue the command that the registers from A_ADDRESS on describe"
    ).with_fields(
        Field("TAG", 0, 16, "name of the command in DONE and ERROR"),
    ),
    Register("CYCLES", 0x100, Access.COUNTER, "cycles with a command under way", bits=64),
    Register("BEATS", 0x108, Access.COUNTER, "of them: the array took operands", bits=64),
    Register(
        "STALL_READ", 0x110, Access.COUNTER, "of them: the array waited for operands from memory", bits=64
    ),
    Register(
        "STALL_ARRAY",
        0x118,
        Access.COUNTER,
        "of them: operands waited for the array: short groups, and results not yet written",
        bits=64,
    ),
    Register("READ_BYTES", 0x120, Access.COUNTER, "read on the bus, whole words", bits=64),
    Register("WRITE_BYTES", 0x128, Access.COUNTER, "written on the bus, strobed bytes only", bits=64),
)

_BY_NAME = {each.name: each for each in REGISTERS}


def register(name: str) -> Register:
    """Returns the register of that name. Raises `KeyError` if there is none."""
    return _BY_NAME[name]


CODE_BITS = register("ERROR").field("CODE").width
TAG_BITS = register("SUBMIT").field("TAG").width
QUEUED_BITS = register("STATUS").field("QUEUED").width

COMMAND: tuple[tuple[Register, Field], ...] = tuple(
    (each, part)
    for each in REGISTERS
    if register("A_ADDRESS").offset <= each.offset <= register("SUBMIT").offset
    for part in each.parts
)
"""The registers that describe a command, and their parts, from A_ADDRESS to SUBMIT."""


def constants(config: CoreConfig) -> Mapping[str, int]:
    """Returns the values of the registers of `Access.CONSTANT`, by name, in the core `config`."""
    array = config.array
    formats = register("FORMAT")
    return {
        "ID": ID_VALUE,
        "VERSION": register("VERSION").pack(LAYOUT=LAYOUT_VERSION, REGISTERS=REGISTER_MAP_VERSION),
        "SHAPE": register("SHAPE").pack(ROWS=array.rows, COLS=array.cols, LANES=array.lanes),
        "FORMAT": formats.pack(**{part.name: _code(part, array) for part in formats.fields}),
        "GROUP": array.group,
        "BUS": register("BUS").pack(
            DATA_BYTES=config.word_bytes, ADDRESS_BITS=config.address_bits, QUEUE=config.queue
        ),
    }


def _code(part: Field, array: Config) -> int:
    """Returns the value of a field of FORMAT, which is called after the field of `Config` that it shows."""
    value = getattr(array, part.name.lower())
    return part.codes.index(value) if part.codes else int(value)


def format_fields(value: int) -> dict[str, Any]:
    """Returns the fields of `Config` that the value of the register FORMAT shows, by name.

    Raises `IndexError` for a code that this software does not know.
    """
    kinds = {each.name: each.type for each in dataclasses.fields(Config)}
    found: dict[str, Any] = {}
    for part in register("FORMAT").fields:
        code, name = (value & part.mask) >> part.lsb, part.name.lower()
        found[name] = part.codes[code] if part.codes else bool(code) if kinds[name] is bool else code
    return found
