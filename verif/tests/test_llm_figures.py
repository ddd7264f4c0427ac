"""What `mixpe llm` says of cycles, bytes and energy."""

from io import StringIO

import pytest
from rich.console import Console

from mixpe.driver.command import Counters
from mixpe.llm import energy
from mixpe.llm.engine import Call, FloatEngine, array_config
from mixpe.llm.report import lines, macs_per_token, record, tables, utilization, work
from mixpe.models.llama import Llama
from mixpe.models.tokenizer import Tokenizer
from mixpe.ppa.record import Kind
from mixpe.spec.array import Config
from verif.samples.models import VOCABULARY, generated, tiny_model
from verif.samples.records import record as ppa_record


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> tuple[Llama, Tokenizer]:
    return tiny_model(tmp_path_factory.mktemp("tiny"))


def test_work_is_summed_by_kind_and_shape():
    calls = [
        Call("layers.0.wq", 2, 3, 4, Counters(10, 5, 1, 2, 100, 1)),
        Call("classifier", 1, 3, 9, Counters(7, 6, 0, 0, 50, 2)),
        Call("layers.1.wq", 2, 3, 4, Counters(30, 15, 3, 4, 300, 3)),
    ]
    found = work(calls)
    assert [(each.kind, each.m, each.k, each.n, each.calls, each.macs) for each in found] == [
        ("wq", 2, 3, 4, 2, 48),
        ("classifier", 1, 3, 9, 1, 27),
    ]
    assert found[0].counters == Counters(40, 20, 4, 6, 400, 4)
    assert work([*calls, Call("layers.2.wq", 2, 3, 4)])[0].counters is None
    assert utilization(8 * 15, 20, Config(rows=2, cols=3, lanes=2)) == 0.5


class Counted(FloatEngine):
    """Every product takes 100 cycles, 25 of them waiting for memory, reads 1000 bytes and writes 7."""

    def multiply(self, name, x):
        return super().multiply(name, x)[0], Counters(100, 50, 25, 5, 1000, 7)


def text(*tables) -> str:
    console = Console(file=StringIO(), width=100)
    console.print(*tables, sep="\n")
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_tables_and_record_of_a_core(tiny):
    """Prefill in all, decode per token; K x N of the layers are 24x24, 24x12, 24x37, 37x24 and 24x266."""
    generation = generated(tiny, Counted(), "abc", 4)
    config = Config(rows=4, cols=4)
    m = len(generation.prompt_tokens)
    per_row = 2 * (2 * 24 * 24 + 2 * 24 * 12 + 3 * 24 * 37) + 24 * len(VOCABULARY)
    assert macs_per_token(generation) == per_row
    rows = [line.split() for line in text(*tables(generation, config)).splitlines()]
    use = f"{per_row / (1500 * 16):.1%}"
    first = per_row * m - (m - 1) * 24 * len(VOCABULARY)
    for expected in (
        ["Prefill:", str(m), "tokens,", "a", "row", "each"],
        ["Decode:", "mean", "of", "3", "tokens,", "one", "row", "at", "a", "time"],
        ["wk", f"{m}x24x12", "2", "200", f"{m * 24 * 12 / 1600:.1%}", "25.0%", "2,000", "14"],
        [
            "classifier",
            f"1x24x{len(VOCABULARY)}",
            "1",
            "100",
            f"{24 * len(VOCABULARY) / 1600:.1%}",
            "25.0%",
            "1,000",
            "7",
        ],
        ["w2", "1x37x24", "2", "200", f"{37 * 24 / 1600:.1%}", "25.0%", "2,000", "14"],
        ["all", "15", "1,500", use, "25.0%", "15,000", "105"],
        ["all", "15", "1,500", f"{first / 24000:.1%}", "25.0%", "15,000", "105"],
    ):
        assert expected in rows, expected
    said = lines(generation, config, 50)
    per_token = f"1,500 cycles, {use} of the array used (by one row of 4), 15,000 bytes read and 105 written"
    assert said[1] == f"per token: {per_token}"
    assert said[2] == "the core alone, at 50 MHz: 33,333 tokens per second"
    assert said[-1] == f"logits of 4 tokens: SHA-256 {generation.logits_sha256}"
    found = record(generation, config)
    assert (found["cycles"], found["bytes_read"], found["bytes_written"]) == (6000, 60000, 420)
    assert found["macs"] == first + 3 * per_row
    assert [each["layer"] for each in found["decode"]] == [
        "wq",
        "wk",
        "wv",
        "wo",
        "w1",
        "w3",
        "w2",
        "classifier",
    ]
    assert found["decode"][1] == {
        "layer": "wk",
        "m": 1,
        "k": 24,
        "n": 12,
        "calls": 6,
        "utilization": 24 * 12 / 1600,
        "counters": vars(Counters(600, 300, 150, 30, 6000, 42)),
    }


