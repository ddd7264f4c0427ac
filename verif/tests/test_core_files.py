"""Accelerator cores: their configurations, and the files written for them."""

import hashlib
import json
import re
from collections import Counter
from dataclasses import fields
from functools import cache

import pytest

from mixpe.gen.configurations import CORE_ROWS, load_config, load_design, named_configurations, named_cores
from mixpe.gen.core_manifest import core_manifest
from mixpe.gen.manifest import array_facts, streams
from mixpe.gen.registers import c_header
from mixpe.gen.write import design_verilog, write_design
from mixpe.spec import layout
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig, ram_module, ram_size
from mixpe.spec.errors import UserError
from mixpe.spec.registers import REGISTERS, Error
from verif.samples.arrays import instances, modules, ports

ARRAY = Config(rows=3, cols=5, group=7, lanes=2, act_bits=5, zero_point=True, token_scale=True)
CORES = {
    "axi": CoreConfig(array=ARRAY, name="mine", data_bits=64, address_bits=33, act_words=32),
    "no token scales": CoreConfig(array=Config(rows=2, cols=2), data_bits=512, weight_words=64),
    "stream": CoreConfig(array=ARRAY, name="mine", bus="stream"),
    "stream, no token scales": CoreConfig(array=Config(rows=2, cols=2), bus="stream"),
}


def refusal(act, *arguments, **overrides) -> str:
    with pytest.raises(UserError) as error:
        act(*arguments, **overrides)
    message = str(error.value)
    assert "\n" not in message
    return message


def toml(folder, text) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


# Configurations


@pytest.mark.parametrize("name", named_cores())
def test_packaged(name):
    core = load_design(name)
    assert isinstance(core, CoreConfig)
    array = core.array
    assert core.name == name
    assert name.startswith("core" if core.bus == "axi" else "stream")
    formats = f"w{array.weight_bits}a{array.act_bits}_{array.rows}x{array.cols}"
    assert re.fullmatch(rf"(core|stream)_{formats}(_g{array.group})?", name)
    assert array.token_scale == (array.act_format == "int")
    assert refusal(load_config, name).endswith(f"not the core {name}")


def test_array_is_no_core():
    assert all(isinstance(load_design(name), Config) for name in named_configurations())
    assert load_design() == load_config()


def test_file(tmp_path):
    source = toml(tmp_path, 'name = "mine"\nrows = 2\n[core]\ndata_bits = 256\nqueue = 1\n')
    assert load_design(source) == CoreConfig(name="mine", array=Config(rows=2), data_bits=256, queue=1)
    assert load_design(toml(tmp_path, "rows = 2\n[core]\n")) == CoreConfig(array=Config(rows=2))
    named = load_design(toml(tmp_path, "rows = 2\n[core]\nbus = 'stream'\n")).name
    assert named == "stream_w4a8_2x16_g128"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[core]\nrows = 4", "mine.toml: table core: unknown field 'rows', must be one of bus, data_bits, "),
        ("[core]\nname = 'a'", "unknown field 'name'"),
        ("[core]\narray = {}", "unknown field 'array'"),
        ("core = true", "mine.toml: core must be a table, not True"),
        ("[[core]]", "core must be a table, not [{}]"),
        ("data_bits = 64", "unknown field 'data_bits', must be one of name, weight_format, weight_bits, "),
        ("rows = 0\n[core]", "rows must be 1 to 128, not 0"),
        ("[core]\ndata_bits = 96", "data_bits must be one of 64, 128, 256, 512, not 96"),
        ("[core]\ndata_bits = '64'", "data_bits must be of type int, not '64'"),
        (f"name = '{'a' * 74}'\n[core]", "name must be a lower-case letter followed by at most 72 "),
        ("name = 4\n[core]", "name must be of type str, not 4"),
    ],
)
def test_bad_file(text, expected, tmp_path):
    assert expected in refusal(load_design, toml(tmp_path, text))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"array": 4}, "array must be of type Config, not 4"),
        ({"bus": "apb"}, "bus must be one of axi, stream, not 'apb'"),
        ({"address_bits": 31}, "address_bits must be 32 to 64, not 31"),
        ({"burst": 512}, "burst must be 1 to 256, not 512"),
        ({"burst": 12}, "burst must be a power of two, not 12"),
        (
            {"burst": 128, "data_bits": 512},
            "burst must be at most 64 words of 512 bits (4096 bytes), not 128",
        ),
        ({"weight_words": 16}, "weight_words must be at least two bursts, 32, not 16"),
        ({"scale_words": 16}, "scale_words must be at least two bursts, 32, not 16"),
        ({"act_words": 8}, "act_words must be at least a burst, 16, not 8"),
        ({"queue": 16}, "queue must be 1 to 15, not 16"),
        (
            {"array": Config(lanes=8, act_bits=9), "data_bits": 64},
            "data_bits must be at least 128, the lanes of a row's activations in memory, not 64",
        ),
        ({"bus": "stream", "queue": 2}, "queue must be 4 for bus stream, which has none, not 2"),
        ({"bus": "stream", "data_bits": 3}, "data_bits must be 128 for bus stream, which has none, not 3"),
        ({"name": "module"}, "name must be no reserved word of Verilog, not 'module'"),
    ],
)
def test_bad_core(given, expected):
    assert refusal(CoreConfig, **given) == expected


