"""Proofs by Yosys's SAT solver that a processing element multiplies and adds.

What is proved is the Verilog of the element itself and of the recoder at the array's edge. Its registers
become ports, so that one step from any state to the next is combinational; the proof holds for every state,
reachable or not, hence for groups of every length. The reference is Verilog written here by hand:
`acc + weight * act`, with `*` and `+`.

A proof for all weight codes at once is hard for a solver, one for each code is easy: weights then are
constants. Together they say the same. Small formats are proved at once.
"""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mixpe.gen.verilog import convert
from mixpe.hw.element.integer import ArrayElement, recoded_weights
from mixpe.hw.modules import Modules, place
from mixpe.spec.array import Config
from mixpe.synth.yosys import SynthesisError, run_yosys

REGISTERS = ("acts_out", "weights_out", "group_end_out", "stored")
WHOLE_BITS = 9
"""Bits of all operands up to which all weight codes are proved at once."""

# Registers of the element become ports; then all is one combinational module.
_PREPARE = """\
read_verilog equivalence.v
proc
flatten {elements}
opt_clean -purge {elements}
select {selected}
expose -evert-dff -sep __ %
select -clear
"""
_CASE = "log proving {name}\nsat -verify -prove wrong 0 -show-ports {fixed} step_{name}\n"
_SUCCESS = "SAT proof finished - no model found: SUCCESS!"
_FAILURE = "SAT proof finished - model found: FAIL!"
_PROVING = re.compile(r"^proving (\w+)$", re.MULTILINE)
_VALUE = re.compile(r"^\s+\\(\w+)\s+(\d+)\s", re.MULTILINE)


class EquivalenceError(AssertionError):
    """Says that an element computes something else, in a line with operands for which it does."""


class _Recoder(wiring.Component):
    """Stands at the array's edge: weight codes of all lanes become the wires that elements take."""

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "codes": In(config.lanes * config.weight_bits),
                "wires": Out(config.lanes * config.weight_wires),
            }
        )

    def elaborate(self, _platform):
        m = Module()
        m.d.comb += self.wires.eq(recoded_weights(self.config, self.codes))
        return m


class _Parts(wiring.Component):
    """Places the element and the recoder of each configuration, each a module, and connects nothing."""

    def __init__(self, configs: Sequence[Config], modules: Modules):
        self.configs = configs
        self.modules = modules
        super().__init__({"unused": Out(1)})

    def elaborate(self, _platform):
        m = Module()
        for config in self.configs:
            for kind, make in (
                ("pe", partial(ArrayElement, config, self.modules)),
                ("recoder", partial(_Recoder, config)),
            ):
                name = f"{kind}_{config.name}"
                place(m, name, make, self.modules, name, registers=kind == "pe")
        return m


def prove(config: Config, folder: Path) -> None:
    """Proves that the element of `config` adds the exact products of its operands, and whatever else its
    docstring says: clearing, the drain's gate, reset and what it passes on.

    The time grows with the number of weight codes of all lanes together: 2**(weight_bits * lanes) cases.
    Files go to `folder`. Raises `EquivalenceError` with a counterexample.
    """
    prove_all([config], folder)


def prove_all(configs: Sequence[Config], folder: Path) -> None:
    """Proves what `prove` does of several configurations in one run of Yosys; their names must differ."""
    (folder / "equivalence.v").write_text(_verilog(configs), encoding="utf-8")
    elements = [f"pe_{config.name}" for config in configs]
    selected = [
        f"{element}/{what}" for element in elements for what in (*(f"w:{r}" for r in REGISTERS), "t:$dff")
    ]
    script = [_PREPARE.format(elements=" ".join(elements), selected=" ".join(selected))]
    cases = 0
    for config in configs:
        script.append(f"hierarchy -check\nflatten step_{config.name}\nopt_clean -purge step_{config.name}\n")
        for fixed in _cases(config):
            script.append(_CASE.format(name=config.name, fixed=fixed))
            cases += 1
    log = folder / "equivalence.log"
    try:
        run_yosys("".join(script), folder, log)
    except SynthesisError as error:
        text = log.read_text(encoding="utf-8") if log.exists() else ""
        if _FAILURE not in text:
            raise
        raise EquivalenceError(_counterexample(text)) from error
    proved = log.read_text(encoding="utf-8").count(_SUCCESS)
    if proved != cases:
        raise EquivalenceError(f"Yosys proved {proved} of {cases} cases (all of its output is in {log})")


def _cases(config: Config) -> list[str]:
    """Returns constraints that together leave nothing out: all weight codes at once, or one each."""
    codes = config.lanes * config.weight_bits
    if codes + config.act_wires <= WHOLE_BITS:
        return [""]
    return [f"-set codes {code}" for code in range(1 << codes)]


