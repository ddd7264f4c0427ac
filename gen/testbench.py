"""Self-checking plain-Verilog testbenches, with vectors from the golden model or given ones."""

import numpy as np

from ..quant.golden import mpgemm
from ..quant.matrix import QuantizedMatrix
from ..quant.packing.beats import Beats, pack_matmul, pack_outputs
from ..quant.samples import numbers, weight_codes
from ..spec.array import Config
from ..spec.streams import streams

_MAX_BEATS = 600
"""Input beats of a tile at most, so that the file stays readable whatever the group size."""

_SEED = 2411_16158


def testbench(config: Config) -> str:
    """Returns Verilog (IEEE 1364-2001) of a module `<name>_tb` that needs only the design's Verilog.

    It multiplies two tiles, with a short last group, twice: first with streams that are never late,
    checking the cycle count, then with random waits on every stream. It prints one line that begins with
    `PASS` or `FAIL` and finishes.
    """
    k = _inner_dimension(config)
    beats, results = _vectors(config, k)
    cycles = config.run_cycles(k, tiles=2)
    return _bench(config, beats, results, cycles, _WITH_WAITS, idle="x", half_ns=5, rest=cycles)


def operand_testbench(
    config: Config, beats: Beats, results: list[int], k: int, period_ns: float
) -> tuple[str, float]:
    """Returns a testbench `<name>_tb` for given beats of an inner dimension `k`, and when they begin.

    Streams are never late, and 0 while they offer nothing; it prints a line that begins with PASS if every
    output beat is as in `results` and the cycles as the formula says. The clock has `period_ns`; the first
    beat is taken at the rising edge that ends the first cycle after the returned time, in ns.
    """
    cycles = config.run_cycles(k, tiles=len(results) // config.rows)
    rest = config.group_gap
    text = _bench(config, beats, results, cycles, "", idle="0", half_ns=period_ns / 2, rest=rest)
    # Two edges in reset, the rest, one to start; the first edge comes after half a period.
    return text, (2 + rest + 0.5) * period_ns


def _bench(
    config: Config,
    beats: Beats,
    results: list[int],
    cycles: int,
    then: str,
    *,
    idle: str,
    half_ns: float,
    rest: int,
) -> str:
    """`then`: what follows the first run; `idle`: bits of what offers nothing; `rest`: cycles after reset."""
    widths = {stream.name: stream.width for stream in streams(config)}
    inputs = {stream.name: beats.of(stream.name) for stream in streams(config) if stream.takes}
    return _TEMPLATE.format(
        name=config.name,
        ports=",\n".join(
            f"    .{stream}__{part}({stream}_{part})"
            for stream in (*inputs, "out")
            for part in ("payload", "valid", "ready")
        ),
        sources="\n".join(_source(name, widths[name], beats, idle) for name, beats in inputs.items()),
        then=then,
        times=" twice" if then else "",
        half_ns=half_ns,
        rest=rest,
        restart="\n".join(f"      {name}_index <= 0; {name}_wait <= 0;" for name in inputs),
        out_msb=widths["out"] - 1,
        out_beats=len(results),
        out_contents=_contents("out", widths["out"], results),
        cycles=cycles,
    )


def _inner_dimension(config: Config) -> int:
    """Two groups and a short one where that is little; a short group else."""
    if 3 * config.group_beats <= _MAX_BEATS:
        return 2 * config.group + (config.group + 1) // 2
    return min(config.group, _MAX_BEATS * config.lanes) - 1


def _vectors(config: Config, k: int) -> tuple[Beats, list[int]]:
    rng = np.random.default_rng(_SEED)
    m, n = config.rows, 2 * config.cols
    a = numbers(rng, config.act_code, (m, k))
    codes = weight_codes(rng, config, (k, n))
    groups = {"s": rng.uniform(2.0**-9, 2.0**-5, (config.matrix.groups(k), n)).astype(np.float16)}
    if config.matrix.has("z"):
        groups["z"] = weight_codes(rng, config, (config.matrix.groups(k), n))
    t = rng.uniform(2.0**-9, 2.0**-5, m).astype(np.float32) if config.row_members else None
    weights = QuantizedMatrix(config.matrix, codes, groups)
    beats = pack_matmul(a, weights, t=t, config=config)
    return beats, pack_outputs(mpgemm(a, weights, t=t, config=config), config)


def _contents(name: str, width: int, beats: list[int]) -> str:
    digits = -(-width // 4)
    return "\n".join(
        f"    {name}_beats[{index}] = {width}'h{beat:0{digits}x};" for index, beat in enumerate(beats)
    )


def _source(name: str, width: int, beats: list[int], idle: str) -> str:
    contents = _contents(name, width, beats)
    return _SOURCE.format(name=name, msb=width - 1, beats=len(beats), contents=contents, idle=idle)


_WITH_WAITS = """\
    waits = 1;
    restart;
"""

_SOURCE = """\
  // Offers the beats of {name} in order; a beat once offered stays until it is taken.
  reg [{msb}:0] {name}_beats [0:{beats}];
  integer {name}_index = 0;
  reg {name}_wait = 0;
  wire {name}_valid = running && {name}_index < {beats} && !{name}_wait;
  wire {name}_ready;
  wire [{msb}:0] {name}_payload = {name}_valid ? {name}_beats[{name}_index] : {{{msb} + 1{{1'b{idle}}}}};
  always @(posedge clk) if (running) begin
    if ({name}_valid && {name}_ready) {name}_index <= {name}_index + 1;
    if (!{name}_valid || {name}_ready) {name}_wait <= waits && ($random(seed) & 1);
  end
  initial begin
{contents}
    {name}_beats[{beats}] = 0;
  end
"""

_TEMPLATE = """\
// Self-checking testbench of {name}: prints a line that begins with PASS or FAIL.
// For instance: iverilog -o {name}_tb {name}.v {name}_tb.v && vvp {name}_tb
module {name}_tb;
  localparam CYCLES = {cycles};
  localparam OUT_BEATS = {out_beats};

  reg clk = 0;
  reg rst = 1;
  reg running = 0;
  reg waits = 0;
  integer seed = 1;
  integer cycle = 0;
  integer errors = 0;
  integer measured = 0;
  always #{half_ns} clk = ~clk;

{sources}
  reg [{out_msb}:0] out_beats [0:OUT_BEATS - 1];
  integer out_index = 0;
  reg out_wait = 0;
  wire out_valid;
  wire out_ready = running && !out_wait;
  wire [{out_msb}:0] out_payload;
  initial begin
{out_contents}
  end

  {name} dut (
    .clk(clk),
    .rst(rst),
{ports}
  );

  always @(posedge clk) if (running) begin
    cycle <= cycle + 1;
    out_wait <= waits && ($random(seed) & 1);
    if (out_valid && out_ready) begin
      if (out_payload !== out_beats[out_index]) begin
        errors = errors + 1;
        if (errors <= 10)
          $display("out beat %0d is %h, not %h", out_index, out_payload, out_beats[out_index]);
      end
      out_index <= out_index + 1;
      if (out_index == OUT_BEATS - 1) begin
        if (!waits) measured = cycle + 1;
        running <= 0;
      end
    end
    if (cycle > 100 * CYCLES + 100000) begin
      $display("FAIL {name}: no result for too long, %0d of %0d out beats", out_index, OUT_BEATS);
      $finish;
    end
  end

  task restart;
    begin
{restart}
      out_index <= 0; out_wait <= 0; cycle <= 0;
      @(posedge clk);
      running <= 1;
      @(posedge clk);
      wait (!running);
      @(posedge clk);
    end
  endtask

  initial begin
    repeat (2) @(posedge clk);
    rst <= 0;
    repeat ({rest}) @(posedge clk); // after reset no beat is taken for a while
    restart;
{then}    if (measured != CYCLES) begin
      $display("%0d cycles, not %0d", measured, CYCLES);
      errors = errors + 1;
    end
    if (errors == 0) $display("PASS {name}: %0d out beats{times}, %0d cycles", OUT_BEATS, measured);
    else $display("FAIL {name}: %0d errors", errors);
    $finish;
  end
endmodule
"""
