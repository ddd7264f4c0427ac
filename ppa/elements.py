"""Makes a design of the list: its Verilog, and what its inputs get while its energy is measured."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from amaranth.lib import wiring

from ..gen.operand_bench import operand_testbench
from ..gen.verilog import convert
from ..gen.write import design_verilog
from ..hw.arith.recode import recoded
from ..hw.array.schemes import circuits
from ..hw.baselines.floating import FACTOR_PORTS, DequantizeFirstFloatPE, FloatMacPE, float_total
from ..hw.baselines.integer import (
    SCALE_BITS,
    WEIGHT_PORTS,
    ZERO_BITS,
    BitFusionPE,
    DequantizeFirstPE,
    fusion_mode,
    fusion_operands,
    fusion_products,
)
from ..hw.element.datapath import compression
from ..hw.modules import Modules
from ..quant.golden import mpgemm
from ..quant.packing.beats import pack_matmul, pack_outputs
from ..spec.array import Config
from ..spec.formats.numbers import FP16, FP32
from ..spec.schemes.integer import RECODED
from ..synth.simulate.gates import Stimulus
from .designs import AnyDesign, CoreDesign, Design
from .float_stimuli import dequantize_first_stimulus, float_mac_stimulus, fp_mac_stimulus
from .operands import CYCLES, SUM_LAG, layer_operands, pe_stimulus, pe_walk, port_values, walk_stimulus
from .outside_stimulus import outside_stimulus

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
    """Returns the design's Verilog."""
    if design.outside:
        return Made(design.outside.top, design.outside.verilog, design.outside.config.lanes)
    config, name = design.config, design.config.name
    if design.built.element == "array":
        return Made(name, design_verilog(config), config.rows * config.cols * config.lanes)
    macs = fusion_products(*design.built.bricks) if design.built.bricks else config.lanes
    return Made(name, convert(name, lambda modules: _ELEMENTS[design.built.element](design, modules)), macs)


_ELEMENTS: dict[str, Callable[[Design, Modules], wiring.Component]] = {
    "pe": lambda design, modules: circuits(design.config, modules).element(),
    "dequantize_first": lambda design, modules: DequantizeFirstPE(
        design.config, modules, pipelined=design.built.pipelined
    ),
    "bit_fusion": lambda design, modules: BitFusionPE(design.config, modules),
    "float_mac": lambda design, modules: FloatMacPE(design.config, modules, pipelined=design.built.pipelined),
    "float_mac_fp16": lambda design, modules: FloatMacPE(design.config, modules, out=FP16),
    "dequantize_first_float": lambda design, modules: DequantizeFirstFloatPE(
        design.config, modules, pipelined=design.built.pipelined
    ),
}
"""Builds each element of a design's configuration."""


def verilog(design: AnyDesign) -> str:
    """Returns the Verilog that stands for a design in the cache."""
    return design_verilog(design.config) if isinstance(design, CoreDesign) else make(design).verilog


def stimulus(design: Design) -> Stimulus:
    """Returns real operands for a processing element, with the sums they must give."""
    if design.outside:
        return outside_stimulus(design.outside)
    if design.config.scheme.name == "fp_mac":
        return _float_stimulus(design)
    if design.built.element == "dequantize_first":
        return _dequantized_stimulus(design)
    if design.built.bricks:
        return _fused_stimulus(design, *design.built.bricks)
    config = design.config
    operands = layer_operands(config)
    if config.datapath not in RECODED:
        return pe_stimulus(config, operands)
    bits = config.weight.bits
    made = pe_stimulus(
        config,
        operands,
        recode=lambda weight: recoded(weight % (1 << bits), bits),
        recoded_bits=config.weight_wires,
    )
    return _resolved(made, config)


def _float_stimulus(design: Design) -> Stimulus:
    if design.built.element == "pe":
        return fp_mac_stimulus(design.config)
    total = float_total(design.config, FP16 if design.built.element == "float_mac_fp16" else FP32)
    if design.built.element == "dequantize_first_float":
        return dequantize_first_stimulus(design.config, total, WEIGHT_PORTS if design.built.pipelined else ())
    return float_mac_stimulus(design.config, total, FACTOR_PORTS if design.built.pipelined else ())


def _resolved(made: Stimulus, config: Config) -> Stimulus:
    """Returns `made` with carries added to the sum, where the element drains them apart."""
    if not config.carry_columns:
        return made
    carries = enumerate(config.carry_columns)
    terms = [f"(sum[{config.sum_bits + index}] << {column})" for index, column in carries]
    total = " + ".join([f"sum[{config.sum_bits - 1}:0]", *terms])
    return replace(
        made, expected={"total": made.expected["sum"]}, derived={"total": (config.sum_bits, total)}
    )


