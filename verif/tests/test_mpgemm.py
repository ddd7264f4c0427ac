"""The golden model's interface: dtypes and layouts, warnings, BLAS threads, refusals and the bench."""

import warnings

import numpy as np
import pytest

from mixpe.bench.golden import bench
from mixpe.quant.golden import blas, mpgemm
from mixpe.quant.operands import float_dtype
from mixpe.spec.array import Config
from mixpe.spec.errors import UserError
from mixpe.spec.fields import exact_align_bits
from mixpe.spec.formats.numbers import ACT_FORMATS, FP16
from verif.reference.exact import codes, random_operands, reference
from verif.reference.exact_float import float_reference, random_float_operands
from verif.samples.products import matrix


def multiply(a, q, s, z=None, t=None, *, config: Config) -> np.ndarray:
    """Multiplies loose arrays."""
    return mpgemm(a, matrix(config, q, s, z), t=t, config=config)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint64])
def test_any_integer_dtype_and_layout(dtype):
    config = Config(weight_signed=False, zero_point=True)
    rng = np.random.default_rng(4)
    a, weights, _ = random_operands(rng, config, 3, 9, 4)
    a = np.abs(a) & 127
    expected = reference(a, weights, None, config)
    a, q, z = (x.astype(dtype) for x in (a, weights.codes, weights.groups["z"]))
    s = weights.groups["s"]
    np.testing.assert_array_equal(codes(multiply(a, q, s, z, config=config)), expected)
    strided = [np.repeat(x, 2, axis=1)[:, ::2] for x in (a, q, s, z)]
    np.testing.assert_array_equal(codes(multiply(*strided, config=config)), expected)
    fortran = [np.asfortranarray(x) for x in (a, q, s, z)]
    np.testing.assert_array_equal(codes(multiply(*fortran, config=config)), expected)


SCHEMES = [{"align_bits": 13}, {"fp_scheme": "fp_mac", "lanes": 2}]


def floats(act_format: str, scheme: dict, **fields) -> Config:
    """Returns a configuration whose alignment is at most exact."""
    if "align_bits" in scheme:
        scheme = {"align_bits": min(scheme["align_bits"], exact_align_bits(ACT_FORMATS[act_format]))}
    return Config(act_format=act_format, **scheme, **fields)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("act_format", ACT_FORMATS)
def test_any_layout_of_floats(act_format, scheme):
    config = floats(act_format, scheme, group=4, zero_point=True)
    rng = np.random.default_rng(7)
    a, weights, _ = random_float_operands(rng, config, 6, 9, 4)
    expected = float_reference(a, weights, None, config)
    q, s, z = weights.codes, weights.groups["s"], weights.groups["z"]
    strided = [np.repeat(x, 2, axis=1)[:, ::2] for x in (a, q, s, z)]
    reverse = [x[::-1, ::-1] for x in (np.ascontiguousarray(x[::-1, ::-1]) for x in (a, q, s, z))]
    fortran = [np.asfortranarray(x) for x in (a, q, s, z)]
    for operands in ((a, q.astype(np.int8), s, z), strided, reverse, fortran):
        before = codes(np.ascontiguousarray(operands[0]))
        np.testing.assert_array_equal(codes(multiply(*operands, config=config)), expected)
        np.testing.assert_array_equal(codes(np.ascontiguousarray(operands[0])), before)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_tiles_of_floats(scheme):
    """More rows and columns than one tile, infinities in some rows: every element as if it were alone."""
    config = floats("fp16", scheme, group=32, zero_point=True, token_scale=True)
    rng = np.random.default_rng(8)
    a, weights, t = random_float_operands(rng, config, 513, 70, 1030, "plain", specials=False)
    a[[0, 256, 300], [1, 33, 69]] = np.inf, -np.inf, np.inf
    out = codes(mpgemm(a, weights, t=t, config=config))
    places = [(0, 0), (255, 511), (256, 512), (511, 1023), (512, 1029), (512, 0)]
    places += [(i, j) for i in (0, 256, 300) for j in range(500, 524)]
    assert np.isinf(out.view(np.float32)[256:301:44, 500:524]).any()
    for i, j in places:
        one = a[i : i + 1], weights.columns(slice(j, j + 1)), t[i : i + 1]
        assert out[i, j] == float_reference(*one, config)[0, 0]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("act_format", ACT_FORMATS)
