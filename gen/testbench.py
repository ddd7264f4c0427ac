"""Self-checking plain-Verilog testbenches with vectors from the golden model."""

from collections.abc import Iterator
from itertools import groupby

from ..quant.golden import mpgemm
from ..quant.packing.beats import pack_acts, pack_outputs, pack_scales, pack_tokens, pack_weights
from ..spec.array import Config
from ..spec.streams import inputs, streams
from .bench_text import connections, contents
from .tiles import flow_tiles, is_crossed, is_large, value_tiles
from .vectors import Vectors

_SEED = 2411_16158

_STUBBORN = 3
"""The last of so many tiles is held at the output until nothing moves."""


def testbench(config: Config) -> str:
    """Returns Verilog (IEEE 1364-2001) of a module `<name>_tb` that needs only the design's Verilog.

    It plays tiles of short and of whole groups in several runs (`_runs`). Each begins with a reset, and ends
    amid a tile, but the last one, which plays all tiles. Groups are crossed, so that one of another length
    shows, unless they are longer than `mixpe.gen.tiles.is_crossed` says; then the text says so. It prints
    one line that begins with `PASS` or `FAIL` and finishes.
    """
    vectors = Vectors(config, _SEED)
    flow = list(flow_tiles(config, vectors))
    tiles = [*flow, *value_tiles(config, vectors)]
    names = [stream.name for stream in inputs(config)]
    beats: dict[str, list[int]] = {name: [] for name in names}
    results: list[int] = []
    for tile in tiles:
        packed = {
            "acts": pack_acts(tile.a, config),
            "weights": pack_weights(tile.weights, config),
            "scales": pack_scales(tile.weights, config),
            "tokens": [] if tile.t is None else pack_tokens(tile.t, config),
        }
        for name in names:
            beats[name] += packed[name]
        results += pack_outputs(mpgemm(tile.a, tile.weights, t=tile.t, config=config), config)
    widths = {stream.name: stream.width for stream in streams(config)}
    return _TEMPLATE.format(
        name=config.name,
        ports=connections((*names, "out")),
        sources="\n".join(
            _source(name, widths[name], beats[name], seed) for seed, name in enumerate(names, 2)
        ),
        restart="\n".join(f"      {name}_index = 0; {name}_again = 0; {name}_wait = 0;" for name in names),
        all_taken=" && ".join(f"{name}_index == {name}_COUNT" for name in names),
        moves=" || ".join(f"({name}_valid && {name}_ready)" for name in names),
        out_msb=widths["out"] - 1,
        out_beats=len(results),
        out_contents=contents("out", widths["out"], results),
        uncrossed="" if is_crossed(config) else _UNCROSSED.format(group=config.group),
        flow_beats=len(flow) * config.rows,
        cycles=config.run_cycles(flow[0].k, tiles=len(flow)),
        flush=config.group_gap - 1,
        runs="".join(f"    {line};\n" for line in _runs(config, flow[0].k)),
        cycle_of_tiles=_STUBBORN * config.rows,
        shut_at=(_STUBBORN - 1) * config.rows,
        still=2 * (config.drain_latency + config.group_gap),
        patience=100 * (config.drain_latency + config.group_gap),
        drain=config.drain_latency + config.group_gap,
    )