def _dequantized_stimulus(design: Design) -> Stimulus:
    """Returns unsigned codes with zero points, and the largest integer scales that keep weights in INT8."""
    config = design.config
    int8 = replace(config, weight_bits=8, weight_signed=True, zero_point=False)
    operands = layer_operands(replace(config, weight_signed=False, zero_point=True))
    layers, scales = [], []
    for layer in operands.layers:
        assert layer.z is not None
        group = np.arange(len(layer.q)) // config.group
        steps = layer.q.astype(np.int64) - layer.z[group]
        largest = np.array([np.abs(steps[group == g]).max(axis=0) for g in range(group[-1] + 1)])
        share = layer.s.astype(np.float64) / layer.s.max(axis=0)
        limit = np.minimum(2**SCALE_BITS - 1, 127 // np.maximum(largest, 1))
        scale = np.maximum(1, np.floor(share * limit.min(axis=0))).astype(np.int64)
        scales.append(scale)
        layers.append(replace(layer, q=scale[group] * steps))
    walk = pe_walk(int8, replace(operands, layers=tuple(layers)), CYCLES - 1 - SUM_LAG)
    codes = np.zeros_like(walk.weights)
    held = {name: np.zeros((len(walk), 1), np.int64) for name in ("zeros", "scales")}
    for own in walk.groups:
        beats, layer = slice(own.first, own.first + own.beats), operands.layers[own.layer]
        assert layer.z is not None
        padded = np.zeros(own.beats * config.lanes, np.int64)
        padded[: own.stop - own.start] = layer.q[own.start : own.stop, own.n]
        codes[beats] = padded.reshape(own.beats, config.lanes)
        held["zeros"][beats] = layer.z[own.start // config.group, own.n]
        held["scales"][beats] = scales[own.layer][own.start // config.group, own.n]
    inputs = {
        "weights": port_values(codes, config.weight_bits),
        "acts": port_values(walk.acts, config.act_bits),
        "zeros": port_values(held["zeros"], ZERO_BITS),
        "scales": port_values(held["scales"], SCALE_BITS),
    }
    early = WEIGHT_PORTS if design.built.pipelined else ()
    made = walk_stimulus(walk, inputs, walk.sums(walk.acts), int8.sum_bits, operands, early)
    return _resolved(made, int8)


def _fused_stimulus(design: Design, weight_bits: int, act_bits: int) -> Stimulus:
    """Returns operands of these widths, as many a cycle as the bricks take."""
    products = fusion_products(weight_bits, act_bits)
    config = replace(design.config, weight_bits=weight_bits, act_bits=act_bits, lanes=products)
    operands = layer_operands(config)
    walk = pe_walk(config, operands, CYCLES - SUM_LAG)
    words = [
        fusion_operands(weight_bits, act_bits, weights, acts)
        for weights, acts in zip(walk.weights.tolist(), walk.acts.tolist(), strict=True)
    ]
    inputs = {
        "weights": [word[0] for word in words],
        "acts": [word[1] for word in words],
        "modes": [fusion_mode(weight_bits, act_bits)] * len(words),
    }
    return walk_stimulus(walk, inputs, walk.sums(walk.acts), design.config.sum_bits, operands)


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
    """Returns two tiles of a real layer, from the first beat in to the last one out; K is the layer's."""
    config = design.config
    operands = layer_operands(config, layers=(_ARRAY_LAYER,), prompt=_ARRAY_PROMPT)
    layer = operands.layers[0]
    k = layer.a.shape[1]
    a, columns = layer.a[: config.rows], slice(0, _ARRAY_TILES * config.cols)
    t = None if layer.t is None else layer.t[: config.rows]
    weights = layer.weights.columns(columns)
    beats = pack_matmul(a, weights, t=t, config=config)
    results = pack_outputs(mpgemm(a, weights, t=t, config=config), config)
    tiles = len(results) // config.rows
    text, start = operand_testbench(config, beats, results, k, period_ns)
    return ArrayBench(
        text=text,
        scope=f"{config.name}_tb.dut",
        start_ns=start,
        end_ns=start + config.run_cycles(k, tiles) * period_ns,
        macs=a.size * weights.shape[1],
        description=f"{operands.description}; {tiles} tiles of {a.shape[0]} x {k} x {config.cols}, "
        "drain included",
    )


def full_adders(design: Design) -> tuple[int | None, int | None]:
    """Returns the full adders of the design's bit heap, and their least number; None without a heap."""
    plain = design.built.element in ("pe", "array") and design.config.scheme.name != "fp_mac"
    found = compression(design.config) if plain else None
    return (found.full_adders, found.floor) if found else (None, None)