def test_no_warnings_of_any_float(act_format, scheme):
    """Every code, signalling NaN too, alone and with neighbours."""
    dtype = float_dtype(ACT_FORMATS[act_format])
    every = np.arange(1 << ACT_FORMATS[act_format].bits).astype(f"u{dtype.itemsize}").view(dtype)
    for group in (1, 4):
        config = floats(act_format, scheme, group=group, out_format="fp16", zero_point=True)
        a, ones = every.reshape(-1, 4), np.ones((4, 1), int)
        s, z = np.full((4 // group, 1), 65504, np.float16), np.zeros((4 // group, 1), int)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            multiply(a, ones, s, z, config=config)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("act_format", ACT_FORMATS)
def test_refuses_floats_of_another_type(act_format, scheme):
    config, own = floats(act_format, scheme), float_dtype(ACT_FORMATS[act_format])
    weights = matrix(config, np.zeros((2, 1), np.int8), np.zeros((1, 1), np.float16))
    others = {np.dtype(kind) for kind in (np.int8, np.uint16, bool, np.float32, np.float64)}
    others |= {float_dtype(form) for form in ACT_FORMATS.values()}
    for dtype in others - {own}:
        with pytest.raises(UserError) as error:
            mpgemm(np.zeros((1, 2), dtype), weights, config=config)
        assert str(error.value) == f"a must have dtype {own} for {act_format.upper()}, not {dtype}"
    with pytest.raises(UserError, match=rf"^a must have dtype {own} for {act_format.upper()}, not float64$"):
        mpgemm([[1.0, 2.0]], weights, config=config)
    with pytest.raises(
        UserError, match=r"^a must have at least one element along each of \[M, K\], not \(0, 2\)$"
    ):
        mpgemm(np.zeros((0, 2), own), weights, config=config)
    with pytest.raises(UserError, match=rf"^a must have an integer dtype, not {own}$"):
        mpgemm(np.zeros((1, 2), own), weights, config=Config())


def test_no_warnings():
    config = Config(token_scale=True, out_format="fp16", group=1)
    a, q = np.full((1, 2), -128), np.full((2, 1), -8)
    s, t = np.array([[np.inf], [-np.inf]], np.float16), np.array([3e38], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert codes(multiply(a, q, s, t=t, config=config))[0, 0] == FP16.nan
        assert codes(multiply(a, q, abs(s), t=t, config=config))[0, 0] == FP16.infinity


def test_no_warnings_on_other_threads():
    config = Config(group=1, out_format="fp16")
    a, q = np.full((300, 2), -128), np.full((2, 2000), -8)
    s = np.full((2, 2000), np.inf, np.float16)
    s[1] = -s[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (codes(multiply(a, q, s, config=config)) == FP16.nan).all()


@pytest.fixture
def openblas():
    """OpenBLAS set to three threads, and set back afterwards; stood in for where NumPy has another BLAS."""
    real, stand_in = blas._OPENBLAS, [3]
    if real.get is None or real.set is None:
        real.get, real.set = (lambda: stand_in[0]), (lambda count: stand_in.__setitem__(0, count))
        yield real
        real.get = real.set = None
    else:
        before = real.get()
        real.set(3)
        yield real
        real.set(before)


def test_blas_threads_are_as_before(openblas):
    """One thread inside overlapping products; as many as before after them, after a failure, after none."""
    done = []

    def item(number: int) -> None:
        if number == 7:
            raise UserError("seven")
        if number >= 0:
            blas.run(item, [-1, -2])
        done.append(number)
        assert openblas.get() == 1

    blas.run(item, range(6))
    assert sorted(done) == sorted([*range(6), *[-1, -2] * 6])
    assert openblas.get() == 3
    with pytest.raises(UserError, match="seven"):
        blas.run(item, [1, 7, 2])
    assert openblas.get() == 3
    blas.run(item, [])
    assert openblas.get() == 3


def test_a_blas_that_cannot_be_told(monkeypatch):
    monkeypatch.setattr(blas._OPENBLAS, "get", None)
    config = Config(group=32)
    a, weights, _ = random_operands(np.random.default_rng(6), config, 3, 40, 1100, "plain")
    some = weights.columns(slice(500, 530))
    part = mpgemm(a, some, config=config)
    assert part.dtype == np.float32
    np.testing.assert_array_equal(codes(part), reference(a, some, None, config))
    whole = codes(mpgemm(a, weights, config=config))
    monkeypatch.undo()
    np.testing.assert_array_equal(whole, codes(mpgemm(a, weights, config=config)))


def good():
    """Returns operands that are right for a zero-point and token-scale configuration of group 4."""
    return {
        "a": np.zeros((2, 5), np.int8),
        "q": np.zeros((5, 3), np.int8),
        "s": np.zeros((2, 3), np.float16),
        "z": np.zeros((2, 3), np.int8),
        "t": np.zeros(2, np.float32),
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"a": np.zeros((0, 5), np.int8)},
            r"a must have at least one element along each of \[M, K\], not \(0, 5\)",
        ),
        ({"a": np.zeros((2, 0), np.int8)}, r"a must have at least one element along each of \[M, K\]"),
        ({"q": np.zeros((5, 0), np.int8)}, r"q must have at least one element along each of \[K, N\]"),
        ({"a": np.zeros(5, np.int8)}, r"a must be an array \[M, K\], not of shape \(5,\)"),
        ({"q": np.zeros(5, np.int8)}, r"q must be an array \[K, N\], not of shape \(5,\)"),
        ({"a": [[1, 2], [3]]}, "a must be an array, not list of uneven rows"),
        ({"a": np.zeros((2, 5))}, "a must have an integer dtype, not float64"),
        ({"q": np.zeros((5, 3), bool)}, "q must have an integer dtype, not bool"),
        (
            {"q": np.zeros((6, 3), np.int8)},
            r"weights must have K = 5 rows, as a has columns, not shape \(6, 3\)",
        ),
        (
            {"s": np.zeros((1, 3), np.float16)},
            r"s must have shape \[G, N\] = \(2, 3\) \(groups of 4\), not \(1, 3\)",
        ),
        ({"s": np.zeros((2, 3), np.float32)}, "s must have dtype float16 for FP16, not float32"),
        (
            {"z": np.zeros((3, 3), np.int8)},
            r"z must have shape \[G, N\] = \(2, 3\) \(groups of 4\), not \(3, 3\)",
        ),
        ({"z": np.zeros((2, 3), np.float16)}, "z must have an integer dtype, not float16"),
        ({"z": None}, r"z is missing: groups of .* have a zero z\[G, N\]"),
        ({"t": None}, "t is missing"),
        ({"t": np.zeros(3, np.float32)}, r"t must have shape \[M\] = \(2,\), not \(3,\)"),
        ({"t": np.zeros((2, 1), np.float32)}, r"t must be an array \[M\], not of shape \(2, 1\)"),
        (
            {"t": np.zeros(0, np.float32)},
            r"t must have at least one element along each of \[M\], not \(0,\)",
        ),
        ({"t": np.zeros(2)}, "t must have dtype float32 for FP32, not float64"),
        ({"a": np.full((2, 5), 128)}, r"a\[0, 0\] must be INT8 \(-128 to 127\), not 128"),
        ({"a": np.full((2, 5), 2**63, np.uint64)}, r"a\[0, 0\] must be INT8 .* not 9223372036854775808"),
        ({"q": np.eye(5, 3, -2, int) * -9}, r"q\[2, 0\] must be INT4 \(-8 to 7\), not -9"),
        ({"z": np.eye(2, 3, 1, int) * 8}, r"z\[0, 1\] must be INT4 \(-8 to 7\), not 8"),
    ],
)
def test_refusals(change, message):
    operands = good() | change
    with pytest.raises(UserError, match=message) as error:
        multiply(**operands, config=Config(group=4, zero_point=True, token_scale=True))
    assert "\n" not in str(error.value)


def test_refuses_what_the_configuration_has_not():
    operands = good()
    with pytest.raises(UserError, match=r"^z must be absent: groups of INT4 in groups of 4 .* have s only$"):
        multiply(**operands, config=Config(group=4, token_scale=True))
    with pytest.raises(UserError, match="t must be None in a configuration with token_scale = false"):
        multiply(**operands, config=Config(group=4, zero_point=True))
    operands["q"][0, 0] = -1
    with pytest.raises(UserError, match=r"q\[0, 0\] must be UINT4 \(0 to 15\), not -1"):
        multiply(**operands, config=Config(group=4, zero_point=True, token_scale=True, weight_signed=False))


def test_refuses_weights_of_another_format():
    a, q, s = np.zeros((2, 5), np.int8), np.zeros((5, 3), np.int8), np.zeros((2, 3), np.float16)
    weights = matrix(Config(group=4), q, s)
    for fields, wanted in [
        ({"group": 3}, "INT4 in groups of 3 with s in FP16"),
        ({"group": 4, "weight_bits": 5}, "INT5 in groups of 4 with s in FP16"),
        ({"group": 4, "weight_signed": False}, "UINT4 in groups of 4 with s in FP16"),
        ({"group": 4, "zero_point": True}, "INT4 in groups of 4 with s in FP16, z in INT4"),
    ]:
        with pytest.raises(UserError) as error:
            mpgemm(a, weights, config=Config(**fields))
        assert str(error.value) == (
            "the weights are quantized as INT4 in groups of 4 with s in FP16, "
            f"and the array takes {wanted}: quantize them anew"
        )
    with pytest.raises(UserError, match=r"^weights must be a QuantizedMatrix, not ndarray$"):
        mpgemm(a, q, config=Config(group=4))


def test_bench_compares_the_same_product():
    result = bench(40, 300, 600, group=128, repeat=1)
    assert result.bit_equal
    assert result.golden_seconds > 0
    assert result.naive_seconds > 0
    assert result.ratio == result.naive_seconds / result.golden_seconds
