"""docs/memory.md against the packer: its example, its program in C, its tables, what it says of padding."""

import ctypes
import re
import subprocess
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixpe import mpgemm
from mixpe.quant.packing import memory
from mixpe.quant.packing.overhead import COLS, GROUPS, LANES, SIZES, WEIGHT_BITS, overhead, tables
from mixpe.spec import layout
from mixpe.spec.array import Config
from verif.reference.exact import codes
from verif.reference.memory_reader import Reader, number_codes, operands, random_config, up

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs/memory.md").read_text(encoding="utf-8")


def block(heading: str, language: str) -> str:
    """The first block of code of that language below a heading of the document."""
    section = DOCUMENT.split(f"\n## {heading}\n")[1]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1]


def shown_regions() -> dict[str, dict[int, bytes]]:
    """The bytes of the document's example: of each region, by the offset of their line."""
    regions: dict[str, dict[int, bytes]] = {}
    for line in block("Example", "text").splitlines():
        found = re.fullmatch(r"([a-z ]*?) *(\d+): ([0-9A-F ]+)", line)
        assert found, line
        name = found[1] or list(regions)[-1]
        regions.setdefault(name, {})[int(found[2])] = bytes.fromhex(found[3])
    return regions


def test_example(tmp_path, monkeypatch):
    """Its operands give its bytes, and its lines of Python run on them."""
    names: dict[str, Any] = {}
    exec(block("Example", "python"), names)  # noqa: S102
    a, weights, t, config = (names[name] for name in ("a", "weights", "t", "config"))
    packed = memory.pack_weights(weights, config)
    regions = {
        "activations": memory.pack_acts(a, config),
        "weights": packed.weights,
        "scales": packed.scales,
        "token scales": memory.pack_tokens(t),
        "results": memory.pack_results(mpgemm(a, weights, t=t, config=config), config),
    }
    shown = shown_regions()
    assert shown.keys() == regions.keys()
    for name, data in regions.items():
        expected = bytearray(data.size)
        for offset, octets in shown[name].items():
            expected[offset : offset + len(octets)] = octets
        assert data.tobytes() == bytes(expected), name
    monkeypatch.chdir(tmp_path)
    exec(block("In Python", "python"), names)  # noqa: S102
    np.testing.assert_array_equal(names["weights"].codes, weights.codes)
    assert names["acts"].tobytes() == regions["activations"].tobytes()
    assert names["out"].shape == (2, 3)


def test_packer_in_c(tmp_path):
    source, library = tmp_path / "packer.c", tmp_path / "packer.so"
    source.write_text(block("In C", "c"), encoding="utf-8")
    flags = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-shared", "-fPIC"]
    subprocess.run(["gcc", *flags, "-o", str(library), str(source)], check=True)
    c = ctypes.CDLL(str(library))
    for seed in range(20):
        rng = np.random.default_rng(seed)
        config = random_config(rng)
        m, k, n = (int(rng.integers(1, high)) for high in (4, 50, 25))
        a, matrix, _ = operands(rng, config, m, k, n)
        q, s, z = matrix.codes, matrix.groups["s"], matrix.zeros
        packed = memory.pack_weights(matrix, config)
        acts = memory.pack_acts(a, config)
        fields = (config.cols, config.lanes, config.group, config.weight_bits, config.zero_point)
        array, size = (ctypes.c_long * 5)(*fields), [ctypes.c_long(k), ctypes.c_long(n)]
        weights, scales, rows = map(np.zeros_like, (packed.weights, packed.scales, acts))
        zeros = q if z is None else z
        c.pack_weights(array, *size, pointer(q, "i4"), weights.ctypes)
        c.pack_scales(array, *size, pointer(codes(s), "u2"), pointer(zeros, "i4"), scales.ctypes)
        geometry = map(ctypes.c_long, (m, k, layout.container_bits(config), acts.shape[1]))
        c.pack_acts(array, *geometry, pointer(number_codes(a), "i4"), rows.ctypes)
        np.testing.assert_array_equal(weights, packed.weights)
        np.testing.assert_array_equal(scales, packed.scales)
        np.testing.assert_array_equal(rows, acts)


def pointer(array: np.ndarray, dtype: str) -> Any:
    return np.ascontiguousarray(array.astype(dtype)).ctypes


def test_tables():
    for table in "\n".join(tables()).split("\n\n"):
        assert f"\n\n{table}\n\n" in DOCUMENT


def test_padding_is_within_two_percent():
    """At sizes of large language models, against bits per weight counted here."""
    for (k, n), bits, group, cols, lanes, zero_point in product(
        SIZES, WEIGHT_BITS, GROUPS, COLS, LANES, (False, True)
    ):
        config = Config(weight_bits=bits, group=group, cols=cols, lanes=lanes, zero_point=zero_point)
        ideal = bits + (16 + bits * zero_point) / group
        reader = Reader(config, k)
        actual = 8 * up(n, cols) * (reader.weight_tile + reader.scale_tile) / (k * n)
        assert memory.bits_per_weight(k, n, config) == actual
        assert ideal <= actual <= 1.02 * ideal
        assert overhead(k, n, config) == pytest.approx(actual / ideal - 1, abs=1e-12)


def test_arrays_of_other_columns():
    """What the document says of columns that do not divide N."""
    most = {
        cols: max(
            overhead(k, n, Config(weight_bits=bits, group=group, cols=cols, zero_point=zero_point))
            for (k, n), bits, group, zero_point in product(SIZES, range(2, 9), GROUPS, (False, True))
        )
        for cols in range(1, 129)
    }
    above = [cols for cols, part in most.items() if part > 0.02]
    assert above[:2] == [1, 2]
    assert above[2] == 89
    assert above[-1] == 127
    assert max(most[cols] for cols in above[2:]) < 0.03