def _runs(config: Config, k: int) -> Iterator[str]:
    """Yields the calls of `play`: out beats, how late inputs and outputs are, cycles after reset, and the
    output's manner. `k` is that of the flow tiles.

    Large arrays, which simulators take long over, play one tile where one will do.
    """
    large = is_large(config)
    tile, cycles = config.rows, config.run_cycles(k, tiles=1)
    yield "play(FLOW_BEATS, 0, 0, FLUSH + 1, USUAL)"
    yield "check_cycles(CYCLES)"
    yield f"play({tile}, 0, 0, 0, USUAL)"
    yield f"check_cycles({cycles} + FLUSH)"
    if not large:
        yield "play(FLOW_BEATS, 512, 512, 0, USUAL)"
    # So that rows queue up behind the output, and tiles behind rows; it ends while results are read out.
    blocked = 1024 - min(512, 1024 * config.rows // (2 * config.tile_gap))
    yield f"play(FLOW_BEATS - 1, 0, {blocked}, 0, USUAL)"
    yield f"play({tile if large else 'FLOW_BEATS'}, {512 if large else 800}, 0, 0, PATIENT)"
    yield f"play(OUT_BEATS, 128, 128, 0, {'USUAL' if large else 'STUBBORN'})"


def _source(name: str, width: int, beats: list[int], seed: int) -> str:
    runs = [(beat, len(list(same))) for beat, same in groupby(beats)]
    repeats = [f"    {name}_repeats[{at}] = {times - 1};" for at, (_, times) in enumerate(runs) if times > 1]
    return _SOURCE.format(
        name=name,
        msb=width - 1,
        seed=seed,
        beats=len(runs),
        contents=contents(name, width, [beat for beat, _ in runs]),
        repeats="".join(f"{line}\n" for line in repeats),
    )


_UNCROSSED = """\
// Its groups of {group} are too long to be played whole: they are cut short, and their length is not checked.
"""

_SOURCE = """\
  // Offers the beats of {name} in order, each as often again as {name}_repeats says; a beat once offered
  // stays until it is taken. Among repeated beats there are no waits.
  localparam {name}_COUNT = {beats};
  reg [{msb}:0] {name}_beats [0:{name}_COUNT];
  integer {name}_repeats [0:{name}_COUNT];
  integer {name}_index = 0;
  integer {name}_again = 0;
  integer {name}_seed = {seed};
  reg {name}_wait = 0;
  wire {name}_valid = running && {name}_index < {name}_COUNT && !{name}_wait;
  wire {name}_ready;
  wire [{msb}:0] {name}_payload = {name}_valid ? {name}_beats[{name}_index] : {{{msb} + 1{{1'bx}}}};
  always @(posedge clk) if (running) begin
    if ({name}_valid && {name}_ready) begin
      if ({name}_again < {name}_repeats[{name}_index]) {name}_again <= {name}_again + 1;
      else begin
        {name}_index <= {name}_index + 1;
        {name}_again <= 0;
      end
    end
    if (!{name}_valid || {name}_ready)
      {name}_wait <= $unsigned($random({name}_seed)) % 1024 < input_waits
        && {name}_again >= {name}_repeats[{name}_index];
  end
  initial begin
    for (place = 0; place <= {name}_COUNT; place = place + 1) {name}_repeats[place] = 0;
{contents}
    {name}_beats[{name}_COUNT] = 0;
{repeats}  end
"""

_TEMPLATE = """\
// Self-checking testbench of {name}: prints a line that begins with PASS or FAIL.
// For instance: iverilog -o {name}_tb {name}.v {name}_tb.v && vvp {name}_tb
{uncrossed}/* verilator lint_off TIMESCALEMOD */ // a file before or behind this one may have a timescale
module {name}_tb;
  localparam CYCLES = {cycles}; // of the first FLOW_BEATS out beats, with streams that are never late
  localparam FLUSH = {flush}; // cycles after reset in which no beat is taken
  localparam FLOW_BEATS = {flow_beats};
  localparam OUT_BEATS = {out_beats};
  localparam MOST_ERRORS = 10;

  reg clk = 0;
  reg rst = 1;
  reg running = 0;
  integer input_waits = 0; // how often of 1024 times a stream is late
  integer output_waits = 0;
  localparam USUAL = 0;
  localparam PATIENT = 1; // the output is ready only when it is valid
  localparam STUBBORN = 2; // of some tiles it is ready only when nothing has moved for long
  integer manner = USUAL;
  integer place;
  integer cycle = 0;
  integer quiet = 0;
  integer errors = 0;
  integer goal = 0;
  always #5 clk = ~clk;

{sources}
  reg [{out_msb}:0] out_beats [0:OUT_BEATS];
  integer out_index = 0;
  integer out_seed = 1;
  reg out_wait = 0;
  wire out_valid;
  wire out_shut = manner == PATIENT ? out_valid !== 1'b1
    : manner == STUBBORN && out_index % {cycle_of_tiles} == {shut_at} && quiet < {still};
  wire out_ready = running && !out_wait && !out_shut;
  wire [{out_msb}:0] out_payload;
  reg held = 0;
  reg [{out_msb}:0] held_payload;
  initial begin
{out_contents}
    out_beats[OUT_BEATS] = 0;
  end

  {name} dut (
    .clk(clk),
    .rst(rst),
{ports}
  );

  task wrong;
    begin
      errors = errors + 1;
      if (errors >= MOST_ERRORS) begin
        $display("FAIL {name}: stopped after %0d errors", errors);
        $finish;
      end
    end
  endtask

  always @(posedge clk) if (running && errors < MOST_ERRORS) begin
    cycle <= cycle + 1;
    quiet <= ({moves} || (out_valid && out_ready)) === 1'b1 ? 0 : quiet + 1;
    out_wait <= $unsigned($random(out_seed)) % 1024 < output_waits;
    held <= out_valid && !out_ready;
    held_payload <= out_payload;
    if (held && (out_valid !== 1 || out_payload !== held_payload)) begin
      $display("out beat %0d does not stay until it is taken", out_index);
      wrong;
    end
    if (out_valid === 1'bx) begin
      $display("out_valid is unknown");
      wrong;
    end
    if (out_valid && out_ready) begin
      if (out_payload !== out_beats[out_index]) begin
        $display("out beat %0d is %h, not %h", out_index, out_payload, out_beats[out_index]);
        wrong;
      end
      out_index <= out_index + 1;
      if (out_index == goal - 1) running <= 0;
    end
    if (quiet > {patience}) begin
      $display("FAIL {name}: no result for too long, %0d of %0d out beats", out_index, goal);
      errors = MOST_ERRORS;
      $finish;
    end
  end

  // Resets the design, amid a tile as a rule, and plays the beats from the first one to `last` out beats. All
  // that is not clocked changes at falling edges, so that no simulator sees a race.
  task play(input integer last, input integer inputs, input integer outputs, input integer rest,
            input integer taking);
    begin
      rst = 1;
      @(negedge clk);
      rst = 0;
{restart}
      out_index = 0; out_wait = 0; cycle = 0; quiet = 0; held = 0;
      goal = last; input_waits = inputs; output_waits = outputs; manner = taking;
      repeat (rest) @(negedge clk);
      running = 1;
      @(negedge running);
      @(negedge clk);
    end
  endtask

  task check_cycles(input integer wanted);
    if (cycle != wanted) begin
      $display("%0d cycles, not %0d", cycle, wanted);
      wrong;
    end
  endtask

  initial begin
    repeat (2) @(negedge clk);
{runs}    repeat ({drain}) @(negedge clk);
    if (!({all_taken})) begin
      $display("a beat is left");
      wrong;
    end
    if (out_valid !== 0) begin
      $display("an out beat too many");
      wrong;
    end
    if (errors == 0) $display("PASS {name}: %0d out beats, %0d cycles for the first %0d", OUT_BEATS, CYCLES,
      FLOW_BEATS);
    else if (errors < MOST_ERRORS) $display("FAIL {name}: %0d errors", errors);
    $finish;
  end
endmodule
"""