def test_figures_without_a_core(tiny):
    generation = generated(tiny, FloatEngine(), "", 1)
    assert len(lines(generation, None, 100)) == 2
    assert lines(generation, None, 100)[0].startswith("prompt (1 token) and the first new token in ")
    found = record(generation, None)
    assert (found["cycles"], found["bytes_read"], found["decode"]) == (None, None, [])
    assert found["prefill"][0]["utilization"] is None
    assert found["tokens_per_second"] is None


# Energy


def measured(config: Config, design: str, pj: float, area=100.0, kind: Kind = "pe", **changes):
    return ppa_record(design, area, 5.0, pj, kind=kind, config=config, **changes)


def test_energy_is_of_the_nearest_design():
    config = array_config(8, 64, datapath="booth")
    same = measured(config, "element", 2.0)
    larger = measured(config, "element", 1.0, area=200.0)
    array = measured(config, "array", 3.0, kind="array")
    coarser = measured(array_config(8, 128, datapath="booth"), "coarser", 4.0)
    others = [
        measured(array_config(4, 64, datapath="booth"), "w4", 5.0),
        measured(array_config(8, 64), "shift_add", 6.0),
        measured(array_config(8, 64, "a16", datapath="booth"), "a16", 7.0),
        measured(array_config(8, 64, datapath="booth", rows=8), "small", 8.0, kind="array"),
        measured(config, "fusion", 1.0, area=1.0, element="bit_fusion"),
    ]
    elsewhere = measured(config, "element", 9.0, library="asap7")

    def found(*records):
        return [(f.library, f.design, f.pj_per_mac, f.group) for f in energy.figures(records, config)]

    assert found(*others) == []
    assert found(*others, coarser) == [("sky130hd", "coarser", 4.0, 128)]
    assert found(*others, coarser, larger, same) == [("sky130hd", "element", 2.0, 64)]
    assert found(*others, coarser, same, array) == [("sky130hd", "array", 3.0, 64)]
    assert found(same, elsewhere, *others) == [
        ("sky130hd", "element", 2.0, 64),
        ("asap7", "element", 9.0, 64),
    ]


def test_energy_says_what_it_stands_for():
    figure = energy.Figure("int8_booth", "pe", "sky130hd", 128, 2.5)
    assert figure.per_token(4000) == pytest.approx(1e-8)
    assert figure.words(4000, 128) == (
        "10 nJ (elements only: 4,000 MACs x 2.5 pJ per MAC of int8_booth on sky130hd, least area)"
    )
    assert figure.words(4, 64) == (
        "10 pJ (elements only: 4 MACs x 2.5 pJ per MAC of int8_booth on sky130hd, "
        "least area, measured with groups of 128)"
    )
    array = energy.Figure("mine", "array", "asap7", 64, 0.5)
    assert array.words(4_000_000, 64).startswith("2 uJ (array at full use only: 4,000,000 MACs x 0.5 pJ")


def test_no_report_of_energy(tmp_path):
    assert energy.newest_report(tmp_path / "build") is None


def test_a_command_measures_what_is_missing():
    assert energy.command(array_config(8, 64, datapath="booth")) == "mixpe ppa --design int8_booth"
    fp16 = energy.command(array_config(4, 32, "a16", datapath="carry_save", lanes=2))
    assert fp16 == "mixpe ppa --design w4a16_aligned13_carry_save_l2"
    assert energy.command(array_config(5, 64)).startswith("mixpe ppa --config ")
