"""The register map as Markdown and as a C header."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..spec.layout import ALIGNMENT, LAYOUT_VERSION
from ..spec.registers import (
    ACCESS_MEANINGS,
    ADDRESS_BITS,
    ERROR_MEANINGS,
    ID_VALUE,
    REGISTER_MAP_VERSION,
    REGISTERS,
    WORD_BITS,
    Access,
    Error,
    Field,
    Register,
)
from ..support.files import around, write_file

BEGIN, END = "<!-- registers:begin -->", "<!-- registers:end -->"


def register_table() -> str:
    """Markdown: tables of the registers, of what their access means, of their fields, of the error codes."""
    registers = (
        (
            f"`0x{each.offset:03X}`",
            f"`{each.name}`",
            str(each.bits),
            str(each.access),
            _reset(each),
            each.meaning,
        )
        for each in REGISTERS
    )
    accesses = ((str(access), ACCESS_MEANINGS[access]) for access in Access)
    fields = (
        (f"`{each.name}`", f"`{field.name}`", _bits(field), _meaning(field))
        for each in REGISTERS
        for field in each.fields
    )
    errors = ((str(int(error)), f"`{error.name}`", ERROR_MEANINGS[error]) for error in Error)
    return "\n".join(
        (
            _table(("offset", "register", "bits", "access", "after reset", "meaning"), registers),
            _table(("access", "meaning"), accesses),
            "Fields; bits of no field read as zero, and writing them changes nothing:\n",
            _table(("register", "field", "bits", "meaning"), fields),
            "Error codes:\n",
            _table(("code", "name", "meaning"), errors),
        )
    )


def update(path: Path) -> Path:
    """Replaces what stands in the Markdown file `path` between `BEGIN` and `END`. Returns `path`.

    Raises `UserError` if the file cannot be read or written, or lacks the markers, once each and in order.
    """
    return write_file(path, updated(path))


def updated(path: Path) -> str:
    """What `update` makes of the file."""
    before, after = around(path, BEGIN, END)
    return f"{before}{BEGIN}\n{register_table()}{END}{after}"


def c_header(name: str) -> str:
    """A C header (C99, C++) of the register map for the core called `name`.

    All its names begin with the core's, in upper case, so that a program can include the headers of several
    cores. Of a register R of the core `core`: `CORE_R_OFFSET` in bytes, and `CORE_R_HIGH_OFFSET` of the high
    half of 64 bits. Of its field F: `CORE_R_F_MASK`, `CORE_R_F_SHIFT`, and a `CORE_R_F_<code>` for each value
    that has a name. The codes of ERROR are `enum core_error`.
    """
    prefix = f"{name.upper()}_"
    guard = f"{prefix}H_INCLUDED"
    errors = [
        f"    {prefix}ERR_{error.name} = {int(error)}{'' if error is list(Error)[-1] else ','}"
        f" /* {ERROR_MEANINGS[error]} */"
        for error in Error
    ]
    lines = [
        f"/* Registers of the mixpe core {name}: 32 bits wide, little-endian; offsets in bytes. */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        *_defines(prefix, _constants()),
        *(line for each in REGISTERS for line in _register_lines(prefix, each)),
        "",
        "/* Why the core refused a command (below 16) or ended one. */",
        f"enum {name}_error {{",
        *errors,
        "};",
        "",
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def _constants() -> Iterator[tuple[str, str]]:
    yield "REGISTER_MAP_VERSION", f"{REGISTER_MAP_VERSION}u"
    yield "LAYOUT_VERSION", f"{LAYOUT_VERSION}u"
    yield "ALIGNMENT", f"{ALIGNMENT}u"
    yield "REGISTER_SPACE", f"0x{1 << ADDRESS_BITS:X}u"
    yield "ID_VALUE", f"0x{ID_VALUE:08X}u"


def _register_lines(prefix: str, each: Register) -> Iterator[str]:
    yield ""
    yield f"/* {each.name} ({each.access}): {each.meaning} */"
    yield from _defines(prefix, _places(each))
    for field in each.fields:
        yield f"/* {field.name}: {field.meaning} */"
        yield from _defines(prefix, _field_values(each, field))


def _places(each: Register) -> Iterator[tuple[str, str]]:
    yield f"{each.name}_OFFSET", f"0x{each.offset:03X}u"
    if each.words > 1:
        yield f"{each.name}_HIGH_OFFSET", f"0x{each.offset + WORD_BITS // 8:03X}u"


def _field_values(each: Register, field: Field) -> Iterator[tuple[str, str]]:
    name = f"{each.name}_{field.name}"
    yield f"{name}_MASK", f"0x{field.mask:08X}u"
    yield f"{name}_SHIFT", f"{field.lsb}"
    for value, code in enumerate(field.codes):
        yield f"{name}_{code.upper()}", f"{value}u"


def _defines(prefix: str, values: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, value in values:
        yield f"#define {prefix}{name} {value}"


def _reset(each: Register) -> str:
    if each.access is Access.CONSTANT:
        return "constant"
    return "-" if each.access is Access.SET else "0"


def _bits(field: Field) -> str:
    return f"{field.lsb + field.width - 1}:{field.lsb}" if field.width > 1 else f"{field.lsb}"


def _meaning(field: Field) -> str:
    codes = ", ".join(f"{value} {code}" for value, code in enumerate(field.codes))
    return f"{field.meaning}: {codes}" if codes else field.meaning


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, [":--"] * len(headings), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
