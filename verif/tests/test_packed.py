"""Packed weights: what they refuse, and their file."""

import contextlib
import dataclasses
import io
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixpe.quant.packing.memory import PackedWeights, pack_weights, unpack_weights
from mixpe.spec.array import Config
from mixpe.spec.errors import UserError
from mixpe.spec.formats.weights import WEIGHT_FORMATS
from verif.reference.exact import random_operands

CONFIG = Config(cols=3, group=4, lanes=2, weight_bits=3, zero_point=True)
NAMES = [field.name for field in dataclasses.fields(PackedWeights)]


def packed_weights(seed: int = 0) -> PackedWeights:
    _, weights, _ = random_operands(np.random.default_rng(seed), CONFIG, 1, 6, 5)
    return pack_weights(weights, CONFIG)


def content(packed: PackedWeights) -> dict[str, Any]:
    values = {name: getattr(packed, name) for name in NAMES}
    return {
        name: value.tobytes() if isinstance(value, np.ndarray) else value for name, value in values.items()
    }


def test_a_file_keeps_everything(tmp_path):
    packed = packed_weights()
    path = packed.save(tmp_path / "deep" / "layer.npz")
    assert path == tmp_path / "deep" / "layer.npz"
    assert [each.name for each in path.parent.iterdir()] == ["layer.npz"]
    loaded = PackedWeights.load(str(path))
    assert content(loaded) == content(packed)
    assert {type(value) for value in content(loaded).values()} == {int, bool, str, bytes}
    found, expected = unpack_weights(loaded), unpack_weights(packed)
    assert found.format == expected.format == CONFIG.matrix
    assert found.codes.tobytes() == expected.codes.tobytes()
    assert found.groups.keys() == expected.groups.keys() == {"s", "z"}
    for symbol, member in expected.groups.items():
        assert found.groups[symbol].tobytes() == member.tobytes()


def test_a_file_is_an_npz_of_the_documents_entries(tmp_path):
    packed = packed_weights()
    with np.load(packed.save(tmp_path / "layer")) as archive:  # no suffix is added
        entries = {name: archive[name] for name in archive.files}
    assert {name: (array.dtype.kind, array.shape) for name, array in entries.items()} == {
        **dict.fromkeys(("layout", "weight_bits", "group", "cols", "lanes", "k", "n"), ("i", ())),
        **dict.fromkeys(("weight_signed", "zero_point"), ("b", ())),
        **dict.fromkeys(("weight_format", "scale"), ("U", ())),
        "weights": ("u", packed.weights.shape),
        "scales": ("u", packed.scales.shape),
    }
    assert (entries["layout"], entries["scale"], entries["k"], entries["n"]) == (1, "fp16", 6, 5)
    assert entries["weight_format"] == "int"


