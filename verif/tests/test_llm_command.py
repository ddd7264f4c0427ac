"""The command `mixpe llm`."""

import json
import os
import sys
from pathlib import Path

import pytest

from mixpe.cli.main import main
from mixpe.driver.command import CommandError
from mixpe.llm import energy
from mixpe.llm.engine import FloatEngine, GoldenEngine, array_config
from mixpe.llm.generate import sampler
from mixpe.models.llama import Llama
from mixpe.models.tokenizer import Tokenizer
from mixpe.ppa.record import to_json
from mixpe.spec.array import Config
from mixpe.spec.registers import Error
from verif.samples.data import models
from verif.samples.models import STORY, FakeAccelerator, generated, tiny_model
from verif.samples.records import record as ppa_record


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> tuple[Llama, Tokenizer]:
    return tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def mixpe(tmp_path, monkeypatch, capsys):
    """Runs `mixpe llm` on the tiny model, in a folder of its own; returns exit status, output and errors."""
    monkeypatch.chdir(tmp_path)
    tiny_model(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        own = [] if "stories260K" in arguments else ["--model", "model", "--tokenizer", "tok"]
        monkeypatch.setattr(sys, "argv", ["mixpe", "llm", *own, *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        assert isinstance(end.value.code, int)
        return end.value.code, *capsys.readouterr()

    return run


SMALL = ("--prompt", "ab", "--tokens", "5", "--group", "16", "--rows", "4", "--cols", "4")


def test_command(mixpe, tiny):
    status, out, err = mixpe("--engine", "golden", *SMALL, "--json", "out/it.json")
    assert status == 0, err
    expected = generated(tiny, GoldenEngine(array_config(8, 16)), "ab", 5)
    assert out == f"ab{expected.text}\n"
    assert "tokens per second" in err
    assert "one comes from: mixpe ppa --design int8_multiplier" in " ".join(err.split())
    found = json.loads(Path("out/it.json").read_text(encoding="utf-8"))
    assert found["tokens"] == expected.tokens
    assert found["prompt_tokens"] == expected.prompt_tokens
    assert found["text"] == expected.text
    assert found["logits_sha256"] == expected.logits_sha256
    assert (found["engine"], found["model"], found["cycles"]) == ("golden", "model", None)
    assert (found["core"]["array"]["group"], found["core"]["array"]["rows"]) == (16, 4)
    assert found["seconds"].keys() == {"prefill", "decode"}
    assert found["energy"] == []


def test_options_choose_the_arithmetic(mixpe, tiny):
    scheme = ("--weight-bits", "4", "--acts", "a16", "--zero-point")
    drawn = ("--temperature", "0.8", "--seed", "4")
    status, out, err = mixpe("--engine", "golden", *SMALL, *scheme, *drawn)
    assert status == 0, err
    config = array_config(4, 16, "a16", zero_point=True)
    assert out == f"ab{generated(tiny, GoldenEngine(config), 'ab', 5, sampler(0.8, 4)).text}\n"
    status, out, err = mixpe("--engine", "float", *SMALL)
    assert status == 0, err
    assert out == f"ab{generated(tiny, FloatEngine(), 'ab', 5).text}\n"
    assert "energy" not in err


def test_core_of_a_file(mixpe):
    Path("mine.toml").write_text("weight_bits = 3\nrows = 2\ncols = 2\ngroup = 8\n\n[core]\ndata_bits = 64\n")
    Path("array.toml").write_text("weight_bits = 3\nrows = 2\ncols = 2\ngroup = 8\n")
    for source in ("mine.toml", "array.toml"):
        status, *_ = mixpe("--engine", "golden", "--core", source, "--json", "it.json")
        core = json.loads(Path("it.json").read_text())["core"]
        assert status == 0
        assert (core["array"]["weight_bits"], core["array"]["group"]) == (3, 8)
        assert core["data_bits"] == (64 if source == "mine.toml" else 128)


def measured(config: Config, pj: float):
    return ppa_record("mine", 100.0, 5.0, pj, config=config)


def test_energy_of_a_report(mixpe, tiny):
    config = array_config(8, 16, datapath="multiplier")
    for name, pj in (("old", 9.0), ("new", 2.0)):
        path = Path("build", name, "ppa.json")
        path.parent.mkdir(parents=True)
        path.write_text(to_json([measured(config, pj)]))
    macs = sum(w.size for w in tiny[0].linears.values())
    for path, seconds in (("build/old/ppa.json", 100), ("build/new/ppa.json", 200)):
        os.utime(path, (seconds, seconds))
    for arguments, pj in (((), 2), (("--energy", "build/old/ppa.json"), 9)):
        status, _, err = mixpe("--engine", "golden", *SMALL, *arguments, "--json", "it.json")
        assert status == 0
        words = energy.Figure("mine", "pe", "sky130hd", 16, pj).words(macs, 16)
        assert f"energy per token: {words}" in err
        (found,) = json.loads(Path("it.json").read_text())["energy"]
        assert found["joules_per_token"] == pytest.approx(macs * pj * 1e-12)
    Path("it.json").write_text(to_json([measured(array_config(2, 16), 1.0)]))
    _, _, err = mixpe("--engine", "golden", *SMALL, "--energy", "it.json")
    assert "energy per token: the report has no element or array like this one's" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tokens", "0"], "tokens must be at least 1, not 0"),
        (["--tokens", "-1"], "tokens must be at least 1, not -1"),
        (["--prompt", "c" * 30], "prompt must be at most 20 tokens, the model's positions, not 32"),
        (["--weight-bits", "9"], "weight_bits must be 0 or 2 to 8, not 9"),
        (["--group", "0"], "group must be 1 to 16777215, not 0"),
        (["--acts", "a4"], "Invalid value for '--acts': 'a4' is not one of 'a8', 'a16'."),
        (["--rows", "0"], "rows must be 1 to 128, not 0"),
        (["--data-bits", "100"], "data_bits must be one of 64, 128, 256, 512, not 100"),
        (
            ["--core", "stream_w4a8_16x16"],
            "--core must be a core with bus axi, not stream: stream_w4a8_16x16",
        ),
        (["--core", "none.toml"], "configuration file none.toml cannot be read: No such file or directory"),
        (["--temperature", "-0.5"], "temperature must be a number of at least 0, not -0.5"),
        (["--clock", "0"], "--clock must be a number of MHz above 0, not 0"),
        (["--energy", "none.json"], "report none.json cannot be read: No such file or directory"),
        (["--json", "."], "cannot write .: it is a folder"),
        (["--json", "tok/it.json"], "cannot write tok/it.json: "),
        (["--tokenizer", "none"], "tokenizer must be a file, not 'none'"),
        (["--model", "none"], "model must be stories260K or a checkpoint file, not 'none'"),
        (["--model", "tok"], "model tok"),
    ],
)
def test_a_mistake_is_one_line(mixpe, arguments, message):
    before = set(Path().rglob("*"))
    status, out, err = mixpe("--engine", "golden", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"mixpe: error: {message}")
    assert len(err.splitlines()) == 1
    assert set(Path().rglob("*")) == before


def test_interrupted(mixpe, monkeypatch):
    """What was said is kept, in the file too."""
    whole = mixpe("--engine", "golden", *SMALL, "--json", "whole.json")[1]
    product = GoldenEngine.product
    done = []

    def interrupted(*arguments):
        done.append(1)
        if len(done) == 15 * 3 + 4:
            raise KeyboardInterrupt
        return product(*arguments)

    monkeypatch.setattr(GoldenEngine, "product", interrupted)
    status, out, err = mixpe("--engine", "golden", *SMALL, "--json", "part.json")
    assert status == 130
    assert err == "mixpe: interrupted after 3 of 5 tokens\n"
    expected, found = (json.loads(Path(name).read_text()) for name in ("whole.json", "part.json"))
    assert found["tokens"] == expected["tokens"][:3]
    assert (expected["ending"], found["ending"]) == ("count", "interrupted")
    assert out == f"ab{found['text']}\n"
    assert whole.startswith(out.rstrip("\n"))
    assert sum(each["calls"] for each in found["decode"]) == 2 * 15


class FakeCore:
    """In place of a simulation."""

    def __init__(self, config, **memory):
        self.array, self.memory = config.array, memory
        made.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


made: list[FakeCore] = []


@pytest.fixture
def faked(monkeypatch):
    made.clear()
    monkeypatch.setattr("mixpe.sim.fast.SimulatedCore", FakeCore)
    monkeypatch.setattr("mixpe.cli.simulated.Accelerator", lambda core, config: FakeAccelerator(config.array))
    return monkeypatch


def test_core_and_golden_model_by_the_command(mixpe, faked):
    """Text, logits, and what the core counted: 10 cycles, 20, 30... for 5 tokens of 15 products."""
    golden = mixpe("--engine", "golden", *SMALL, "--json", "golden.json")
    core = mixpe(*SMALL, "--json", "core.json", "--latency", "7", "--bandwidth", "2.5")
    assert golden[:2] == core[:2]
    assert golden[0] == 0
    read = [json.loads(Path(f"{name}.json").read_text()) for name in ("golden", "core")]
    for key in ("tokens", "text", "logits_sha256", "macs", "core"):
        assert read[0][key] == read[1][key]
    assert read[1]["cycles"] == 10 * 75 * 76 // 2
    assert made[0].memory.pop("memory_bytes") > 0
    assert made[0].memory == {"latency": 7, "bytes_per_cycle": 2.5}
    assert "Prefill: " in core[2]
    assert "Decode: mean of 4 tokens" in core[2]
    assert f"SHA-256 {read[1]['logits_sha256']}" in core[2]


def test_a_core_that_fails_ends_the_command(mixpe, faked):
    def fail(self, *_):
        if self.count == 20:
            raise CommandError("product", Error.READ_DECODE)
        return product(self, *_)

    product = FakeAccelerator.matmul
    faked.setattr(FakeAccelerator, "matmul", fail)
    status, out, err = mixpe(*SMALL, "--json", "core.json")
    assert (status, err) == (1, "mixpe: error: product: a read was answered DECERR\n")
    assert out.startswith("ab")
    assert out.endswith("\n")
    assert not Path("core.json").exists()


@pytest.mark.parametrize(
    "scheme",
    [
        pytest.param(("--weight-bits", "8", "--acts", "a8"), id="w8a8"),
        pytest.param(
            ("--weight-bits", "4", "--acts", "a16", "--zero-point", "--lanes", "2"),
            id="w4a16",
            marks=pytest.mark.nightly,
        ),
    ],
)
def test_the_verilog_says_the_same(mixpe, scheme):
    """Through Verilator, on a core whose rows, columns and groups divide no size of the model."""
    small = ("--prompt", "abc", "--tokens", "3", "--group", "7", "--rows", "2", "--cols", "5", *scheme)
    core, golden = (mixpe("--engine", name, *small, "--json", f"{name}.json") for name in ("rtl", "golden"))
    assert core[:2] == golden[:2]
    assert core[0] == 0, core[2]
    read = [json.loads(Path(f"{name}.json").read_text()) for name in ("golden", "rtl")]
    assert read[0]["logits_sha256"] == read[1]["logits_sha256"]
    assert read[1]["cycles"] > read[1]["macs"] / 20


@pytest.mark.nightly
@pytest.mark.parametrize("name", models())
def test_the_verilog_tells_the_story(mixpe, name):
    """64 tokens on the 16x16 core of the default options."""
    own = ("--model", name, "--prompt", "", "--tokens", "64")
    core, golden = (mixpe("--engine", which, *own, "--json", f"{which}.json") for which in ("rtl", "golden"))
    assert core[:2] == golden[:2]
    assert core[1].startswith(STORY)
    read = [json.loads(Path(f"{which}.json").read_text()) for which in ("rtl", "golden")]
    assert read[0]["logits_sha256"] == read[1]["logits_sha256"]
    assert len(read[0]["tokens"]) == 64
