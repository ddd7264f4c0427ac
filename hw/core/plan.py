"""The planner: it computes the beats, groups and words of a tile from a command's K."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from ...spec import layout
from ...spec.core import SIZE_BITS, CoreConfig
from ..ports import Component


class TileSizes(data.StructLayout):
    """Holds the sizes of a tile.

    Members
    -------
    beats: cycles in which the array takes the tile's operands.
    groups: groups of weights, the last perhaps short.
    act_words: words of a row's activations.
    weight_words: words of the tile's weights.
    scale_words: words of the tile's scales (and zero points).
    tail: lanes in use in the last beat.
    """

    def __init__(self, config: CoreConfig):
        super().__init__(
            {
                "beats": SIZE_BITS,
                "groups": SIZE_BITS,
                "act_words": SIZE_BITS,
                "weight_words": _words_bits(config, layout.weight_beat_bits(config.array)),
                "scale_words": _words_bits(config, layout.scale_beat_bits(config.array)),
                "tail": range(config.array.lanes + 1),
            }
        )


def _words_bits(config: CoreConfig, beat_bits: int) -> int:
    """Returns the width of a number of words that holds those of 2**SIZE_BITS beats."""
    return (((1 << SIZE_BITS) * beat_bits - 1) // config.data_bits + 1).bit_length()


class Planner(Component):
    """Computes the sizes of a tile, in `mixpe.spec.cycles.planning_cycles`.

    Ports
    -----
    start: in, 1: a pulse; `k` is there, and stays.
    k: in, `SIZE_BITS`: K of the command, not 0.
    done: out, 1: a pulse, `planning_cycles` after `start`.
    sizes: out, `TileSizes`: those of `k`, from the cycle of `done` on.
    """

    def __init__(self, config: CoreConfig):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "k": In(SIZE_BITS),
                "done": Out(1),
                "sizes": Out(TileSizes(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, array, sizes = self.config, self.config.array, self.sizes

        divided, whole, rest = divide(m, self.start, self.k, array.group)
        lanes, ragged = array.lanes, array.group % array.lanes
        if not ragged:
            beats, tail = _quotient_up(self.k, lanes), _remainder(self.k, lanes)
        else:
            beats = whole * array.group_beats + _quotient_up(rest, lanes)
            tail = Mux(rest.any(), _remainder(rest, lanes), ragged)
        counted = Signal()
        m.d.sync += [
            counted.eq(divided),
            sizes.beats.eq(beats),
            sizes.groups.eq(whole + rest.any()),
            sizes.tail.eq(tail),
            self.done.eq(counted),
        ]
        m.d.sync += [
            sizes.act_words.eq(_quotient_up(sizes.beats, config.act_beats_per_word)),
            sizes.weight_words.eq(
                _quotient_up(sizes.beats * layout.weight_beat_bits(array), config.data_bits)
            ),
            sizes.scale_words.eq(
                _quotient_up(sizes.groups * layout.scale_beat_bits(array), config.data_bits)
            ),
        ]
        return m


def divide(m: Module, start: Value, value: Value, divisor: int) -> tuple[Value, Value, Value]:
    """Divides `value`, which is there in the cycle of the pulse `start` and stays, by a constant.

    Returns a pulse, and what is there in its cycle and from then on: the quotient, rounded down, and the
    rest.
    The pulse comes in the cycle of `start` if `divisor` is a power of two, else `SIZE_BITS` + 1 cycles later.
    """
    if divisor.bit_count() == 1:
        shift = divisor.bit_length() - 1
        return start, value[shift:], value[:shift] if shift else Const(0, 1)
    # Restoring division, a bit a cycle.
    rest = Signal(range(divisor))
    quotient = Signal(SIZE_BITS)
    left = Signal(range(SIZE_BITS + 1))
    divided = Signal()
    shifted = Signal(range(2 * divisor))
    fits = Signal()
    m.d.comb += [shifted.eq(Cat(quotient[-1], rest)), fits.eq(shifted >= divisor)]
    m.d.sync += divided.eq(left == 1)
    with m.If(start):
        m.d.sync += [quotient.eq(value), rest.eq(0), left.eq(SIZE_BITS)]
    with m.Elif(left.any()):
        m.d.sync += [
            left.eq(left - 1),
            rest.eq(Mux(fits, shifted - divisor, shifted)),
            quotient.eq(Cat(fits, quotient)),
        ]
    return divided, quotient, rest


def walk_tiles(
    m: Module, config: CoreConfig, start: Value, rows: Value, cols: Value, end_tile: Value
) -> tuple[Signal, Signal]:
    """Follows a product of `rows` x `cols` tile by tile, from `start` on; `end_tile` ends a tile.

    Returns the rows of the current strip and all below it, and whether the product is done.
    """
    array = config.array
    rows_left = Signal(SIZE_BITS, name="rows_left")
    cols_left = Signal(SIZE_BITS, name="cols_left")
    done = Signal(init=1, name="walk_done")
    with m.If(end_tile):
        m.d.sync += cols_left.eq(cols_left - array.cols)
        with m.If(cols_left <= array.cols):
            m.d.sync += [
                cols_left.eq(cols),
                rows_left.eq(rows_left - array.rows),
                done.eq(rows_left <= array.rows),
            ]
    with m.If(start):
        m.d.sync += [rows_left.eq(rows), cols_left.eq(cols), done.eq(0)]
    return rows_left, done


def _quotient_up(value: Value, divisor: int) -> Value:
    """Returns value / divisor, rounded up; `divisor` is a power of two."""
    shift = divisor.bit_length() - 1
    return (value + (divisor - 1)) >> shift


def _remainder(value: Value, divisor: int) -> Value:
    """Returns what is left above a multiple of `divisor`, a power of two: 1 to `divisor`."""
    low = value[: divisor.bit_length() - 1]
    return Mux(low.any(), low, divisor) if len(low) else Const(1)
