"""Properties of packing: what is packed comes back, as beats and as memory, and takes the room it should."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mixpe.quant.matrix import QuantizedMatrix
from mixpe.quant.packing import beats, memory
from mixpe.quant.packing.bits import from_beats, to_beats
from mixpe.spec import layout
from verif.samples.strategies import arrays, operands


def same(found, expected) -> bool:
    """Whether every value is the same: bits of floating-point numbers, and integers of any width."""
    if expected is None:
        return found is None
    if expected.dtype.kind in "iu":
        return found.shape == expected.shape and bool((found == expected).all())
    return found.dtype == expected.dtype and found.tobytes() == expected.tobytes()


def same_weights(found: QuantizedMatrix, expected: QuantizedMatrix) -> bool:
    """Whether format, codes and every member of the groups are the same."""
    members = expected.groups.items()
    return (
        found.format == expected.format
        and found.groups.keys() == expected.groups.keys()
        and same(found.codes, expected.codes)
        and all(same(found.groups[symbol], array) for symbol, array in members)
    )


@given(operands(one_tile=True))
def test_beats_of_a_tile_come_back(drawn):
    config, a, weights, t = drawn
    k = a.shape[1]
    packed = beats.pack_acts(a, config)
    assert len(packed) == sum(config.beats(k))
    assert same(beats.unpack_acts(packed, k, config), a)
    packed, members = beats.pack_weights(weights, config), beats.pack_scales(weights, config)
    assert max(packed).bit_length() <= layout.weight_beat_bits(config)
    assert len(members) == config.matrix.groups(k)
    assert max(members).bit_length() <= layout.scale_beat_bits(config)
    assert same_weights(beats.unpack_weights(packed, members, k, config), weights)
    if t is not None:
        assert same(beats.unpack_tokens(beats.pack_tokens(t, config), config), t)


@given(operands())
def test_weights_in_memory_come_back(drawn):
    """In regions of the stated sizes, which hold all codes and begin every tile of columns anew."""
    config, _, weights, _ = drawn
    (k, n), groups = weights.shape, len(weights.groups["s"])
    packed = memory.pack_weights(weights, config)
    assert same_weights(memory.unpack_weights(packed), weights)
    assert packed.weights.size == layout.weight_bytes(k, n, config)
    assert packed.scales.size == layout.scale_bytes(k, n, config)
    assert packed.weights.size % layout.ALIGNMENT == packed.scales.size % layout.ALIGNMENT == 0
    assert 8 * packed.weights.size >= k * n * config.weight_bits
    assert 8 * packed.scales.size >= groups * n * (16 + config.weight_bits * config.zero_point)
    assert memory.bits_per_weight(k, n, config) >= config.weight_bits


@given(operands())
def test_rows_in_memory_come_back(drawn):
    """Activations and token scales; rows at any greater distance, with anything between them."""
    config, a, _, t = drawn
    m, k = a.shape
    packed = memory.pack_acts(a, config)
    assert packed.shape == (m, layout.act_stride(k, config))
    assert same(memory.unpack_acts(packed, k, config), a)
    row = layout.act_row_bytes(k, config)
    noise = np.random.default_rng(m * k).integers(0, 256, (m, 64), np.uint8)
    assert same(memory.unpack_acts(np.concatenate([packed[:, :row], noise], axis=1), k, config), a)
    if t is not None:
        packed = memory.pack_tokens(t)
        assert packed.size == layout.token_bytes(m)
        assert same(memory.unpack_tokens(packed), t)


@given(st.data(), st.integers(1, 9), st.integers(1, 9))
def test_results_come_back(data, m, n):
    """As beats, tile after tile, and as rows in memory: any bit pattern of any format."""
    small = st.integers(1, 5)
    config = data.draw(arrays(rows=small, cols=small))
    size = config.out.bits // 8
    content = data.draw(st.binary(min_size=m * n * size, max_size=m * n * size))
    own = memory.unpack_results(np.frombuffer(content, np.uint8).reshape(m, -1), n, config)
    assert own.tobytes() == content
    assert same(memory.unpack_results(memory.pack_results(own, config), n, config), own)
    packed = beats.pack_outputs(own, config)
    assert len(packed) == layout.row_strips(m, config) * layout.col_tiles(n, config) * config.rows
    assert same(beats.unpack_outputs(packed, m, n, config), own)


@given(st.integers(1, 32), st.integers(1, 9), st.integers(1, 9), st.data())
def test_fields_of_any_width_come_back(width, rows, fields, data):
    """As ints whose bits are the fields' bits, field 0 lowest."""
    field = st.integers(0, (1 << width) - 1)
    table = data.draw(
        st.lists(st.lists(field, min_size=fields, max_size=fields), min_size=rows, max_size=rows)
    )
    packed = to_beats(np.array(table, np.uint32), width)
    assert packed == [sum(value << width * i for i, value in enumerate(row)) for row in table]
    assert from_beats("rows", packed, fields, width).tolist() == table