def test_saving_is_all_or_nothing(tmp_path, monkeypatch):
    path = packed_weights(0).save(tmp_path / "layer.npz")
    before = path.read_bytes()

    def interrupted(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", interrupted)
        with pytest.raises(KeyboardInterrupt):
            packed_weights(1).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with path.open("rb") as reader:
        packed_weights(1).save(path)
        assert reader.read() == before  # whoever reads keeps the file that was
    assert path.read_bytes() != before
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_refuses_to_save_where_it_cannot(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "layer.npz", tmp_path / "folder"):
        with pytest.raises(UserError, match=rf"^cannot write {path}: [^\n]+$"):
            packed_weights().save(path)


def load_error(path: Path) -> str:
    with pytest.raises(UserError) as error:
        PackedWeights.load(path)
    message = str(error.value)
    assert "\n" not in message
    assert str(path) in message
    return message.replace(str(path), "FILE")


def test_refuses_what_is_no_file_of_packed_weights(tmp_path):
    path = tmp_path / "layer.npz"
    assert load_error(path) == "cannot read FILE: No such file or directory"
    assert load_error(tmp_path) == "cannot read FILE: Is a directory"
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    foreign = io.BytesIO()
    np.savez(foreign, layout="wide", weights=np.zeros(3, np.uint8))
    objects = io.BytesIO()
    np.savez(objects, layout=np.array([{}], object))
    for data in (b"", b"PK", b"text\n" * 50, array.getvalue(), foreign.getvalue(), objects.getvalue()):
        path.write_bytes(data)
        assert load_error(path) == "FILE holds no packed weights, or is damaged: pack the weights anew"


def rewritten(path: Path, **changes: Any) -> Path:
    """The file with entries changed, or without those that are None."""
    entries = {**{name: getattr(packed_weights(), name) for name in NAMES}, **changes}
    np.savez(path, **{name: value for name, value in entries.items() if value is not None})
    return path


def test_files_from_before_weight_formats_hold_integers(tmp_path):
    path = rewritten(tmp_path / "layer.npz", weight_format=None)
    with np.load(path) as archive:
        assert set(archive.files) == {*NAMES} - {"weight_format"}
    assert content(PackedWeights.load(path)) == content(packed_weights())
    assert packed_weights().weight_format == "int"


def test_refuses_another_version(tmp_path):
    """Whatever its other entries are."""
    message = "FILE has version 2 of the memory layout, and this software reads 1: pack the weights anew"
    assert load_error(rewritten(tmp_path / "a.npz", layout=2)) == message
    np.savez(tmp_path / "b.npz", layout=2, tensors=np.zeros(3))
    assert load_error(tmp_path / "b.npz") == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(
            ({name: None}, "FILE holds no packed weights, or is damaged: pack the weights anew")
            for name in NAMES
            if name != "weight_format"
        ),
        ({"k": 6.0}, "FILE holds no packed weights, or is damaged: pack the weights anew"),
        ({"n": [5, 5]}, "FILE holds no packed weights, or is damaged: pack the weights anew"),
        ({"zero_point": 1}, "FILE holds no packed weights, or is damaged: pack the weights anew"),
        ({"weights": np.zeros(128)}, r"FILE is damaged: weights must be uint8 [128], not float64 [128]"),
        (
            {"weights": np.zeros(64, np.uint8)},
            r"FILE is damaged: weights must be uint8 [128], not uint8 [64]",
        ),
        (
            {"scales": np.zeros((2, 64), np.uint8)},
            r"FILE is damaged: scales must be uint8 [128], not uint8 [2, 64]",
        ),
        ({"cols": 0}, "FILE is damaged: cols must be 1 to 128, not 0"),
        (
            {"weight_format": "fp7"},
            f"FILE is damaged: weight_format must be one of int, {', '.join(WEIGHT_FORMATS)}, not 'fp7'",
        ),
        ({"k": 0}, "FILE is damaged: k must be an integer of 1 to 16777215, not 0"),
        ({"n": 1 << 24}, "FILE is damaged: n must be an integer of 1 to 16777215, not 16777216"),
        (
            {"scale": "bf16"},
            "FILE is damaged: scale of packed weights must be fp16 for this software, not bf16",
        ),
    ],
)
def test_refuses_wrong_entries(tmp_path, changes, message):
    assert load_error(rewritten(tmp_path / "layer.npz", **changes)) == message


def test_damage_never_passes(tmp_path):
    """Truncated or with a byte changed: an error, or the same content where the byte means nothing."""
    packed = packed_weights()
    path = packed.save(tmp_path / "layer.npz")
    sound, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for size in rng.choice(len(sound), 50, replace=False):
        path.write_bytes(sound[:size])
        load_error(path)
    for place in rng.choice(len(sound), 600, replace=False):
        damaged = bytearray(sound)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        loaded = None
        with contextlib.suppress(UserError):
            loaded = PackedWeights.load(path)
        if loaded:
            assert content(loaded) == content(packed)
        else:
            load_error(path)
            refused += 1
    assert refused > 300


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layout": 2}, "layout of packed weights must be 1 for this software, not 2"),
        ({"lanes": 3}, "lanes must be one of 1, 2, 4, 8, not 3"),
        ({"k": 2.0}, "k must be an integer of 1 to 16777215, not 2.0"),
        ({"k": 200}, r"weights must be uint8 \[512\], not uint8 \[128\]"),
        ({"scales": b""}, r"scales must be uint8 \[128\], not bytes"),
    ],
)
def test_refuses_fields_that_cannot_be(changes, message):
    with pytest.raises(UserError, match=f"^{message}$"):
        dataclasses.replace(packed_weights(), **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cols": 8}, "cols = 3, and the array has cols = 8"),
        ({"group": 128}, "group = 4, and the array has group = 128"),
        ({"weight_bits": 4}, "weight_bits = 3, and the array has weight_bits = 4"),
        ({"zero_point": False}, "zero_point = true, and the array has zero_point = false"),
        ({"weight_signed": False}, "weight_signed = true, and the array has weight_signed = false"),
        ({"lanes": 1, "cols": 4}, "cols = 3, lanes = 2, and the array has cols = 4, lanes = 1"),
    ],
)
def test_names_what_differs_from_an_array(changes, message):
    packed, other = packed_weights(), dataclasses.replace(CONFIG, name="", **changes)
    assert not packed.matches(other)
    with pytest.raises(UserError) as error:
        packed.check(other)
    assert str(error.value) == f"the weights are packed for {message}: pack them anew"


def test_fits_arrays_that_differ_elsewhere():
    packed = packed_weights()
    fields = {
        "rows": 5,
        "act_format": "fp16",
        "act_bits": 16,
        "out_format": "bf16",
        "token_scale": True,
        "name": "",
    }
    for config in (CONFIG, dataclasses.replace(CONFIG, **fields)):
        assert packed.matches(config)
        packed.check(config)