def test_override_makes_a_core():
    assert load_design("w4a8_4x4_g32", bus="axi") == CoreConfig(array=load_config("w4a8_4x4_g32", name=""))
    core = load_design("w4a8_4x4_g32", data_bits=256, queue=2, rows=3)
    assert core == CoreConfig(array=Config(rows=3, cols=4, group=32), data_bits=256, queue=2)
    assert core.name == "core_w4a8_3x4_g32_d256_q2"
    assert refusal(load_config, "w4a8_4x4_g32", queue=2).endswith("not the core core_w4a8_4x4_g32_q2")


def test_override_of_a_core():
    """As of an array: what stays the same keeps the name, what changes leaves it to describe the result."""
    name = "core_w4a8_16x16"
    assert load_design(name, data_bits=128, rows=16).name == name
    assert load_design(name, rows=2).name == "core_w4a8_2x16_g128_t"
    assert load_design(name, burst=8).name == "core_w4a8_16x16_g128_t_b8"
    assert load_design(name, burst=8, name="mine").name == "mine"
    assert load_design(name, bus="stream").name == "stream_w4a8_16x16_g128_t"
    floats = load_design("core_w4a16_16x16", act_format="fp8_e4m3")
    assert (floats.array.act_bits, floats.array.align_bits) == (8, 19)
    assert "'row'" in refusal(load_design, name, row=4)


def test_names_tell_designs_apart():
    """Every field of a core stands in the name that describes it."""
    sizes = {"data_bits": 256, "address_bits": 64, "burst": 8, "outstanding": 4, "act_words": 64}
    sizes |= {"weight_words": 64, "scale_words": 128, "queue": 2}
    assert {"bus", *sizes} == set(CORE_ROWS)
    cores = [CoreConfig(), CoreConfig(bus="stream"), *(CoreConfig(**{name: sizes[name]}) for name in sizes)]
    assert len({core.name for core in cores}) == len(cores)


def test_fields_have_names_of_their_own():
    assert not set(CORE_ROWS) & {field.name for field in fields(Config)}


def test_names_of_memories():
    assert ram_size("mine", ram_module("mine", 12, 345)) == (12, 345)
    for module in ("mine_ram_4x4x", "mine_ram_4", "yours_ram_4x4", "mine", "mine_ram_4x4_ram_2x"):
        assert ram_size("mine", module) is None
    # An array may be called as a memory of another design.
    assert ram_size("a_ram_4x4", "a_ram_4x4") is None


# Files


@cache
def verilog(config: CoreConfig) -> str:
    return design_verilog(config)


