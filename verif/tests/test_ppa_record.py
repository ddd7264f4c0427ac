"""Records as JSON: what is written is read back the same, and anything else is refused in one line."""

import json
from typing import Any

import pytest

from mixpe.ppa.record import Block, CoreRecord, from_values, read_report, to_json, to_values
from mixpe.spec.core import CoreConfig
from mixpe.spec.errors import UserError
from verif.samples.records import RECORDS, record

CORE = CoreRecord(
    design="core",
    title="core, titled",
    core=CoreConfig(),
    library="lib7",
    corner=None,
    blocks=(Block("reader", 1, 12.5, 0.5, 64), Block("writer", 1, 2.5, None, 0)),
    clock_gate="",
    tools=RECORDS[0].tools,
    liberty_files=RECORDS[0].liberty_files,
)


def test_what_is_written_is_read_back(tmp_path):
    every = [*RECORDS, record("array", 1.0, 2.0, 3.0, kind="array", corner=None, target=2.5), CORE]
    path = tmp_path / "ppa.json"
    path.write_text(to_json(every))
    assert read_report(path) == every
    assert [values["kind"] for values in json.loads(path.read_text())][-2:] == ["array", "core"]
    configuration = to_values(RECORDS[0])["configuration"]
    assert configuration["weight_bits"] == 8
    assert configuration["element"] == "pe"


def changed(**changes: Any) -> dict[str, Any]:
    return to_values(RECORDS[0]) | changes


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in to_values(RECORDS[0]).items() if key != name}


CONFIGURATION = to_values(RECORDS[0])["configuration"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (7, "x must be a record of `mixpe ppa`, not 7"),
        (without("min_period_ns"), "x lacks the field min_period_ns: measure again with `mixpe ppa`"),
        (without("configuration"), "x lacks the field configuration: measure again with `mixpe ppa`"),
        (changed(delay=1.0), "x has an unknown field 'delay': measure again with `mixpe ppa`"),
        (changed(area_um2="large"), 'x: area_um2 must be a number, not "large"'),
        (changed(area_um2=None), "x: area_um2 must be a number, not null"),
        (changed(area_um2=float("nan")), "x: area_um2 must be a number, not NaN"),
        (changed(area_um2=True), "x: area_um2 must be a number, not true"),
        (changed(macs_per_cycle=1.5), "x: macs_per_cycle must be an integer, not 1.5"),
        (changed(role="friend"), 'x: role must be one of mixpe, baseline, competitor, not "friend"'),
        (changed(kind="chip"), 'x: kind must be one of pe, array, not "chip"'),
        (changed(energy_breakdown_pj=[]), "x: energy_breakdown_pj must be an object, not []"),
        (
            changed(energy_breakdown_pj={"logic": "x"}),
            'x: energy_breakdown_pj: logic must be a number, not "x"',
        ),
        (changed(liberty_files={}), "x: liberty_files must be a list of the right length, not {}"),
        (changed(liberty_files=[{"file": "a"}]), "x: liberty_files lacks the field sha256: measure"),
        (
            changed(configuration=CONFIGURATION | {"weight_bits": 9}),
            "x: configuration: config: weight_bits must be 0 or 2 to 8, not 9",
        ),
        (changed(configuration=CONFIGURATION | {"colour": 9}), "has an unknown field 'colour'"),
        (changed(configuration=CONFIGURATION | {"bricks": [8]}), "bricks must be a list of the right length"),
        (changed(configuration=CONFIGURATION | {"element": "chip"}), "element must be one of pe, dequantize"),
        (changed(kind="core"), "x lacks the field core"),
    ],
)
def test_refused(values, message):
    with pytest.raises(UserError) as error:
        from_values(values, "x")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_field_names_file_and_record(tmp_path):
    path = tmp_path / "ppa.json"
    path.write_text(json.dumps([to_values(RECORDS[0]), without("min_period_ns")]))
    with pytest.raises(UserError) as error:
        read_report(path)
    assert str(error.value) == (
        f"report {path}: record 2 lacks the field min_period_ns: measure again with `mixpe ppa`"
    )


def test_reports_that_are_none(tmp_path):
    path = tmp_path / "ppa.json"
    for content, message in [
        (None, f"report {path} cannot be read: No such file or directory"),
        ("{", f"report {path} is not JSON: Expecting property name enclosed in double quotes"),
        ("[" * 100_000, f"report {path} is not JSON: maximum recursion depth exceeded"),
        ("{}", f"report {path} must be a ppa.json of `mixpe ppa`: a list of its records"),
    ]:
        if content is not None:
            path.write_text(content)
        with pytest.raises(UserError) as error:
            read_report(path)
        assert str(error.value).startswith(message)
