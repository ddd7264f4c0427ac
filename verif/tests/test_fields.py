"""The table of fields: it is whole, and help, document and generated names say what it says."""

import dataclasses
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from mixpe.cli.commands import cli
from mixpe.gen.configurations import ARRAY_ROWS, CORE_ROWS
from mixpe.gen.field_tables import field_table, with_tables
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig
from mixpe.spec.errors import UserError
from mixpe.spec.schemes import SCHEMES
from mixpe.spec.table import rows_of

ROOT = Path(__file__).parents[2]
ROWS = {**ARRAY_ROWS, **CORE_ROWS}


def test_every_field_has_a_row():
    for configuration, besides in ((Config, set()), (CoreConfig, {"array"})):
        names = {field.name for field in dataclasses.fields(configuration)}
        assert rows_of(configuration).keys() | besides == names


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_row(row):
    assert re.fullmatch(r"[A-Z][a-z]+s .*\.", row.meaning), "a sentence with a verb"
    assert ". " not in row.meaning
    assert set(row.schemes) <= {*SCHEMES, "axi"}
    row.check_type(row.default)
    row.check_value(row.default)


@pytest.mark.parametrize("row", [row for row in ROWS.values() if row.choices], ids=lambda row: row.name)
def test_allowed_choices(row):
    assert row.allowed == f"one of {', '.join(map(str, row.choices))}"


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_allowed_is_what_is_checked(row):
    """The words in help and document, read back, are the limits that the check keeps."""
    if not row.limits:
        return
    words = re.fullmatch(r"(0 or )?(a power of two, )?(\d+) to (\d+)", row.allowed)
    assert words
    low, high = int(words[3]), int(words[4])
    some = {value for value in (low, low + 1, low + 2, high - 1, high) if low <= value <= high}
    refused = {low - 1, high + 1, -high} - ({0} if words[1] else set())
    if words[2]:
        refused |= {value for value in some if value.bit_count() != 1}
    for value in (some | ({0} if words[1] else set())) - refused:
        row.check_value(value)
    for value in refused:
        with pytest.raises(UserError, match=f"^{row.name} must be"):
            row.check_value(value)


def test_a_field_has_its_default_in_other_schemes():
    changed = {"align_bits": 13, "datapath": "booth", "acc_bits": 32, "fp_scheme": "fp_mac"}
    schemes = {
        "integer": {},
        "aligned": {"act_format": "fp16"},
        "fp_mac": {"act_format": "fp16", "fp_scheme": "fp_mac"},
    }
    limited = {name: row for name, row in ARRAY_ROWS.items() if row.schemes}
    assert limited.keys() == changed.keys()
    for scheme, fields in schemes.items():
        assert Config(**fields).scheme.name == scheme
        for name, row in limited.items():
            if scheme in row.schemes:
                Config(**{**fields, name: changed[name]})
            else:
                with pytest.raises(UserError, match=name):
                    Config(**{**fields, name: changed[name]})


@pytest.mark.parametrize("command", ["verilog", "synth", "matmul"])
def test_help_says_what_is_allowed(command):
    shown = CliRunner().invoke(cli, [command, "--help"], terminal_width=100).output
    text = re.sub(r"- (?=\w)", "-", " ".join(shown.split()))
    array, core = text.index(" Array ("), text.index(" Core (")
    for name, row in ROWS.items():
        place = text.index(f" --{name.replace('_', '-')} ")
        assert (core if name in CORE_ROWS else array) < place
        assert re.sub(r"- (?=\w)", "-", row.meaning.replace("`", "")) in text
        if row.kind is not bool:
            assert f"[{row.allowed}" in text[place:]


def test_document_has_the_tables():
    path = ROOT / "docs/configuration.md"
    text = path.read_text(encoding="utf-8")
    assert text == with_tables(text), "run: python -m mixpe.gen.field_tables docs/configuration.md"
    assert field_table("array") in text
    assert field_table("core") in text
    assert all(f"| `{name}` | {row.allowed} |" in text for name, row in ROWS.items())


def test_unknown_table_in_a_document():
    with pytest.raises(UserError, match="table of fields must be one of array, core, not 'pe'"):
        with_tables("<!-- fields: pe -->\n<!-- /fields -->")
