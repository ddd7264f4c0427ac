"""Self-checking plain-Verilog testbenches with vectors from the golden model."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from ..quant.golden import mpgemm
from ..quant.packing.beats import pack_acts, pack_outputs, pack_scales, pack_tokens, pack_weights
from ..spec.array import Config
from ..spec.streams import inputs, streams
from .operand_bench import operand_testbench
from .vectors import Shape, Tile, Vectors

__all__ = ["operand_testbench", "testbench"]

_SEED = 2411_16158

_LARGE = 64
"""Elements of an array that simulators take long over; its testbench is shorter."""

_FLOW_BEATS = 400
"""Beats of a flow tile at most, unless it is cut short."""

_LONGEST_GROUP = 1 << 14
"""Beats of a group that is crossed in any array; small arrays cross longer ones."""

_IDLE = 1 << 20
"""Element-cycles of a long group that is crossed."""


@dataclass
class _Budget:
    """What the tiles after the flow tiles may cost: dequantized sums, products, cycles and lines."""

    sums: int
    products: int
    cycles: int
    text: int

    @classmethod
    def of(cls, config: Config) -> "_Budget":
        elements = config.rows * config.cols
        products = 3000 if config.scheme.name == "fp_mac" else 20000
        cycles = min(30_000, max(800_000 // elements, 10 * config.tile_gap))
        return cls(4096, max(products, 4 * elements), cycles, 300_000)

    def take(self, config: Config, shape: Shape) -> None:
        """Takes a tile's cost away."""
        groups, elements = config.matrix.groups(shape.k), config.rows * config.cols
        active = min(shape.active, config.group_beats)
        self.sums -= groups * elements
        self.products -= int(groups * active * elements * shape.density**2)
        self.cycles -= config.tile_cycles(shape.k)
        counts = {"acts": groups * (active + 1), "scales": groups, "out": config.rows}
        counts |= {"weights": counts["acts"], "tokens": config.rows}
        self.text -= sum(counts[each.name] * (each.width // 4 + 30) for each in streams(config))

    @property
    def left(self) -> bool:
        """Whether there is some of everything."""
        return min(self.sums, self.products, self.cycles, self.text) > 0


def testbench(config: Config) -> str:
    """Returns Verilog (IEEE 1364-2001) of a module `<name>_tb` that needs only the design's Verilog.

    Every run begins with a reset, and ends amid a tile, but the last one. The first runs play the same tiles:
    with streams that are never late, counting the cycles; with random waits on every stream; with an output
    that is seldom taken; with inputs that seldom come. The last run plays all tiles. It prints one line that
    begins with `PASS` or `FAIL` and finishes.
    """
    vectors = Vectors(config, _SEED)
    flow = list(_flow_tiles(config, vectors))
    tiles = [*flow, *_value_tiles(config, vectors)]
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
    k = flow[0].k
    return _TEMPLATE.format(
        name=config.name,
        ports=",\n".join(
            f"    .{stream}__{part}({stream}_{part})"
            for stream in (*names, "out")
            for part in ("payload", "valid", "ready")
        ),
        sources="\n".join(
            _source(name, widths[name], beats[name], seed) for seed, name in enumerate(names, 2)
        ),
        restart="\n".join(f"      {name}_index = 0; {name}_again = 0; {name}_wait = 0;" for name in names),
        all_taken=" && ".join(f"{name}_index == {name}_COUNT" for name in names),
        moves=" || ".join(f"({name}_valid && {name}_ready)" for name in names),
        out_msb=widths["out"] - 1,
        out_beats=len(results),
        out_contents=_contents("out", widths["out"], results),
        flow_beats=len(flow) * config.rows,
        cycles=config.run_cycles(k, tiles=len(flow)),
        flush=config.group_gap - 1,
        # So that rows queue up behind the output, and tiles behind rows.
        blocked=1024 - min(512, 1024 * config.rows // (2 * config.tile_gap)),
        patience=100 * (config.drain_latency + config.group_gap),
        drain=config.drain_latency + config.group_gap,
    )


def _flow_tiles(config: Config, vectors: Vectors) -> Iterator[Tile]:
    """Yields tiles of one size, whose cycles are counted; they cross groups, unless these are long."""
    large = config.rows * config.cols > _LARGE
    if 3 * config.group_beats <= _FLOW_BEATS:
        k = (1 if large else 2) * config.group + (config.group + 1) // 2
    else:
        k = min(config.group, 40 * config.lanes) - 1
    for _ in range(2 if large else 3):
        yield vectors.tile(Shape(k, active=2, density=_density(config)))


def _density(config: Config) -> float:
    """The part of rows and columns at work in a beat of a large array, as simulators take long over it."""
    return min(1.0, 8 / np.sqrt(config.rows * config.cols))


def _value_tiles(config: Config, vectors: Vectors) -> Iterator[Tile]:
    """Yields tiles of all sizes and all kinds of numbers, until they cost enough."""
    budget, rng = _Budget.of(config), vectors.rng
    for shape in _long_shapes(config):
        yield vectors.tile(shape)
    count = 0
    while budget.left:
        shape = _shape(config, rng, budget, special=count % 4 == 1, echo=count % 8 == 4)
        budget.take(config, shape)
        yield vectors.tile(shape)
        count += 1
    yield vectors.tile(Shape(1, active=1))


def _long_shapes(config: Config) -> Iterator[Shape]:
    """Yields a tile that crosses a long group, and two of the largest sums, as far as they are cheap."""
    elements = config.rows * config.cols
    most = max(_LONGEST_GROUP, _IDLE // elements)
    if 3 * config.group_beats > _FLOW_BEATS:
        k = min(config.group, most * config.lanes) + 3 * config.lanes
        yield Shape(k, active=3, boundary=True)
        if config.scheme.name != "fp_mac":
            yield Shape(k, active=3, steady=True, boundary=True)
    if config.scheme.name != "fp_mac":
        density = min(1.0, float(np.sqrt(8000 / (elements * config.group_beats))))
        if density * min(config.rows, config.cols) >= 1:
            for _ in range(2):
                yield Shape(config.group, active=config.group_beats, density=density, steady=True)


def _shape(config: Config, rng: np.random.Generator, budget: _Budget, *, special: bool, echo: bool) -> Shape:
    """Returns a shape that fits the budget: several groups where that is not dear, or one that is short."""
    elements = config.rows * config.cols
    affordable = int(budget.cycles // 3 // max(config.group_beats, config.group_gap))
    whole = min(affordable, int(rng.integers(0, 7)))
    short = int(rng.integers(1, min(config.group, 24 * config.lanes), endpoint=True))
    k = whole * config.group + (short if whole == 0 or rng.random() < 0.6 else 0)
    most = max(1, budget.products // (8 * elements * max(1, whole)))
    active = int(rng.choice([1, 2, 3, *[min(24, most)] * 3]))
    return Shape(k, active=min(active, most), special=special, echo=echo)


def _contents(name: str, width: int, beats: list[int]) -> str:
    digits = -(-width // 4)
    return "\n".join(
        f"    {name}_beats[{index}] = {width}'h{beat:0{digits}x};" for index, beat in enumerate(beats)
    )


def _source(name: str, width: int, beats: list[int], seed: int) -> str:
    runs = [(beat, len(list(same))) for beat, same in groupby(beats)]
    repeats = [f"    {name}_repeats[{at}] = {times - 1};" for at, (_, times) in enumerate(runs) if times > 1]
    return _SOURCE.format(
        name=name,
        msb=width - 1,
        seed=seed,
        beats=len(runs),
        contents=_contents(name, width, [beat for beat, _ in runs]),
        repeats="".join(f"{line}\n" for line in repeats),
    )


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
  wire out_ready = running && !out_wait;
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
  task play(input integer last, input integer inputs, input integer outputs, input integer rest);
    begin
      rst = 1;
      @(negedge clk);
      rst = 0;
{restart}
      out_index = 0; out_wait = 0; cycle = 0; quiet = 0; held = 0;
      goal = last; input_waits = inputs; output_waits = outputs;
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
    play(FLOW_BEATS, 0, 0, FLUSH + 1);
    check_cycles(CYCLES);
    play(FLOW_BEATS, 0, 0, 0);
    check_cycles(CYCLES + FLUSH);
    play(FLOW_BEATS, 512, 512, 0);
    play(FLOW_BEATS, 0, {blocked}, 0);
    play(FLOW_BEATS, 800, 0, 0);
    play(OUT_BEATS, 128, 128, 0);
    repeat ({drain}) @(negedge clk);
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
