"""Where configurations come from: packaged names, the user's TOML files, overrides."""

import itertools
import os
from dataclasses import asdict
from importlib import resources

import pytest

from mixpe.gen.configurations import (
    DEFAULT,
    load_config,
    load_design,
    named_configurations,
    named_cores,
    named_designs,
)
from mixpe.spec.array import Config
from mixpe.spec.errors import UserError


def refusal(source, **overrides) -> str:
    with pytest.raises(UserError) as error:
        load_config(str(source), **overrides)
    message = str(error.value)
    assert "\n" not in message
    return message


def toml(folder, text, name="mine.toml"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_packaged_names_are_their_files():
    files = {path.name for path in (resources.files("mixpe.gen") / "configs").iterdir()}
    assert {f"{name}.toml" for name in named_designs()} == files
    assert len(named_designs()) == len(files)
    assert named_designs() == [*sorted(named_configurations()), *sorted(named_cores())]
    assert DEFAULT in named_configurations()


@pytest.mark.parametrize("name", named_configurations())
def test_packaged(name):
    config = load_config(name)
    assert config.name == name
    # The name says shape and formats: the first two parts of the derived name, whatever follows.
    derived = Config(**{**asdict(config), "name": ""}).name
    size = f"_{config.rows}x{config.cols}_g{config.group}"
    weight = "w" if config.weight_format == "int" else "fp"
    assert name.startswith(f"{weight}{config.weight_bits}a{config.act_bits}{size}")
    assert size in derived
    if config.act_format == "fp16":
        assert name.endswith(f"aligned{config.align_bits}" if config.fp_scheme == "aligned" else "fp_mac")


def test_packaged_configurations_differ():
    fields = [asdict(load_design(name)) for name in named_designs()]
    for core in fields[len(named_configurations()) :]:
        core["array"]["name"] = ""
    for one, two in itertools.combinations(fields, 2):
        assert {**one, "name": ""} != {**two, "name": ""}


def test_default():
    assert load_config() == load_config("w4a8_16x16_g128") == Config(name="w4a8_16x16_g128")


def test_file(tmp_path):
    path = toml(tmp_path, 'name = "mine"\nrows = 2 # PEs\nzero_point = true\nout_format = "bf16"\n')
    assert load_config(str(path)) == Config(name="mine", rows=2, zero_point=True, out_format="bf16")


def test_file_without_name_or_fields(tmp_path):
    assert load_config(str(toml(tmp_path, "cols = 3\r\n"))).name == "w4a8_16x3_g128"
    assert load_config(str(toml(tmp_path, ""))) == Config()


def test_relative_path(tmp_path, monkeypatch):
    toml(tmp_path, "rows = 1\n", "w4a8_4x4_g32.toml")
    monkeypatch.chdir(tmp_path)
    assert load_config("w4a8_4x4_g32.toml").rows == 1
    assert load_config("w4a8_4x4_g32").rows == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("weight_bit = 4", "unknown field 'weight_bit', must be one of name, weight_format, weight_bits, "),
        ("[array]\nrows = 4", "unknown field 'array', must be one of name, "),
        ('"a\\nb" = 4', "unknown field 'a\\nb', must be one of name, "),
        ("rows = 0", "rows must be 1 to 128, not 0"),
        ("rows = 4.0", "rows must be of type int, not 4.0"),
        ('rows = "4"', "rows must be of type int, not '4'"),
        ("rows = true", "rows must be of type int, not True"),
        ("zero_point = 1", "zero_point must be of type bool, not 1"),
        ("name = 4", "name must be of type str, not 4"),
        ("act_format = 16", "act_format must be of type str, not 16"),
        (
            'act_format = "fp32"',
            "act_format must be one of int, fp16, bf16, fp8_e4m3, fp8_e5m2, fp6_e3m2, not",
        ),
        ('act_format = "bf16"', "align_bits must be 8 to 41 for act_format bf16, not 0: exact BF16 takes"),
        ('fp_scheme = "fp_mac"', "fp_scheme fp_mac needs a floating-point act_format, not int"),
        ('name = "A"', "name must be a lower-case letter"),
        ("group = [128]", "group must be of type int, not [128]"),
        ("group = 2024-01-01", "group must be of type int, not datetime.date(2024, 1, 1)"),
        (
            'datapath = "fast"',
            "datapath must be one of shift_add, multiplier, bit_heap, booth, carry_save, not 'fast'",
        ),
    ],
)
def test_bad_fields(text, expected, tmp_path):
    assert expected in refusal(toml(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        "rows 4",
        "rows = ",
        "rows = 4 cols = 4",
        "rows = 4\nrows = 4",
        'name = "mine',
        b"rows = 4\0",
        b"\x7fELF\x02\x01\x01",
        "rows = " + "9" * 5000,
        "rows = " + "[" * 5000,
    ],
    ids=["no =", "no value", "one line", "twice", "open", "nul", "binary", "long number", "deep list"],
)
def test_no_toml(text, tmp_path):
    path = toml(tmp_path, text)
    assert refusal(path).startswith(f"configuration file {path} is not TOML: ")


def test_not_utf8(tmp_path):
    path = toml(tmp_path, "# gr\xf6\xdfe\nrows = 4\n".encode("latin-1"))
    assert refusal(path).startswith(f"configuration file {path} must be UTF-8: invalid start byte at byte 4")


