"""The formal proofs of `verif.formal`; broken circuits, one defect at a time, that they must catch."""

from dataclasses import dataclass, replace

import pytest

from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig
from verif.formal.aiger import Aiger
from verif.formal.designs import SMALL, proofs
from verif.formal.engine import BROKE, KEPT, MISSED, Graph
from verif.harness.broken import broken_module, install
from verif.samples.cores import CORES, SIMULATED

SECONDS = 120
HARD = ("order_keeps_order", "w_inner_words_are_whole", "w_strobes_not_0")
NIGHTLY = ("core", "array", "commands")
"""Proofs of the small core that take longer."""

STREAM = CoreConfig(bus="stream", name="stream_core", array=SMALL.array)
ARRAYS = {
    "fp16 aligned": Config(rows=2, cols=2, group=3, act_format="fp16", align_bits=11, token_scale=True),
    "bf16 as it is": Config(rows=2, cols=2, group=3, act_format="bf16", fp_scheme="fp_mac"),
    "fp8 as it is": Config(rows=2, cols=1, group=2, act_format="fp8_e4m3", fp_scheme="fp_mac"),
    "fp4 weights": Config(rows=1, cols=2, group=4, weight_format="fp4_e2m1"),
    "banks": Config(rows=2, cols=4, group=9, share=2, token_scale=True),
    "clusters": Config(rows=2, cols=2, group=9, cluster=2),
    "segments": Config(rows=12, cols=1, group=2),
    "carry save, booth's digits": Config(rows=2, cols=2, group=1, datapath="booth", out_format="fp16"),
}
WIDER = {
    "simulated": SIMULATED,
    "512 bits, 64-bit addresses": CORES["1x1, a beat for a group, pages as bursts"],
    "128 bits, bursts of one": CORES["2x3, one of everything, unsigned, 16-bit activations"],
    "rows across pages": CORES["2x24, rows of results across pages"],
    "eight outstanding": replace(SMALL, outstanding=8, queue=4),
}


def prove(config, name, folder):
    results = list(Graph(proofs(config)[name], folder).solve(SECONDS))
    assert results
    assert [each for each in results if not each.good] == []


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.nightly] * (name in NIGHTLY)) for name in proofs(SMALL)]
)
def test_small_core(name, tmp_path):
    prove(SMALL, name, tmp_path)


def test_skid_buffer(tmp_path):
    prove(STREAM, "skid buffer", tmp_path)


