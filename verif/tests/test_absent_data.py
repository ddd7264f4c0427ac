"""Tests of data that this machine lacks are skipped with a reason; nothing is ever left out in silence."""

import pytest

from mixpe.support.data import LIBRARIES, MODELS
from verif.samples.data import libraries, models


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Returns the only data folder, which is empty."""
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setenv("MIXPE_DATA", str(data))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)  # set where the user has no home
    return data


def test_skipped_with_a_reason(folder):
    (model,) = models()
    (mark,) = model.marks
    assert mark.name == "skip"
    assert mark.kwargs["reason"] == (
        f"models/stories260K.bin, models/tok512.bin not in {folder} and {folder.parent}/home/.cache/mixpe: "
        "set MIXPE_DATA to a folder that holds them, or let `mixpe llm --model stories260K` download them"
    )
    assert [parameter.values for parameter in libraries()] == [(name,) for name in LIBRARIES]
    for parameter in libraries():
        (mark,) = parameter.marks
        assert f"`mixpe synth --lib {parameter.values[0]}`" in mark.kwargs["reason"]


def test_run_where_all_files_are(folder):
    """One of two files is not enough."""
    (folder / "models").mkdir()
    checkpoint, tokenizer = MODELS["stories260K"]
    (folder / checkpoint).touch()
    (mark,) = models()[0].marks
    assert mark.kwargs["reason"].startswith(f"{tokenizer} not in ")
    (folder / tokenizer).touch()
    assert not models()[0].marks


def test_an_empty_list_of_parameters_is_an_error(pytestconfig):
    """Nor can a list that is made of what is found on a machine come to nothing unseen."""
    assert pytestconfig.getini("empty_parameter_set_mark") == "fail_at_collect"