def test_missing_file(tmp_path):
    path = tmp_path / "none.toml"
    assert refusal(path) == f"configuration file {path} cannot be read: No such file or directory"


def test_folder(tmp_path):
    path = tmp_path / "folder.toml"
    path.mkdir()
    assert refusal(path) == f"configuration file {path} cannot be read: Is a directory"


@pytest.mark.parametrize(
    "source", ["w4a8", "W4A8_16X16_G128", "", ".", os.sep, "w4a8_4x4_g32.tom", "two\nlines"]
)
def test_unknown_name(source):
    names = ", ".join(named_designs())
    expected = f"configuration must be one of {names}, or the path of a .toml file, not {source!r}"
    assert refusal(source) == expected


def test_override_renames():
    config = load_config("w4a8_4x4_g32", rows=8, zero_point=True)
    assert config == Config(rows=8, cols=4, group=32, zero_point=True)
    assert config.name == "w4za8_8x4_g32"


def test_override_with_the_same_value_keeps_the_name():
    assert load_config("w4a8_4x4_g32", rows=4).name == "w4a8_4x4_g32"
    # A field the file leaves out has its default.
    assert load_config("w4a8_16x16_g128_asym", lanes=1).name == "w4a8_16x16_g128_asym"
    assert load_config("w4a8_16x16_g128_asym", lanes=2).name == "w4uza8_16x16_g128_l2_fp16_t"


def test_override_of_the_activations_format():
    """The source's widths are those of its own format; the others come from the new one."""
    fp16 = load_config("w4a8_4x4_g32", act_format="fp16")
    assert fp16 == Config(rows=4, cols=4, group=32, act_format="fp16", act_bits=16, align_bits=41)
    source = "w4a16_16x16_g128_aligned13"
    assert load_config(source).align_bits == 13
    e4m3 = load_config(source, act_format="fp8_e4m3")
    assert e4m3 == Config(act_format="fp8_e4m3", act_bits=8, align_bits=19, datapath="booth")
    assert load_config(source, act_format="int") == Config(act_bits=8, datapath="booth")
    bf16 = load_config(source, act_format="bf16", align_bits=11)
    assert bf16 == Config(act_format="bf16", align_bits=11, datapath="booth")
    assert "exact BF16 takes 262 bits; the nearest is 41" in refusal(source, act_format="bf16")
    # Other fields stay, and go with the new format or not.
    source = "w4a16_16x16_g128_fp_mac"
    assert load_config(source, act_format="bf16") == Config(act_format="bf16", fp_scheme="fp_mac")
    assert refusal(source, act_format="int") == (
        "fp_scheme fp_mac needs a floating-point act_format, not int"
    )
    assert load_config(source, act_format="int", fp_scheme="aligned") == Config()


def test_override_of_a_file_with_widths(tmp_path):
    path = str(toml(tmp_path, 'act_bits = 16\nrows = 2\nname = "mine"\n'))
    assert load_config(path, act_format="fp8_e5m2") == Config(rows=2, act_format="fp8_e5m2")
    assert load_config(path, act_format="fp8_e5m2", align_bits=9).align_bits == 9
    expected = "act_bits must be 8 for act_format fp8_e5m2, not 16"
    assert refusal(path, act_format="fp8_e5m2", act_bits=16) == expected
    path = str(toml(tmp_path, 'act_format = "fp16"\nalign_bits = 13\nname = "mine"\n'))
    assert load_config(path, fp_scheme="aligned").name == "mine"
    assert refusal(path, fp_scheme="fp_mac") == "align_bits must be 0 for fp_scheme fp_mac, not 13"
    assert load_config(path, fp_scheme="fp_mac", align_bits=0).name == "w4fp16_16x16_g128_fp_mac"


def test_override_with_the_same_format():
    """A name is kept with all that it stands for, or not at all."""
    source = "w4a16_16x16_g128_aligned13"
    kept, renamed = load_config(source), Config(act_format="fp16", datapath="booth")
    assert load_config(source, act_format="fp16") in (kept, renamed)
    assert load_config(source, act_format="fp16", align_bits=13) == kept


def test_override_with_a_name():
    assert load_config("w4a8_4x4_g32", name="mine") == Config(name="mine", rows=4, cols=4, group=32)
    assert load_config("w4a8_4x4_g32", name="mine", rows=2) == Config(name="mine", rows=2, cols=4, group=32)


def test_override_of_a_file(tmp_path):
    path = str(toml(tmp_path, 'name = "mine"\nrows = 2\n'))
    assert load_config(path, rows=2).name == "mine"
    assert load_config(path, rows=3) == Config(rows=3)
    # A wrong value in the file does not matter once it is overridden.
    assert load_config(str(toml(tmp_path, "rows = 0")), rows=3) == Config(rows=3)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"rows": 0}, "rows must be 1 to 128, not 0"),
        ({"rows": True}, "rows must be of type int, not True"),
        ({"name": "A"}, "name must be a lower-case letter"),
    ],
)
def test_bad_override(overrides, expected):
    assert refusal(DEFAULT, **overrides).startswith(expected)


def test_unknown_override():
    assert "'row'" in refusal(DEFAULT, row=4)
