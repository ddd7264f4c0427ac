"""Makes a design of the list: its Verilog, and what its inputs get while its energy is measured."""

from dataclasses import dataclass, replace

from ..gen.testbench import operand_testbench
from ..gen.verilog import convert
from ..gen.write import design_verilog
from ..hw.config import RECODED
from ..hw.datapath import compression
from ..hw.pe import PE
from ..hw.recode import recoded
from ..quant.golden import mpgemm
from ..quant.packing import pack_matmul, pack_outputs
from .designs import Design
from .gates import Stimulus
from .operands import layer_operands, pe_stimulus

_ARRAY_LAYER = "layers.2.w2"
_ARRAY_TILES = 2
# Long enough to give every row of 32 a token.
_ARRAY_PROMPT = (
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. "
    "One day, she saw a big, red ball."
)


@dataclass(frozen=True)
class Made:
    """A design in Verilog: module `top`; `macs_per_cycle` at most."""

    top: str
    verilog: str
    macs_per_cycle: int


def make(design: Design) -> Made:
    """The design's Verilog."""
    config = design.config
    if design.element == "array":
        return Made(config.name, design_verilog(config), config.rows * config.cols * config.lanes)
    return Made(config.name, convert(config.name, lambda modules: PE(config, modules)), config.lanes)


def stimulus(design: Design) -> Stimulus:
    """Real operands for a processing element, with the sums they must give."""
    config = design.config
    operands = layer_operands(config)
    if config.datapath not in RECODED:
        return pe_stimulus(config, operands)
    made = pe_stimulus(
        config,
        operands,
        recode=lambda weight: recoded(weight % (1 << config.weight_bits), config.weight_bits),
        recoded_bits=config.weight_wires,
    )
    if not config.carry_columns:
        return made
    carries = enumerate(config.carry_columns)
    terms = [f"(sum[{config.sum_bits + index}] << {column})" for index, column in carries]
    total = " + ".join([f"sum[{config.sum_bits - 1}:0]", *terms])
    return replace(
        made, expected={"total": made.expected["sum"]}, derived={"total": (config.sum_bits, total)}
    )


@dataclass(frozen=True)
class ArrayBench:
    """A testbench of an array at work: module `scope` of `text`, of interest between two times.

    macs: multiply-accumulates of the product between them, without padding.
    """

    text: str
    scope: str
    start_ns: float
    end_ns: float
    macs: int
    description: str


def array_bench(design: Design, period_ns: float) -> ArrayBench:
    """Two tiles of a real layer, from the first beat in to the last one out; K is that of the layer."""
    config = design.config
    operands = layer_operands(config, layers=(_ARRAY_LAYER,), prompt=_ARRAY_PROMPT)
    layer = operands.layers[0]
    k = layer.a.shape[1]
    a, columns = layer.a[: config.rows], slice(0, _ARRAY_TILES * config.cols)
    q, s = layer.q[:, columns], layer.s[:, columns]
    z = None if layer.z is None else layer.z[:, columns]
    beats = pack_matmul(a, q, s, z, None, config)
    results = pack_outputs(mpgemm(a, q, s, z, config=config), config)
    text, start = operand_testbench(config, beats, results, k, period_ns)
    return ArrayBench(
        text=text,
        scope=f"{config.name}_tb.dut",
        start_ns=start,
        end_ns=start + config.run_cycles(k, _ARRAY_TILES) * period_ns,
        macs=a.size * q.shape[1],
        description=f"{operands.description}; {_ARRAY_TILES} tiles of {a.shape[0]} x {k} x {config.cols}, "
        "drain included",
    )


def full_adders(design: Design) -> tuple[int | None, int | None]:
    """Full adders of the design's bit heap, and their least possible number; None where it has no heap."""
    found = compression(design.config) if design.element in ("pe", "array") else None
    return (found.full_adders, found.floor) if found else (None, None)