@pytest.mark.parametrize("config", CORES.values(), ids=CORES)
def test_files(config, tmp_path):
    design = write_design(config, tmp_path)
    name = config.name
    names = {"verilog": f"{name}.v", "instance_template": f"{name}_inst.v", "fusesoc_core": f"{name}.core"}
    names |= {"c_header": f"{name}.h"} if config.bus == "axi" else {"payload_package": f"{name}_pkg.sv"}
    assert {path.name for path in design.paths} == {*names.values(), "manifest.json"}
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in design.paths}
    text = design.verilog.read_text()
    assert text == verilog(config)
    if design.header:
        assert design.header.read_text() == c_header(name)
    read = json.loads(design.manifest.read_text())
    assert read == json.loads(json.dumps(core_manifest(config, text, names)))
    assert read["files"] == names
    assert read["verilog_sha256"] == hashlib.sha256(text.encode()).hexdigest()
    array = Config(**read["configuration"]["array"])
    assert CoreConfig(**{**read["configuration"], "array": array}) == config
    assert "no self-checking testbench" in read["notes"][0]
    assert read["array"] == json.loads(json.dumps(array_facts(config.array)))
    assert str(tmp_path) not in design.manifest.read_text()


@pytest.mark.parametrize("config", CORES.values(), ids=CORES)
def test_ports_and_memories_are_those_of_the_verilog(config):
    text = verilog(config)
    read = core_manifest(config, text, {})
    found = modules(text)
    described = {port["name"]: (port["direction"], port["width"]) for port in read["ports"]}
    assert len(described) == len(read["ports"])
    assert described == ports(found[config.name])
    assert all(port["meaning"] for port in read["ports"])
    sizes = [ram_size(config.name, kind) for kind in placed(found, config.name).elements()]
    bits = sum(size[0] * size[1] for size in sizes if size)
    assert bits == sum(memory["bits"] for memory in read["memories"])
    assert (bits > 0) == (config.bus == "axi")


def placed(found: dict[str, str], top: str) -> Counter[str]:
    """How many modules of each kind there are below `top`."""
    counts = Counter([top])
    for kind, _, _ in instances(found[top]):
        counts += placed(found, kind)
    return counts


def test_registers_and_layout():
    config = CORES["axi"]
    read = json.loads(json.dumps(core_manifest(config, "", {})))
    registers = read["registers"]
    assert [each["offset"] for each in registers["map"]] == [each.offset for each in REGISTERS]
    by_name = {each["name"]: each for each in registers["map"]}
    assert {each["access"] for each in registers["map"]} <= registers["access"].keys()
    fields = {field["name"]: field for field in by_name["SHAPE"]["fields"]}
    shape = registers["constants"]["SHAPE"]
    assert (shape >> fields["COLS"]["lsb"]) % (1 << fields["COLS"]["width"]) == ARRAY.cols
    assert {error["code"] for error in registers["errors"]} == set(map(int, Error))
    told = read["memory_layout"]
    assert told["version"] == layout.LAYOUT_VERSION
    # 2 lanes in bytes; 5 columns of 2 lanes of 4 bits; 5 scales of 16 bits and 5 zero points of 4.
    assert (told["activation_beat_bits"], told["weight_beat_bits"], told["scale_beat_bits"]) == (16, 40, 100)
    example = next(each for each in told["examples"] if each["K"] == 4096)
    # 585 groups of 7 in 4 beats and one of 1 in 1: 2341 beats, 4682 bytes, in multiples of 64.
    assert example["activation_stride"] == 4736
    assert example["weight_tile_bytes"] == -(-2341 * 40 // 512) * 64
    assert example["scale_bytes"] == -(-4096 // 5) * -(-586 * 100 // 512) * 64
    assert not example["activations_read_once"]


def test_streams_lie_in_tdata():
    """The beat's fields but `last`, which is TLAST, from bit 0 up."""
    config = CORES["stream"]
    read = core_manifest(config, "", {})
    widths = {port["name"]: port["width"] for port in read["ports"]}
    ends = {f"{'m' if name == 'out' else 's'}_axis_{name}": stream for name, stream in streams(ARRAY).items()}
    assert read["streams"].keys() == ends.keys()
    for name, stream in read["streams"].items():
        whole = ends[name]
        lasts = [field for field in whole["fields"] if field["name"] == "last"]
        assert stream["fields"] == [field for field in whole["fields"] if field not in lasts]
        assert stream["width"] == whole["width"] - len(lasts)
        assert widths[f"{name}_tdata"] == -(-stream["width"] // 8) * 8
        assert (f"{name}_tlast" in widths) == bool(lasts)
        assert "same cycle" not in stream["meaning"]
