"""Refusals of `mixpe.spec.core`: one line each, with the field, its value and what is allowed."""

from dataclasses import fields, replace

import pytest

from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig
from mixpe.spec.errors import UserError

RANGES = {
    "address_bits": (32, 64),
    "burst": (1, 256),
    "outstanding": (1, 64),
    "act_words": (2, 65536),
    "weight_words": (2, 65536),
    "scale_words": (2, 65536),
    "queue": (1, 15),
}
"""As docs and docstring have them, written out here."""

POWERS = ("burst", "outstanding", "act_words", "weight_words", "scale_words")
SIZES = ("data_bits", *RANGES)


def refusal(**given) -> str:
    with pytest.raises(UserError) as error:
        CoreConfig(**given)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_ranges_cover_all_sizes():
    assert {field.name for field in fields(CoreConfig)} == {*SIZES, "array", "name", "bus"}


@pytest.mark.parametrize("name", RANGES)
def test_out_of_range(name):
    low, high = RANGES[name]
    for value in (low - 1, high + 1, -1, 1 << 40):
        assert refusal(**{name: value}) == f"{name} must be {low} to {high}, not {value}"


@pytest.mark.parametrize("name", RANGES)
def test_ends_of_ranges(name):
    """What bounds one field is no business of another's."""
    room = {"burst": 1, "act_words": 65536, "weight_words": 65536, "scale_words": 65536, "data_bits": 64}
    array = Config(rows=2, cols=2)
    for value in RANGES[name]:
        core = CoreConfig(array=array, name="core", **room | {name: value})
        assert getattr(core, name) == value


@pytest.mark.parametrize("name", POWERS)
@pytest.mark.parametrize("value", [3, 48])
def test_no_power_of_two(name, value):
    assert refusal(**{name: value}) == f"{name} must be a power of two, not {value}"


@pytest.mark.parametrize("value", [0, 8, 32, 63, 96, 1024, -64])
def test_data_bits(value):
    assert refusal(data_bits=value) == f"data_bits must be one of 64, 128, 256, 512, not {value}"


@pytest.mark.parametrize(("name", "kind"), [(field.name, field.type) for field in fields(CoreConfig)])
def test_type(name, kind):
    for value in (None, 1.5, True, b"64", [64]):
        expected = f"{name} must be of type {kind.__name__}, not {value!r}"
        assert refusal(**{name: value}) == expected
    other = "64" if kind is not str else 64
    assert refusal(**{name: other}) == f"{name} must be of type {kind.__name__}, not {other!r}"


@pytest.mark.parametrize(("bits", "most"), [(64, None), (128, 256), (256, 128), (512, 64)])
def test_burst_in_a_page(bits, most):
    room = {"data_bits": bits, "act_words": 1024, "weight_words": 1024, "scale_words": 1024}
    if most is None:
        assert CoreConfig(**room, burst=256).burst * bits // 8 <= 4096
        return
    assert CoreConfig(**room, burst=most).burst == most
    if most < 256:
        expected = f"burst must be at most {most} words of {bits} bits (4096 bytes), not {2 * most}"
        assert refusal(**room, burst=2 * most) == expected


@pytest.mark.parametrize("name", ["weight_words", "scale_words"])
def test_two_bursts_fit(name):
    assert getattr(CoreConfig(burst=32, **{"scale_words": 64, name: 64}), name) == 64
    expected = f"{name} must be at least two bursts, 64, not 32"
    assert refusal(burst=32, **{"scale_words": 64, name: 32}) == expected


def test_a_burst_of_activations_fits():
    assert CoreConfig(act_words=16).act_words == 16
    assert refusal(act_words=8) == "act_words must be at least a burst, 16, not 8"


@pytest.mark.parametrize(
    ("array", "beat"),
    [
        (Config(lanes=8, act_bits=9), 128),
        (Config(lanes=8, act_format="fp16"), 128),
        (Config(lanes=4, act_bits=16), 64),
        (Config(lanes=8, act_bits=5), 64),
        (Config(lanes=8, act_bits=4), 32),
    ],
    ids=lambda value: value if isinstance(value, int) else value.name,
)
def test_a_beat_fits_in_a_word(array, beat):
    assert CoreConfig(array=array, name="core", data_bits=max(64, beat)).act_beats_per_word >= 1
    if beat > 64:
        expected = f"data_bits must be at least {beat}, the lanes of a row's activations in memory, not 64"
        assert refusal(array=array, data_bits=64) == expected


def test_group_fits_in_its_register():
    assert CoreConfig(array=Config(group=65535)).array.group == 65535
    assert CoreConfig(array=Config(group=65536), bus="stream").array.group == 65536
    assert refusal(array=Config(group=65536)) == (
        "group must be 1 to 65535 for bus axi, not 65536: the register field OPERANDS.GROUP has 16 bits"
    )


def test_bus():
    assert refusal(bus="apb") == "bus must be one of axi, stream, not 'apb'"


@pytest.mark.parametrize("name", SIZES)
def test_stream_has_no_sizes(name):
    default = getattr(CoreConfig(), name)
    for value in (2 * default, 0, -1):
        expected = f"{name} must be {default} for bus stream, which has none, not {value}"
        assert refusal(bus="stream", **{name: value}) == expected


# Names


def test_names():
    array = Config(rows=2, cols=2)
    assert CoreConfig(array=array).name == "core_w4a8_2x2_g128"
    assert CoreConfig(array=array, bus="stream").name == "stream_w4a8_2x2_g128"
    assert CoreConfig(array=array, queue=2, data_bits=64).name == "core_w4a8_2x2_g128_d64_q2"
    core = CoreConfig(array=array, name="mine")
    assert (core.name, core.array.name) == ("mine", "mine_engine")
    assert core.array == replace(array, name="mine_engine")


def test_different_cores_have_different_names():
    array = Config(rows=2, cols=2)
    changes = {
        "data_bits": 64,
        "address_bits": 33,
        "burst": 8,
        "outstanding": 4,
        "act_words": 64,
        "weight_words": 256,
        "scale_words": 128,
        "queue": 3,
    }
    assert set(changes) == set(SIZES)
    names = {CoreConfig(array=array, **{name: value}).name for name, value in changes.items()}
    assert len(names | {CoreConfig(array=array).name}) == len(SIZES) + 1


@pytest.mark.parametrize("name", ["A", "1a", "a b", "a.b", "_a", "ä", "a" * 74])
def test_bad_name(name):
    assert refusal(name=name) == (
        "name must be a lower-case letter followed by at most 72 lower-case letters, digits and underscores, "
        f"not {name!r}"
    )


def test_reserved_name():
    assert refusal(name="module") == "name must be no reserved word of Verilog, not 'module'"


def test_longest_names():
    """The array's own name must be legal too."""
    assert len(CoreConfig(name="a" * 73).array.name) == 80


def test_automatic_name_is_too_long():
    """Then the message asks for one: the user has not chosen this."""
    array = Config(
        act_format="fp16",
        weight_signed=False,
        zero_point=True,
        token_scale=True,
        lanes=4,
        share=16,
        datapath="carry_save",
        acc_bits=48,
    )
    sizes = {"data_bits": 512, "address_bits": 64, "queue": 2}
    message = refusal(array=array, **sizes)
    name = "core_w4uzfp16_16x16_g128_align41_l4_share16_carry_save_acc48_t_d512_addr64_q2"
    assert (
        message
        == f"name must be given: the one made of all fields, {name!r}, has 77 characters, not at most 73"
    )
    assert CoreConfig(array=array, name="mine", **sizes).name == "mine"
