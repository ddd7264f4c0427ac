"""The command `mixpe matmul`."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from mixpe.bench import throughput
from mixpe.cli.main import main
from mixpe.spec import cycles as traffic

ARRAY = ("w4a8_4x4_g32", "--token-scale")
"""The default core around an array of 4x4, W4A8 in groups of 32."""

SHAPE = "8x64x8"
"""Two strips of two tiles, each of 64 beats."""

BEATS = 4 * 64
READ_WORDS = {
    "activations": 8 * 64 // 16,  # once: 8 rows of 64 bytes
    "weights": 4 * 64 * 16 // 128,  # 4 tiles of 64 beats, 4 columns of 4 bits
    "scales": 4 * 1,  # 4 tiles of 2 groups, 4 columns of 16 bits
    "token scales": 2 * 1,  # 2 strips of 4 rows, 32 bits
}
READ_BYTES = 16 * sum(READ_WORDS.values())
WRITE_BYTES = 4 * 8 * 8
WRITE_WORDS = 8 * 2
"""A row of each column tile is 16 bytes."""


@pytest.fixture
def mixpe(tmp_path, monkeypatch, capsys):
    """Runs `mixpe matmul` in a folder of its own; returns exit status, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mixpe", "matmul", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        assert isinstance(end.value.code, int)
        return end.value.code, *capsys.readouterr()

    return run


def rows(out: str, shape: str) -> tuple[list[str], list[str]]:
    """The words of a shape's rows in both tables."""
    found = [line.split() for line in out.splitlines() if line.split()[:1] == [shape]]
    assert len(found) == 2
    return found[0], found[1]


def test_command(mixpe):
    status, out, err = mixpe(*ARRAY, "--shape", SHAPE, "--shape", "1x64x8", "--json", "out/it.json")
    assert status == 0, err
    assert "all results equal the golden model bit for bit; beats and bytes equal the formulas" in out
    record = json.loads(Path("out/it.json").read_text(encoding="utf-8"))
    assert record["core"]["name"] == "core_w4a8_4x4_g32_t"
    assert record["memory"] == {"latency": 40, "write_latency": 20, "bytes_per_cycle": None}
    both, one = record["products"]
    assert [both[size] for size in "MKN"] == [8, 64, 8]
    assert [one[size] for size in "MKN"] == [1, 64, 8]
    expected = {"beats": BEATS, "read_bytes": READ_BYTES, "write_bytes": WRITE_BYTES}
    assert both["formulas"] == expected
    assert expected.items() <= both["counters"].items()
    cycles = both["counters"]["cycles"]
    assert both["utilization"] == 8 * 64 * 8 / (cycles * 16)
    assert both["estimate"]["compute"] == BEATS  # tiles of two groups of 32 follow each other without a gap
    assert both["bound"] == "compute"

    roofline, counters = rows(out, SHAPE)
    assert roofline[1] == str(cycles)
    assert roofline[2] == str(both["estimate"]["cycles"])
    assert roofline[4:] == [
        f"{BEATS}",
        f"{both['estimate']['memory']}",
        "compute",
        f"{both['utilization']:.1%}",
    ]
    assert counters[1:] == [
        *(str(both["counters"][name]) for name in ("beats", "stall_read", "stall_array")),
        f"{READ_BYTES:,}",
        f"{READ_BYTES:,}",
        str(WRITE_BYTES),
        str(WRITE_BYTES),
    ]
    assert rows(out, "1x64x8")[0][6] == "compute"


def test_bandwidth(mixpe):
    """The memory's bound is what the words take."""
    status, out, err = mixpe(*ARRAY, "--shape", SHAPE, "--bandwidth", "2", "--seed", "3")
    assert status == 0, err
    assert "2 bytes a cycle" in out
    roofline, _ = rows(out, SHAPE)
    memory = (READ_BYTES + 16 * WRITE_WORDS) // 2
    assert roofline[4:7] == [str(BEATS), str(memory), "memory"]
    assert int(roofline[1].replace(",", "")) > memory


def test_wrong_results(mixpe, monkeypatch):
    def wrong(*operands, **options):
        out = right(*operands, **options)
        out.view(np.uint32)[0, 0] ^= 1
        return out

    right = throughput.mpgemm
    monkeypatch.setattr(throughput, "mpgemm", wrong)
    status, out, err = mixpe(*ARRAY, "--shape", SHAPE)
    assert status == 1
    assert err.splitlines()[-1] == f"mixpe: error: {SHAPE}: results differ from the golden model's"
    assert "bit for bit" not in out


def test_wrong_counters(mixpe, monkeypatch):
    right = traffic.read_bytes
    monkeypatch.setattr(traffic, "read_bytes", lambda *product: right(*product) + 16)
    status, out, err = mixpe(*ARRAY, "--shape", SHAPE)
    assert status == 1
    expected = f"{SHAPE}: READ_BYTES counts {READ_BYTES:,}, the formula {READ_BYTES + 16:,}"
    assert err.splitlines()[-1] == f"mixpe: error: {expected}"
    assert "bit for bit" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shape", "8x64"], "--shape must be MxKxN, each 1 to 16777215, not '8x64'"),
        (["--shape", "8x0x8"], "--shape must be MxKxN, each 1 to 16777215, not '8x0x8'"),
        (["--shape", "8x8x16777216"], "--shape must be MxKxN, each 1 to 16777215, not '8x8x16777216'"),
        (["--bandwidth", "0"], "--bandwidth must be a number of bytes above 0, not 0"),
        (["--bandwidth", "nan"], "--bandwidth must be a number of bytes above 0, not nan"),
        (["--latency", "0"], "latency must be at least 1, not 0"),
        (["--seed", "-1"], "--seed must be at least 0, not -1"),
        (["stream_w4a8_16x16"], "CONFIG must be a core with bus axi, not stream: stream_w4a8_16x16"),
        (["no_such_core"], "no_such_core"),
        (["--shape", "9999999x9999999x9999999"], "--shape 9999999x9999999x9999999 needs 2.2 PiB of memory"),
        (["--json", "."], "cannot write .: it is a folder"),
    ],
)
def test_mistakes(mixpe, arguments, message):
    status, out, err = mixpe(*arguments)
    assert status == 2
    assert not out
    assert len(err.splitlines()) == 1
    assert message in err


def test_defaults(mixpe, monkeypatch):
    """Of the issue: a layer on 128 tokens and on one, on the W4A8 core of 16x16."""
    asked = []

    def stop(core, **options):
        asked.append((core.name, options))
        raise SystemExit(5)

    monkeypatch.setattr("mixpe.cli.matmul.accelerator", stop)
    assert mixpe()[0] == 5
    ((name, options),) = asked
    assert name == "core_w4a8_16x16"
    weights = 512 * 512 // 2 + 2 * 4 * 512  # codes, and four groups' scales
    assert options == {
        "memory_bytes": weights + 128 * (512 + 4 * 512) + 4 * 128,
        "latency": 40,
        "write_latency": 20,
        "bytes_per_cycle": None,
    }
