"""`mixpe estimate`: formulas that walk no tiles, what is printed, and what is refused."""

import json
import random
import re
import subprocess
import sys
from dataclasses import asdict
from time import perf_counter

import pytest

from mixpe.bench.estimates import Area, Measured, estimated, reported_area
from mixpe.cli.main import main
from mixpe.gen.configurations import core_of, load_config, load_design, named_designs
from mixpe.spec import layout
from mixpe.spec.array import Config
from mixpe.spec.bursts import all_token_words, cut, read_bursts, tile_words, token_words
from mixpe.spec.core import CoreConfig
from mixpe.spec.cycles import estimate, read_bytes, write_bytes

MEMORY = {"latency": 40, "write_latency": 20}
SHAPES = ("512x4096x4096", "1x4096x4096")


@pytest.fixture
def mixpe(tmp_path, monkeypatch, capsys):
    """Runs `mixpe estimate` in an empty folder; returns exit status, standard output and error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mixpe", "estimate", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        assert isinstance(end.value.code, int)
        return end.value.code, *capsys.readouterr()

    return run


def some_cores() -> list[CoreConfig]:
    rng = random.Random(4)
    return [
        CoreConfig(
            name="core",
            array=Config(
                rows=rng.choice([1, 3, 5, 16, 128]),
                cols=rng.choice([1, 4, 7]),
                group=rng.choice([1, 3, 32, 100, 300]),
                lanes=rng.choice([1, 2, 4]),
                token_scale=True,
            ),
            burst=rng.choice([1, 4, 16]),
            act_words=rng.choice([16, 128]),
            data_bits=rng.choice([64, 128, 512]),
        )
        for _ in range(60)
    ]


# The formulas, against those that walk groups, strips and blocks one by one


@pytest.mark.parametrize("core", some_cores(), ids=lambda core: core.array.name)
def test_closed_forms(core):
    array = core.array
    rng = random.Random(5)
    for m, k, n in [
        (1, 1, 1),
        *((rng.randint(1, 500), rng.randint(1, 3000), rng.randint(1, 300)) for _ in "abcd"),
    ]:
        first, *others = array.beats(k)
        assert array.first_beats(k) == first
        assert array.tile_beats(k) == layout.beats(k, array) == sum(array.beats(k))
        gaps = sum(max(beats, array.group_gap) for beats in others)
        assert array.tile_cycles(k) == max(first, array.tile_gap) + gaps
        # Where rows or tiles begin in a burst repeats; the formula takes the mean of a whole period.
        n = max(1, n // core.burst) * core.burst * array.cols
        m = max(1, m // core.burst) * core.burst
        assert read_bursts(m, k, n, core) == sum(bursts(m, k, n, core))


@pytest.mark.parametrize("rows", [1, 3, 5, 16, 128])
@pytest.mark.parametrize("bits", [64, 512])
def test_token_words(rows, bits):
    core = CoreConfig(array=Config(rows=rows, token_scale=True), data_bits=bits)
    for m in range(1, 260):
        strips = range(layout.row_strips(m, core.array))
        assert all_token_words(m, core) == sum(token_words(strip, m, core) for strip in strips)


def bursts(m, k, n, core):
    """Bursts of the activations, block by block and row by row; then those of the other operands."""
    array, burst = core.array, core.burst
    acts, weights, scales = tile_words(k, core)
    strips, cols = layout.row_strips(m, array), layout.col_tiles(n, array)
    times = 1 if core.resident(k) else cols
    step = layout.act_stride(k, array) // core.word_bytes
    starts = [row * step + first for row in range(m) for first in range(0, acts, burst)]
    lengths = [min(burst, acts - first) for _ in range(m) for first in range(0, acts, burst)]
    yield times * sum(len(cut(at % burst, length, core)) for at, length in zip(starts, lengths, strict=True))
    for words, size in (
        (weights, layout.weight_tile_bytes(k, array)),
        (scales, layout.scale_tile_bytes(k, array)),
    ):
        tiles = range(cols)
        yield strips * sum(len(cut(tile * size // core.word_bytes % burst, words, core)) for tile in tiles)
    yield strips


def test_largest_sizes_take_no_time():
    core, most = CoreConfig(array=Config(token_scale=True)), (1 << 24) - 1
    began = perf_counter()
    found = estimate(most, 4096, most, core, **MEMORY)
    assert perf_counter() - began < 2
    assert found.cycles > most * most


# The command


def test_all_named_designs(mixpe):
    status, out, err = mixpe(*SHAPES)
    assert (status, err) == (0, "")
    assert out.startswith("memory: latency 40 to read, 20 to write, a word each way a cycle\n")
    tables = out.split("512 x 4096 x 4096")[1].split("1 x 4096 x 4096")
    names = [name for name in named_designs() if name != "stream_w4a8_16x16"]
    for table, (m, k, n) in zip(tables, ((512, 4096, 4096), (1, 4096, 4096)), strict=True):
        lines = {
            line.split()[0]: line.split()[1:]
            for line in table.splitlines()
            if re.match(" +(core_)?(w[48]|fp4)a", line)
        }
        assert list(lines) == names
        for name, line in lines.items():
            core = core_of(load_design(name))
            found = estimate(m, k, n, core, **MEMORY)
            macs = core.array.rows * core.array.cols * core.array.lanes
            assert line == [
                f"{found.cycles:,}",
                f"{read_bytes(m, k, n, core):,}",
                f"{write_bytes(m, n, core):,}",
                found.bound,
                f"{m * k * n / macs / found.cycles:.1%}",
            ]
        fewest = min(names, key=lambda name: int(lines[name][0].replace(",", "")))
        assert f"fewest cycles: {fewest}" in table
        most = max(names, key=lambda name: float(lines[name][4].rstrip("%")))
        assert f"best use of its array: {most}" in table


def test_needs_neither_amaranth_nor_numpy(tmp_path):
    """And takes less than 2 s, twice that where the machine is busy."""
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['mixpe', 'estimate', *{SHAPES!r}]\n"
        "try:\n    runpy.run_module('mixpe.cli.main', run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print(sorted({'amaranth', 'numpy'} & sys.modules.keys()), file=sys.stderr)\n"
    )
    began = perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert "core_w4a8_16x16" in done.stdout
    assert perf_counter() - began < 4


def test_some_designs_and_memory(mixpe, tmp_path):
    (tmp_path / "mine.toml").write_text('name = "mine"\nlanes = 4\n[core]\ndata_bits = 512\n')
    given = (
        "mine.toml",
        "1x512x512",
        "w4a8_4x4_g32",
        "--bandwidth",
        "3.5",
        "--latency",
        "7",
        "--write-latency",
        "9",
    )
    status, out, err = mixpe(*given, "--json", "out.json")
    assert (status, err) == (0, "")
    memory = {"latency": 7, "write_latency": 9, "bytes_per_cycle": 3.5}
    assert out.startswith("memory: latency 7 to read, 9 to write, 3.5 bytes a cycle\n")
    read = json.loads((tmp_path / "out.json").read_text())
    assert read["memory"] == memory
    cores = [load_design("mine.toml"), core_of(load_config("w4a8_4x4_g32"))]
    for record, core in zip(read["products"], cores, strict=True):
        found = estimate(1, 512, 512, core, **memory)
        assert record.items() >= asdict(found).items()
        assert (record["M"], record["K"], record["N"], record["bound"]) == (1, 512, 512, found.bound)
        assert record["area"] is None
    assert [record["design"] for record in read["products"]] == ["mine", "w4a8_4x4_g32"]


def ppa_record(config: Config, area: float, library: str = "sky130hd", kind: str = "array") -> dict:
    configuration = asdict(config) | {"name": "other", "element": kind}
    return {"kind": kind, "configuration": configuration, "library": library, "area_um2": area}


def test_areas(mixpe, tmp_path):
    """The array's from a report, at its smallest; the whole design's where it is synthesized."""
    small, default = load_config("w4a8_4x4_g32"), load_config()
    report = [
        ppa_record(small, 70.0),
        ppa_record(default, 9000.0),
        ppa_record(default, 8000.0),
        ppa_record(default, 1.0, library="asap7"),
        ppa_record(default, 2.0, kind="pe"),
        ppa_record(Config(lanes=2), 3.0),
    ]
    (tmp_path / "ppa.json").write_text(json.dumps(report))
    given = ("16x512x512", "w4a8_4x4_g32", "w4a8_16x16_g128", "w4a8_32x32_g128")
    status, out, _ = mixpe(*given, "--report", "ppa.json")
    assert status == 0
    lines = {line.split()[0]: line.split()[6:] for line in out.splitlines() if line.startswith("  w4a8")}
    assert lines == {
        "w4a8_4x4_g32": ["70", "array,", "sky130hd"],
        "w4a8_16x16_g128": ["8,000", "array,", "sky130hd"],
        "w4a8_32x32_g128": [],
    }
    assert "least cycles x area: w4a8_4x4_g32\n" in out
    folder = tmp_path / "build/w4a8_16x16_g128"
    folder.mkdir(parents=True)
    record = {"design": folder.name, "module": folder.name, "library": "sg13g2", "area_um2": 123456.4}
    (folder / "synth.json").write_text(json.dumps([record | {"module": "pe", "area_um2": 1.0}, record]))
    assert re.search(r" w4a8_16x16_g128 .* 123,456 +design, sg13g2\s", mixpe(*given)[1])
    # Generic gates have no area.
    (folder / "synth.json").write_text(json.dumps([record | {"library": None, "area_um2": None}]))
    assert "area" not in mixpe(*given)[1]


def test_area_of_another_array_is_none():
    core = core_of(load_config())
    other = Measured(**ppa_record(Config(acc_bits=32), 5.0))
    assert reported_area(core, [other]) is None
    assert reported_area(core, []) is None
    cores, shape = {"one": core, "two": core}, (1, 2, 3)
    found = estimated(cores, [shape], MEMORY, {"two": Area(7.5, "array, sky130hd")})
    assert [each.record()["area"] for each in found] == [None, {"um2": 7.5, "what": "array, sky130hd"}]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["SHAPE must be given, as MxKxN such as 512x4096x4096, not nothing"]),
        (["w4a8_4x4_g32"], ["SHAPE must be given", "not 'w4a8_4x4_g32'"]),
        (["512x4096"], ["SHAPE must be MxKxN, each 1 to 16777215, not '512x4096'"]),
        (["0x1x1"], ["SHAPE must be MxKxN", "'0x1x1'"]),
        (["16777216x1x1"], ["SHAPE must be MxKxN", "'16777216x1x1'"]),
        (["9" * 5000 + "x1x1"], ["SHAPE must be MxKxN"]),
        (["1x1.5x1"], ["SHAPE must be MxKxN", "'1x1.5x1'"]),
        (["1x1x1", "w4a8"], ["configuration must be one of ", "not 'w4a8'"]),
        (
            ["1x1x1", "stream_w4a8_16x16"],
            ["CONFIG must be a core with bus axi, not stream: stream_w4a8_16x16"],
        ),
        (["1x1x1", "w4a8_4x4_g32", "w4a8_4x4_g32"], ["CONFIG must be another design each time"]),
        (["1x1x1", "--latency", "-1"], ["--latency must be at least 0, not -1"]),
        (["1x1x1", "--write-latency", "-2"], ["--write-latency must be at least 0, not -2"]),
        (["1x1x1", "--bandwidth", "0"], ["--bandwidth must be a number of bytes above 0, not 0"]),
        (["1x1x1", "--bandwidth", "nan"], ["--bandwidth must be a number of bytes above 0, not nan"]),
        (["1x1x1", "--report", "none.json"], ["report none.json cannot be read: No such file"]),
        (["1x1x1", "--report", "text.json"], ["report text.json is not JSON: Expecting value"]),
        (
            ["1x1x1", "--report", "other.json"],
            ["report other.json: record 1 lacks the field configuration"],
        ),
        (["1x1x1", "--json", "folder"], ["cannot write folder: it is a folder"]),
    ],
)
def test_bad_input(arguments, parts, mixpe, tmp_path):
    (tmp_path / "text.json").write_text("text")
    (tmp_path / "other.json").write_text('[{"kind": "pe"}]')
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    status, out, err = mixpe(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("mixpe: error: ")
    assert len(err.splitlines()) == 1
    assert all(part in err for part in parts), err
    assert sorted(tmp_path.rglob("*")) == before
