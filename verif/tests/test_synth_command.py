"""`mixpe synth`: the records it writes for a library of a few cells; what it leaves after a failure."""

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mixpe.cli.synth import synth
from mixpe.gen.write import Design
from mixpe.spec.array import Config
from mixpe.spec.errors import UserError
from mixpe.support.files import write_file
from mixpe.synth.yosys import SynthesisError
from verif.libraries.few import DFF, HEAD, LIBRARY, LOGIC


def synth_command(tmp_path: Path, lib: str, *more: str) -> tuple[Path, BaseException | None]:
    out_dir = tmp_path / "out"
    fields = ["--rows", "1", "--cols", "2", "--weight-bits", "2", "--act-bits", "4", "--group", "4"]
    done = CliRunner().invoke(synth, [*fields, *more, "--lib", lib, "--out-dir", str(out_dir)])
    return out_dir, done.exception


def test_command(tmp_path: Path) -> None:
    source = tmp_path / "few.lib.gz"
    source.write_bytes(gzip.compress(LIBRARY.encode()))
    out_dir, exception = synth_command(tmp_path, str(source))
    assert exception is None
    found = json.loads((out_dir / "synth.json").read_text())
    by_part = {record["part"]: record for record in found}
    assert by_part["PE"]["instances"] == 2
    assert by_part["dequantizer"]["instances"] == 2
    # Two elements and two dequantizers for two products a cycle: each column's share is that of one.
    for part in ("PE", "dequantizer"):
        assert by_part[part]["area_per_mac_um2"] == pytest.approx(by_part[part]["area_um2"])
    assert by_part["top"]["area_per_mac_um2"] == pytest.approx(by_part["top"]["area_um2"] / 2)
    for record in found:
        assert record["library"] == "few"
        assert record["area_registers_um2"] == record["cells_by_type"]["DFF"] * DFF
        assert set(record["cells_by_type"]) <= {"INV", "BUF", "NAND2", "NOR2", "XOR2", "DFF"}
    assert by_part["top"]["area_um2"] > by_part["array"]["area_um2"] >= 2 * by_part["PE"]["area_um2"]
    assert not [path for path in out_dir.iterdir() if path.name.startswith(".")]


def test_command_on_streams(tmp_path: Path) -> None:
    (tmp_path / "few.lib").write_text(LIBRARY)
    out_dir, exception = synth_command(tmp_path, str(tmp_path / "few.lib"), "--bus", "stream")
    assert exception is None
    found = {record["part"]: record for record in json.loads((out_dir / "synth.json").read_text())}
    # Two beats, and two bits of state besides the one of `ready`; acts have `last` too.
    for part, bits in (("receiver of acts", 4 + 1), ("receiver of weights", 4), ("receiver of scales", 32)):
        assert found[part]["cells_registers"] == 2 * bits + 3
    assert found["core"]["area_um2"] > found["engine"]["area_um2"]
    assert [record["memories"] for record in found.values()] == [[]] * len(found)


@pytest.mark.nightly
def test_command_on_a_core(tmp_path: Path) -> None:
    (tmp_path / "few.lib").write_text(LIBRARY)
    core = ["--data-bits", "64", "--act-words", "16", "--weight-words", "64", "--token-scale"]
    out_dir, exception = synth_command(tmp_path, str(tmp_path / "few.lib"), *core)
    assert exception is None
    found = json.loads((out_dir / "synth.json").read_text())
    by_part = {record["part"]: record for record in found}
    blocks = ("register file", "reader", "weight buffer", "activation buffer", "token scale buffer", "writer")
    assert {"PE", "dequantizer", "engine", "core", *blocks} <= by_part.keys()
    assert by_part["core"]["area_um2"] > sum(by_part[part]["area_um2"] for part in blocks)
    for record in found:
        assert record["area_registers_um2"] == record["cells_by_type"].get("DFF", 0) * DFF
    # Words of 64 bits: 2 banks of 16 for one row of activations, 64 of weights, 64 of scales; of token scales
    # 2 banks of one word.
    sizes = {(each["depth"], each["width"]): each["count"] for each in by_part["core"]["memories"]}
    assert sizes == {(32, 64): 1, (64, 64): 2, (2, 64): 1}
    held = {part: sum(each["bits"] for each in by_part[part]["memories"]) for part in blocks}
    assert list(held.values()) == [0, 0, 64 * 64, 32 * 64, 2 * 64, 0]


@pytest.mark.parametrize("lib", ["sky131", "absent.lib", "cut.lib.gz", "noflipflop.lib"])
def test_command_with_bad_library(tmp_path: Path, lib: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXPE_DATA", str(tmp_path))
    (tmp_path / "cut.lib.gz").write_bytes(gzip.compress(LIBRARY.encode())[:-30])
    (tmp_path / "noflipflop.lib").write_text(HEAD + LOGIC + "}")
    out_dir, exception = synth_command(tmp_path, str(tmp_path / lib) if "." in lib else lib)
    assert isinstance(exception, UserError)
    assert "\n" not in str(exception)
    assert not out_dir.exists()


def test_failed_synthesis_leaves_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a new result nor that of an earlier Verilog; the log stays."""

    def write_latch(config: Config, out_dir: Path) -> Design:
        verilog = write_file(
            out_dir / "bad.v",
            f"module {config.name}(input e, d, output reg q); always @* if (e) q = d; endmodule",
        )
        return Design(verilog, out_dir / "manifest.json", out_dir / "bad_inst.v", out_dir / "bad.core")

    monkeypatch.setattr("mixpe.cli.synth.write_design", write_latch)
    (tmp_path / "few.lib").write_text(LIBRARY)
    write_file(tmp_path / "out" / "synth.json", "[]")
    out_dir, exception = synth_command(tmp_path, str(tmp_path / "few.lib"))
    assert isinstance(exception, SynthesisError)
    assert "Latch inferred" in str(exception)
    assert sorted(path.name for path in out_dir.iterdir()) == ["bad.v", "synth.log"]