@pytest.mark.nightly
def test_stream_core(tmp_path):
    prove(STREAM, "stream core", tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("name", ARRAYS)
def test_array(name, tmp_path):
    prove(ARRAYS[name], "array", tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("part", ["reader", "writer", "weight buffer"])
@pytest.mark.parametrize("config", WIDER)
def test_wider_core(config, part, tmp_path):
    """All for good, but what is hard of long lines and wide rows: that may be for some cycles only."""
    results = list(Graph(proofs(WIDER[config])[part], tmp_path).solve(SECONDS))
    assert results
    hard = [each for each in results if each.verdict == KEPT and each.name.startswith(HARD)]
    assert [each for each in results if not each.good and each not in hard] == []
    assert all(each.cycles >= 8 for each in hard)


@dataclass(frozen=True)
class Defect:
    """In the source `module` of `mixpe.hw`, `right` becomes `wrong`; then `proof` finds `broken` broken."""

    module: str
    right: str
    wrong: str
    proof: str
    broken: str


DEFECTS = {
    "bursts cross their boundary": Defect(
        "core.loaders",
        "room = config.burst - place",
        "room = config.burst",
        "weight loader",
        "request_within_burst",
    ),
    "WLAST is a word early": Defect(
        "core.writer",
        "self.m_axi_wlast.eq(left == 1)",
        "self.m_axi_wlast.eq(left == 2)",
        "writer",
        "wlast_in_its_place",
    ),
    "bursts cross a page": Defect(
        "core.writer",
        "Mux(words > to_boundary, to_boundary, words)",
        "words",
        "writer",
        "aw_within_4096_bytes",
    ),
    "a burst more than promised": Defect(
        "core.writer",
        "(waiting != config.outstanding)",
        "(waiting != config.outstanding + 1)",
        "writer",
        "b_outstanding",
    ),
    "words before their address is taken": Defect(
        "core.writer", "is_free(bus) & (~left.any()", "(~left.any()", "writer", "aw_payload_stays"
    ),
    "requests without room in line": Defect(
        "core.reader", "& order.w_rdy & ~self.hold", "& ~self.hold", "reader", "r_outstanding"
    ),
    "a request drops another": Defect(
        "core.reader", "free.eq(is_free(bus) & order", "free.eq(order", "reader", "ar_payload_stays"
    ),
    "requests in spite of hold": Defect(
        "core.reader", "order.w_rdy & ~self.hold)", "order.w_rdy)", "reader", "held"
    ),
    "words of a burst to another client": Defect(
        "core.reader",
        "order.r_en.eq(came & self.m_axi_rlast)",
        "order.r_en.eq(came)",
        "reader",
        "r_is_taken",
    ),
    "an answer drops another": Defect(
        "core.axi_lite",
        "self.read.eq(addressed & ~self.s_axil_rvalid)",
        "self.read.eq(addressed)",
        "register file",
        "r_payload_stays",
    ),
    "an answer without a write's data": Defect(
        "core.axi_lite",
        "self.write_offered.eq(addressed & has_data &",
        "self.write_offered.eq(addressed &",
        "register file",
        "b_has_its_request",
    ),
    "an answer that is not taken goes": Defect(
        "core.axi_lite",
        "with m.Elif(channel.ready):",
        "with m.Else():",
        "register file",
        "b_valid_stays",
    ),
    "a second answer": Defect(
        "core.axi_lite",
        "m.d.sync += full.eq(0)",
        "m.d.sync += full.eq(full & channel.valid)",
        "register file",
        "ar_is_taken",
    ),
    "a word for which there is no room": Defect(
        "core.stream_buffer",
        "self.room.eq(space >= config.burst)",
        "self.room.eq(space >= config.burst - 1)",
        "weight buffer",
        "queue_neither_overflows_nor_underflows",
    ),
    "a word that is not there": Defect(
        "core.stream_buffer",
        "pop.eq(filled.any() & (~have | accept))",
        "pop.eq(~have | accept)",
        "weight buffer",
        "queue_neither_overflows_nor_underflows",
    ),
    "a beat of weights changes": Defect(
        "core.stream_buffer",
        "left = Mux(take, Mux(last, 0, rest), store)",
        "left = Mux(last, 0, rest)",
        "weight buffer",
        "out_payload_stays",
    ),
    "the next activations while some wait": Defect(
        "core.bank_buffer",
        "wanted.eq(~have | (take & end_word))",
        "wanted.eq(~have | end_word)",
        "act buffer",
        "no_read_while_waiting",
    ),
    "a command over another": Defect(
        "core.commands",
        "(Error.QUEUE_FULL, ~room)",
        "(Error.QUEUE_FULL, Const(0))",
        "commands",
        "queue_keeps_order_of_bit_0",
    ),
    "a product without rows": Defect(
        "core.commands",
        "Cat(size == 0 for size in sizes).any()",
        "Cat(size == 0 for size in sizes).all()",
        "commands",
        "job_has_a_size",
    ),
    "operands are reset with bursts under way": Defect(
        "core.commands", "m.Elif(ending & self.quiet)", "m.Elif(ending)", "core", "aw_valid_stays"
    ),
    "a skid buffer without room takes a beat": Defect(
        "streams",
        "waiting.eq(1), ready.eq(0)",
        "waiting.eq(1)",
        "skid buffer",
        "beats_never_overflows",
    ),
    "a skid buffer takes a beat in reset": Defect(
        "streams", "ready = Signal()", "ready = Signal(init=1)", "skid buffer", "i_ready_reset"
    ),
    "rows move while the output waits": Defect(
        "array.control",
        "self.advance.eq(~self.valid | self.ready)",
        "self.advance.eq(1)",
        "array",
        "out_valid_stays",
    ),
}

QUICK = (
    "bursts cross their boundary",
    "WLAST is a word early",
    "a request drops another",
    "a word for which there is no room",
    "a skid buffer without room takes a beat",
)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.nightly] * (name not in QUICK)) for name in DEFECTS]
)
def test_defect_is_found(name, tmp_path, monkeypatch):
    defect = DEFECTS[name]
    broken = broken_module(f"mixpe.hw.{defect.module}", defect.right, defect.wrong, tmp_path)
    install(broken, monkeypatch)
    config = STREAM if defect.proof == "skid buffer" else SMALL
    graph = Graph(proofs(config)[defect.proof], tmp_path / "proof")
    (result,) = graph.solve(SECONDS, [defect.broken])
    assert result.verdict == BROKE
    assert result.cycles > 0


def test_registers_begin_as_reset_leaves_them():
    """Of three registers reset clears one and sets one; the third begins with any value."""
    # Variables: inputs reset 1, data 2; registers 3, 4, 5; gates 6 = ~reset & data, 7 = ~reset & ~data.
    gates = bytes([12 - 4, 4 - 3, 14 - 5, 5 - 3])
    graph = Aiger(b"aig 7 2 3 1 2\n12\n15\n4\n6\n" + gates)
    graph.begin_behind(reset=0)
    assert graph.with_output(0).split(b"\n")[:5] == [b"aig 7 2 3 1 2", b"12 0", b"15 1", b"4 10", b"6"]


def test_nothing_is_reached_under_assumptions_that_exclude_it(tmp_path):
    """A proof whose assumptions leave nothing is told from one that holds."""

    def make(modules):
        proof = proofs(SMALL)["writer"](modules)
        proof.assume("nothing", ~proof.part.m_axi_awvalid)
        return proof

    (result,) = Graph(make, tmp_path).solve(1, ["aw_waits"])
    assert result.verdict == MISSED
