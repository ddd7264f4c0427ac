"""The generated Verilog: its form and its size."""

import os
import re
import subprocess
import sys

import pytest

from mixpe.gen.verilog import WAIVERS
from mixpe.gen.write import design_verilog
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig
from verif.samples.arrays import EVERYTHING, LARGE, SMALL, instances, modules, ports, verilog

CORES = {
    "core": CoreConfig(
        array=Config(rows=3, cols=2, token_scale=True), name="mine", data_bits=64, act_words=16
    ),
    "stream": CoreConfig(array=Config(rows=2, cols=3, zero_point=True), bus="stream"),
}


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (
            EVERYTHING,
            {
                "manifest.json",
                *(f"everything{end}" for end in (".v", ".core", "_tb.v", "_inst.v", "_pkg.sv")),
            },
        ),
        (CORES["core"], {"mine.v", "mine.h", "mine.core", "mine_inst.v", "manifest.json"}),
    ],
    ids=["array", "core"],
)
def test_same_bytes_in_every_process(config, names, tmp_path):
    """Sets and dictionaries ordered by hash, times and paths would show."""
    script = (
        "import sys; from pathlib import Path; from mixpe.spec.array import Config\n"
        "from mixpe.spec.core import CoreConfig; from mixpe.gen.write import write_design\n"
        "write_design(eval(sys.argv[1]), Path(sys.argv[2]))"
    )
    texts = []
    for seed in ("1", "2"):
        folder = tmp_path / seed / ("deep" * int(seed))
        subprocess.run(
            [sys.executable, "-c", script, repr(config), str(folder)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=tmp_path,
            check=True,
        )
        texts.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert texts[0] == texts[1]
    assert texts[0].keys() == names


def check_sharing(config: Config, text: str) -> None:
    """One module for all elements, rows, dequantizers each, and as many places as there must be."""
    found = modules(text)
    for kind in ("pe", "row", "column", "conversion"):
        assert sum(name.endswith(f"_{kind}") for name in found) == 1
    children = {name: [kind for kind, _, _ in instances(body)] for name, body in found.items()}

    def places(kind: str, below: str) -> int:
        return sum((child == kind) + places(kind, child) for child in children[below])

    assert places(f"{config.name}_row", config.name) == config.rows
    assert places(f"{config.name}_pe", f"{config.name}_row") == config.cols
    assert places(f"{config.name}_column", config.name) == len(config.lags)
    assert places(f"{config.name}_conversion", config.name) == config.banks


def check_plain_text(text: str) -> None:
    assert text.isascii()
    assert "\\" not in text, "escaped identifier"
    assert "$" not in re.sub(r"\$(signed|unsigned)\b", "", text), "a name made by Yosys"
    assert "(*" not in re.sub(r"@\(?\*\)?", "", text), "an attribute, such as src"
    assert not re.search(r"(?<![\w*/])/\w+/", text), "an absolute path"
    assert ".py" not in text
    assert max(map(len, re.findall(r"\w+", text))) < 1024, "IEEE 1364 ends names there"
    assert text.endswith("\n")


def check_modules(config: Config | CoreConfig, text: str) -> None:
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


@pytest.mark.parametrize("config", CORES.values(), ids=CORES)
def test_form_of_cores(config):
    """An array's modules once, as in an array, and a core's own around them."""
    text = design_verilog(config)
    check_sharing(config.array, text)
    check_plain_text(text)
    check_modules(config, text)
    check_waivers(text)
    whole, array = modules(text), modules(verilog(config.array))
    assert array.keys() < whole.keys()
    assert {name: whole[name] for name in array} == array


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
