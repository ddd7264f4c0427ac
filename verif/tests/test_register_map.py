"""The register map itself, and what is written from it: the tables of the documents and the C header."""

import dataclasses
import re
import subprocess
from pathlib import Path

import pytest

from mixpe.gen.registers import BEGIN, END, c_header, register_table, update, updated
from mixpe.hw.core.command import Command
from mixpe.spec import registers as register_map
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig
from mixpe.spec.errors import UserError
from mixpe.spec.formats.numbers import ACT_FORMATS, OUT_FORMATS
from mixpe.spec.layout import ALIGNMENT, LAYOUT_VERSION
from mixpe.spec.registers import (
    ACCESS_MEANINGS,
    ADDRESS_BITS,
    ERROR_MEANINGS,
    REGISTERS,
    Access,
    Error,
    constants,
    register,
)

WORD = 4  # bytes
FIELDS = [(each, field) for each in REGISTERS for field in each.fields]


def test_places():
    """Every register has places of its own, aligned to words, within the port's addresses."""
    places = [each.offset + byte for each in REGISTERS for byte in range(each.bits // 8)]
    assert len(set(places)) == len(places)
    assert max(places) < 1 << ADDRESS_BITS
    assert min(places) == 0
    assert all(each.offset % WORD == 0 and each.bits in (32, 64) for each in REGISTERS)
    assert len({each.name for each in REGISTERS}) == len(REGISTERS)


def test_fields():
    """Fields lie within their registers and share no bit."""
    for each in REGISTERS:
        bits = [bit for field in each.fields for bit in range(field.lsb, field.lsb + field.width)]
        assert len(set(bits)) == len(bits)
        assert all(0 <= bit < 32 for bit in bits)
        assert sum(field.mask for field in each.fields) == sum(1 << bit for bit in bits)
        assert not each.fields or each.bits == 32
        assert len({field.name for field in each.fields}) == len(each.fields)
        assert all(len(field.codes) <= 1 << field.width for field in each.fields)


def test_interrupts_are_enabled_by_their_own_bits():
    causes, enables = (register(name).fields for name in ("INTERRUPT", "INTERRUPT_ENABLE"))
    assert [(field.name, field.mask) for field in causes] == [(field.name, field.mask) for field in enables]


def test_errors():
    """Each fits in ERROR.CODE and has a meaning; 0 is none."""
    assert set(ERROR_MEANINGS) == set(Error)
    assert all(ERROR_MEANINGS.values())
    assert Error.NONE == 0
    assert max(Error) < 1 << register("ERROR").field("CODE").width


def test_every_access_has_a_meaning():
    assert set(ACCESS_MEANINGS) == set(Access)
    assert {each.access for each in REGISTERS if each.bits == 64} == {Access.WRITE, Access.COUNTER}
    assert all(each.bits == 64 for each in REGISTERS if each.access is Access.COUNTER)


def test_pack_and_unpack():
    operands = register("OPERANDS")
    assert operands.pack(GROUP=0x1234, LAYOUT=0x56) == 0x0056_1234
    assert operands.pack(LAYOUT=1) == 0x0001_0000
    assert operands.unpack(0xFF56_1234) == {"GROUP": 0x1234, "LAYOUT": 0x56}
    with pytest.raises(ValueError, match=re.escape("OPERANDS.LAYOUT must be 0 to 255, not 256")):
        operands.pack(LAYOUT=256)
    with pytest.raises(ValueError, match="not -1"):
        operands.pack(GROUP=-1)
    with pytest.raises(KeyError):
        operands.pack(TAG=1)
    with pytest.raises(KeyError):
        register("NONE")


@pytest.mark.parametrize("out_format", OUT_FORMATS)
@pytest.mark.parametrize("act_format", ["int", *ACT_FORMATS])
def test_formats_have_codes(act_format, out_format):
    scheme = {} if act_format == "int" else {"fp_scheme": "fp_mac"}
    config = Config(rows=2, cols=2, act_format=act_format, out_format=out_format, **scheme)
    fields = register("FORMAT").unpack(constants(CoreConfig(array=config))["FORMAT"])
    for name, expected in (("ACT_FORMAT", act_format), ("OUT_FORMAT", out_format)):
        assert register("FORMAT").field(name).codes[fields[name]] == expected
    assert fields["ACT_BITS"] == config.act_bits


def test_constants_are_those_of_the_map():
    names = {each.name for each in REGISTERS if each.access is Access.CONSTANT}
    assert set(constants(CoreConfig())) == names


def test_command():
    """As long as software writes it."""
    widths = {name: field.width for name, field in Command()}
    addresses = dict.fromkeys(("a_address", "w_address", "s_address", "t_address", "o_address"), 64)
    words = dict.fromkeys(("a_stride", "o_stride", "m", "k", "n"), 32)
    assert widths == addresses | words | {"group": 16, "layout": 8, "tag": 16}


def rows(table: str) -> list[list[str]]:
    """The cells of every line of Markdown tables; names without their backquotes."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [
        [re.sub(r"^`(\w+)`$", r"\1", cell.strip()) for cell in line.strip("|").split("|")] for line in lines
    ]


def test_table():
    """Every register, access, field and error has its line, and every line as many cells as its heading."""
    table = rows(register_table())
    for each in REGISTERS:
        (line,) = [line for line in table if line[0] == f"0x{each.offset:03X}"]
        reset = {Access.CONSTANT: "constant", Access.SET: "-"}.get(each.access, "0")
        assert line == [f"0x{each.offset:03X}", each.name, str(each.bits), each.access, reset, each.meaning]
    for each, field in FIELDS:
        (line,) = [line for line in table if line[:2] == [each.name, field.name]]
        high, _, low = line[2].partition(":")
        assert (int(high), int(low or high)) == (field.lsb + field.width - 1, field.lsb)
        assert line[3].startswith(field.meaning)
    for error in Error:
        assert [str(int(error)), error.name, ERROR_MEANINGS[error]] in table
    for access in Access:
        assert [access, ACCESS_MEANINGS[access]] in table
    assert "of results: 0 fp32, 1 fp16, 2 bf16" in register_table()
    blocks = [rows(block) for block in register_table().split("\n\n")]
    assert all(len({len(line) for line in block}) <= 1 for block in blocks)


def test_update(tmp_path):
    path = tmp_path / "core.md"
    text = f"# Core\n\n{BEGIN}\nold\n{END}\n\nMore.\n"
    path.write_text(text, encoding="utf-8")
    assert update(path) == path
    found = path.read_text(encoding="utf-8")
    assert found == f"# Core\n\n{BEGIN}\n{register_table()}{END}\n\nMore.\n" == updated(path)


def test_document_is_current():
    path = Path(__file__).parents[2] / "docs" / "core.md"
    assert path.read_text(encoding="utf-8") == updated(path)


@pytest.mark.parametrize("text", ["", f"{BEGIN}\n", f"{END}\n{BEGIN}\n", f"{BEGIN}\n{END}\n{BEGIN}\n{END}\n"])
def test_markers_are_needed(tmp_path, text):
    path = tmp_path / "core.md"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=re.escape(f"{path} must hold the lines {BEGIN} and {END}")):
        update(path)
    assert path.read_text(encoding="utf-8") == text


def test_unreadable_documents(tmp_path):
    with pytest.raises(UserError, match="cannot be read: No such file"):
        update(tmp_path / "none.md")
    path = tmp_path / "core.md"
    path.write_bytes(b"\xff")
    with pytest.raises(UserError, match="must be UTF-8"):
        update(path)


def expected_macros(core: str) -> dict[str, int]:
    """What the header of `core` says, from the map."""
    values = {
        "REGISTER_MAP_VERSION": register_map.REGISTER_MAP_VERSION,
        "LAYOUT_VERSION": LAYOUT_VERSION,
        "ALIGNMENT": ALIGNMENT,
        "REGISTER_SPACE": 1024,
        "ID_VALUE": int.from_bytes(b"MixP", "big"),
    }
    for each in REGISTERS:
        values[f"{each.name}_OFFSET"] = each.offset
        if each.bits == 64:
            values[f"{each.name}_HIGH_OFFSET"] = each.offset + WORD
    for each, field in FIELDS:
        name = f"{each.name}_{field.name}"
        values |= {f"{name}_SHIFT": field.lsb, f"{name}_MASK": (2**field.width - 1) * 2**field.lsb}
        values |= {f"{name}_{code.upper()}": value for value, code in enumerate(field.codes)}
    return {f"{core.upper()}_{macro}": value for macro, value in values.items()}


@pytest.mark.parametrize(("compiler", "standard"), [("gcc", "c99"), ("g++", "c++98"), ("g++", "c++20")])
def test_c_headers(tmp_path, compiler, standard):
    """Those of two cores compile without a warning, twice in one file, and a program sees their numbers."""
    cores = ("core", "core_interrupt")  # a register is called INTERRUPT_ENABLE
    expected, include, checks = {}, "", []
    for name in cores:
        header, macros = c_header(name), expected_macros(name)
        defined = re.findall(r"^#define (\w+) \S", header, re.MULTILINE)
        assert sorted(defined) == sorted(macros)
        (tmp_path / f"{name}.h").write_text(header, encoding="utf-8")
        expected |= macros | {f"{name.upper()}_ERR_{error.name}": int(error) for error in Error}
        include += f'#include "{name}.h"\n'
        checks.append(f"enum {name}_error of_{name} = {name.upper()}_ERR_NONE;")
    lines = [f'printf("{macro} %lu\\n", (unsigned long)({macro}));' for macro in expected]
    returns = f"return {' + '.join(f'(int)of_{name}' for name in cores)};"
    body = "\n    ".join([*checks, *lines, returns])
    program = tmp_path / "program"
    source = program.with_suffix(".c" if compiler == "gcc" else ".cpp")
    source.write_text(
        f"#include <stdio.h>\n{include}{include}int main(void) {{\n    {body}\n}}\n", encoding="utf-8"
    )
    flags = ["-Wall", "-Wextra", "-pedantic", "-Werror", f"-std={standard}"]
    subprocess.run([compiler, *flags, "-o", str(program), str(source)], check=True)
    printed = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout
    assert {name: int(value) for name, value in map(str.split, printed.splitlines())} == expected


def test_header_follows_the_map(monkeypatch):
    """No number in it is a copy."""
    moved = [dataclasses.replace(each, offset=each.offset + 0x200) for each in REGISTERS]
    monkeypatch.setattr("mixpe.gen.registers.REGISTERS", moved)
    assert "#define CORE_SUBMIT_OFFSET 0x280u" in c_header("core")