def _counterexample(log: str) -> str:
    before, _, after = log.rpartition(_FAILURE)
    values = {name: int(value) for name, value in _VALUE.findall(after)}
    found = ", ".join(f"{name} {value}" for name, value in values.items())
    return f"{_PROVING.findall(before)[-1]} is not acc + weight * act: {found}"


def _verilog(configs: Sequence[Config]) -> str:
    """Elements and recoders; around each pair the module `step_<name>`, whose output `wrong` must be 0."""
    parts = convert("parts", lambda modules: _Parts(configs, modules))
    return "\n".join([parts, *map(_step, configs)])


def _step(config: Config) -> str:
    name, lanes, acts = config.name, config.lanes, config.act_wires
    weight, act = config.weight_bits, config.act.bits
    total, word, wires = config.sum_bits, config.drain_bits, lanes * config.weight_wires
    inverse = "~" if config.target == "asic" else ""  # the register holds the inverted word
    products = "\n".join(
        f"  wire signed [{weight + act - 1}:0] product{lane} = "
        f"$signed(codes[{lane * weight} +: {weight}]) * $signed(acts[{lane * act} +: {act}]);"
        for lane in range(lanes)
    )
    added = " + ".join(["before", *(f"product{lane}" for lane in range(lanes))])
    return f"""\
module step_{name}(
  input [{lanes * weight - 1}:0] codes, input [{acts - 1}:0] acts, input done,
  input [{word - 1}:0] stored,
  input [{lanes * weight - 1}:0] next_codes, input [{acts - 1}:0] next_acts,
  input group_end, input rst,
  output signed [{total - 1}:0] sum, output signed [{total - 1}:0] shown,
  output signed [{total - 1}:0] expected, output passed, output wrong
);
  wire [{wires - 1}:0] weights, next_weights, weights_d, weights_out;
  wire [{acts - 1}:0] acts_d, acts_out;
  wire [{word - 1}:0] stored_d, drain, held = {inverse}stored, next = {inverse}stored_d;
  wire done_d, done_out;
  recoder_{name} recoder (.codes(codes), .wires(weights));
  recoder_{name} next_recoder (.codes(next_codes), .wires(next_weights));
  pe_{name} pe (
    .clk(1'b0), .rst(rst), .acts(next_acts), .weights(next_weights), .group_end(group_end),
    .acts_out(acts_out), .weights_out(weights_out), .group_end_out(done_out), .sum(drain),
    .acts_out__q(acts), .weights_out__q(weights), .group_end_out__q(done), .stored__q(stored),
    .acts_out__d(acts_d), .weights_out__d(weights_d), .group_end_out__d(done_d), .stored__d(stored_d)
  );
{products}
  wire signed [{total - 1}:0] group = {_resolved(config, "held")};
  wire signed [{total - 1}:0] before = done ? {total}'sd0 : group;
  assign expected = {added};
  assign sum = {_resolved(config, "next")};
  assign shown = {_resolved(config, "drain")};
  assign passed = acts_out == acts && weights_out == weights && done_out == done
    && acts_d == next_acts && weights_d == next_weights && done_d == (rst | group_end);
  wire wrong_sum = {_wrong_sum(config)};
  assign wrong = wrong_sum || shown != (done ? group : {total}'sd0) || (!done && drain != 0) || !passed;
endmodule
"""


def _wrong_sum(config: Config) -> str:
    """Whether the next sum is wrong; in a group with infinities its lowest two bits are what counts."""
    if not config.has_infinities:
        return "sum != expected"
    weight, act = config.weight_bits, config.act.bits
    positive, negative = ["before[0]"], ["before[1]"]
    for lane in range(config.lanes):
        code, infinite = f"codes[{lane * weight} +: {weight}]", f"acts[{lane * act}]"
        minus = f"(codes[{lane * weight + weight - 1}] != acts[{lane * act + act - 1}])"
        positive.append(f"{infinite} && ({code} == 0 || !{minus})")
        negative.append(f"{infinite} && ({code} == 0 || {minus})")
    noted = f"{{{' || '.join(negative)}, {' || '.join(positive)}}}"
    return f"(acts[{config.act_wires - 1}] ? sum[1:0] != {noted} : sum != expected)"


def _resolved(config: Config, word: str) -> str:
    """Returns the sum that an accumulator's word stands for: saved carries lie above it, one a column."""
    total = config.sum_bits
    carries = [
        f"{{{total - column - 1}'d0, {word}[{total + index}], {column}'d0}}"
        if column < total - 1
        else f"{{{word}[{total + index}], {column}'d0}}"
        for index, column in enumerate(config.carry_columns)
    ]
    return " + ".join([f"{word}[{total - 1}:0]", *carries])
