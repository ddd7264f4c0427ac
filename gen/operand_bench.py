"""A plain-Verilog testbench that plays given operands at full speed, for measurements of an array at work."""

from ..quant.packing.beats import Beats
from ..spec.array import Config
from ..spec.streams import streams
from .bench_text import connections, contents


def operand_testbench(
    config: Config, beats: Beats, results: list[int], k: int, period_ns: float
) -> tuple[str, float]:
    """Returns a testbench `<name>_tb` for given beats of an inner dimension `k`, and when they begin.

    Streams are never late, and 0 while they offer nothing; it prints a line that begins with PASS if every
    output beat is as in `results` and the cycles as the formula says. The clock has `period_ns`; the first
    beat is taken at the rising edge that ends the first cycle after the returned time, in ns.
    """
    widths = {stream.name: stream.width for stream in streams(config)}
    inputs = {stream.name: beats.of(stream.name) for stream in streams(config) if stream.takes}
    rest = config.group_gap
    text = _TEMPLATE.format(
        name=config.name,
        ports=connections((*inputs, "out")),
        sources="\n".join(_source(name, widths[name], beats) for name, beats in inputs.items()),
        half_ns=period_ns / 2,
        rest=rest,
        restart="\n".join(f"      {name}_index <= 0; {name}_wait <= 0;" for name in inputs),
        out_msb=widths["out"] - 1,
        out_beats=len(results),
        out_contents=contents("out", widths["out"], results),
        cycles=config.run_cycles(k, tiles=len(results) // config.rows),
    )
    # Two edges in reset, the rest, one to start; the first edge comes after half a period.
    return text, (2 + rest + 0.5) * period_ns


def _source(name: str, width: int, beats: list[int]) -> str:
    text = contents(name, width, beats)
    return _SOURCE.format(name=name, msb=width - 1, beats=len(beats), contents=text)


_SOURCE = """\
  // Offers the beats of {name} in order; a beat once offered stays until it is taken.
  reg [{msb}:0] {name}_beats [0:{beats}];
  integer {name}_index = 0;
  reg {name}_wait = 0;
  wire {name}_valid = running && {name}_index < {beats} && !{name}_wait;
  wire {name}_ready;
  wire [{msb}:0] {name}_payload = {name}_valid ? {name}_beats[{name}_index] : {{{msb} + 1{{1'b0}}}};
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
    if (measured != CYCLES) begin
      $display("%0d cycles, not %0d", measured, CYCLES);
      errors = errors + 1;
    end
    if (errors == 0) $display("PASS {name}: %0d out beats, %0d cycles", OUT_BEATS, measured);
    else $display("FAIL {name}: %0d errors", errors);
    $finish;
  end
endmodule
"""
