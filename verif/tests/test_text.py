"""Text and documents of the user's in every encoding: read as they are meant, or refused in one line."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from mixpe.gen.configurations import load_config
from mixpe.models.tokenizer import BOS, Tokenizer
from mixpe.spec.errors import UserError
from mixpe.support.documents import read_as, read_json, read_plain, read_toml, to_json
from verif.samples.models import VOCABULARY, write_tokenizer

TEXT = "ab c\u00e9\nab\n"


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode("utf-8-sig"),
    ],
    ids=["plain", "mark", "CRLF", "mark and CR"],
)
def test_the_same_text(tmp_path, content):
    path = tmp_path / "given"
    path.write_bytes(content)
    assert read_plain(path, "text") == TEXT


@pytest.mark.parametrize(
    ("content", "message"),
    [
        *((TEXT.encode(f"utf-16{end}"), "must be UTF-8: it looks like UTF-16") for end in ("", "-le", "-be")),
        *((TEXT.encode(f"utf-32{end}"), "must be UTF-8: it looks like UTF-32") for end in ("", "-le", "-be")),
        (b"\xfe\xff\0a", "must be UTF-8: it looks like UTF-16"),
        ("ab".encode("utf-16-le"), "must be UTF-8, without NUL bytes: it looks like UTF-16"),
        (b"ab\0cd", "must be UTF-8, without NUL bytes: there is one at byte 2"),
        (bytes(64), "must be UTF-8, without NUL bytes: there is one at byte 0"),
        (TEXT.encode("latin-1"), "must be UTF-8: invalid continuation byte at byte 4"),
        (b"a\xed\xa0\x80", "must be UTF-8: invalid continuation byte at byte 1"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_no_text(tmp_path, content, message):
    path = tmp_path / "given"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_plain(path, "text")
    assert str(error.value).startswith(f"text {path} {message}")


def test_documents_may_have_a_mark(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes("rows = 3\r\ncols = 5\r\n".encode("utf-8-sig"))
    assert read_toml(path, "file") == {"rows": 3, "cols": 5}
    assert (load_config(str(path)).rows, load_config(str(path)).cols) == (3, 5)
    path.write_bytes(json.dumps({"a": "\u00e9"}, ensure_ascii=False).encode("utf-8-sig"))
    assert read_json(path, "file") == {"a": "\u00e9"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "Expecting value: line 1 column 1"),
        ('{"a": NaN}', "NaN is no number of JSON"),
        ("[-Infinity]", "-Infinity is no number of JSON"),
        ('[{"a": 1, "b": 2, "a": 3}]', "the key 'a' stands twice in an object"),
        ("[" * 100_000, "maximum recursion depth"),
        ("9" * 5000, "Exceeds the limit"),
    ],
)
def test_no_json(tmp_path, content, reason):
    path = tmp_path / "given"
    path.write_text(content)
    with pytest.raises(UserError) as error:
        read_json(path, "file")
    assert str(error.value).startswith(f"file {path} is not JSON: {reason}")


def test_no_json_is_written():
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"a": float("nan")})


@dataclass(frozen=True)
class Point:
    """What a document may say."""

    x: float
    name: str
    sizes: tuple[int, ...]
    inner: "Point | None"


GOOD = {"x": 1, "name": "a", "sizes": [1, 2], "inner": None}


def test_read_as():
    assert read_as(Point, GOOD | {"inner": GOOD}, "p") == Point(
        1.0, "a", (1, 2), Point(1.0, "a", (1, 2), None)
    )
    assert read_as(Point, GOOD | {"y": 1}, "p", foreign=True) == Point(1.0, "a", (1, 2), None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": 10**400}, "p: x must be a number, not 1000"),
        ({"x": float("inf")}, "p: x must be a number, not Infinity"),
        ({"x": True}, "p: x must be a number, not true"),
        ({"name": "\ud800"}, r'p: name must be text in a line, not "\\ud800"'),
        ({"name": "a\x1b[31m"}, "p: name must be text in a line"),
        ({"name": 7}, "p: name must be text in a line, not 7"),
        ({"sizes": [1, 2.0]}, "p: sizes must be an integer, not 2.0"),
        ({"inner": GOOD | {"sizes": "x"}}, "p: inner: sizes must be a list"),
        ({"inner": 3}, "p: inner must be an object, not 3"),
        ({"y": 1}, "p has an unknown field 'y'"),
    ],
)
def test_what_is_refused(change, message):
    with pytest.raises(UserError, match=message.replace("(", r"\(")):
        read_as(Point, GOOD | change, "p")


def test_prompts_that_are_no_text(tmp_path):
    tokenizer = Tokenizer.load(write_tokenizer(tmp_path / "tok"))
    assert tokenizer.encode("b") == [BOS, VOCABULARY.index(b" "), VOCABULARY.index(b"b")]
    for text, reason in [
        (b"ab\xff".decode(errors="surrogateescape"), "character 2 is the byte 0xFF"),
        ("\ud83d", "character 0 is half a pair, U\\+D83D"),
    ]:
        for named, arguments in (("text", ()), ("prompt", ("prompt",))):
            with pytest.raises(UserError, match=f"^{named} must be UTF-8: {reason}"):
                tokenizer.encode(text, *arguments)


def test_a_score_that_is_no_number(tmp_path):
    scores = [0.0] * len(VOCABULARY)
    scores[5] = float("nan")
    path: Path = write_tokenizer(tmp_path / "tok", scores=scores)
    with pytest.raises(UserError, match="the score of token 5 must be a number, not nan"):
        Tokenizer.load(path)
