"""Liberty files: cells and conditions of a library of a few cells; every bad library."""

import gzip
from pathlib import Path

import pytest

from mixpe.spec.errors import UserError
from mixpe.synth.liberty import Library, read_library
from verif.libraries.few import (
    BUF,
    DFF,
    HEAD,
    INV,
    ISOLATION,
    LATCH,
    LIBRARY,
    LOGIC,
    NAND,
    NOR,
    REGISTER,
    XOR,
    gate,
    library_of,
)


@pytest.fixture
def few(tmp_path: Path) -> Library:
    return library_of(tmp_path, LIBRARY)


def test_library_scan(few: Library) -> None:
    kinds = {cell.name: (cell.kind, cell.area, cell.usable) for cell in few.cells.values()}
    assert kinds == {
        "INV": ("logic", INV, True),
        "BUF": ("logic", BUF, True),
        "NAND2": ("logic", NAND, True),
        "NOR2": ("logic", NOR, True),
        "XOR2": ("logic", XOR, True),
        "ISO": ("logic", 0.5, False),
        "LAT": ("latch", 6.0, True),
        "DFF": ("register", DFF, True),
    }
    assert few.corner == "typical"
    assert few.unusable == ["ISO"]
    file = few.files[0]
    assert (file.library, file.voltage, file.temperature) == ("few", 1.2, 25.0)


def test_braces_in_strings_close_nothing(tmp_path: Path, few: Library) -> None:
    assert library_of(tmp_path, LIBRARY.replace("a string", "a string {")).cells == few.cells


def test_gzipped_and_plain_agree(tmp_path: Path, few: Library) -> None:
    source = tmp_path / "few.lib.gz"
    source.write_bytes(gzip.compress(LIBRARY.encode()))
    zipped = read_library("few", [source], tmp_path / "unzipped")
    assert zipped.cells == few.cells
    assert zipped.paths[0].read_text() == LIBRARY


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "few.lib cannot be read: No such file"),
        (b"", "not a Liberty file"),
        (bytes(range(256)) * 20, "not a Liberty file"),
        (b"module t(); endmodule", "not a Liberty file"),
        (LIBRARY[:-40].encode(), "truncated or damaged: it opens [0-9]+ groups, closes [0-9]+"),
        (gzip.compress(LIBRARY.encode())[:-20], "truncated or damaged"),
        (gzip.compress(LIBRARY.encode())[:40] + bytes(100), "truncated or damaged"),
        ((HEAD + LOGIC + LATCH + "}").encode(), "few has no flip-flop"),
        ((HEAD + REGISTER + ISOLATION + "}").encode(), "few has no logic cell"),
        ((HEAD + LOGIC + "}").encode(), "few has no flip-flop"),
        (
            LIBRARY.replace(f"area : {XOR}", "area : big").encode(),
            "area of cell XOR2 must be a number from 0 up, not 'big'",
        ),
        *[
            (
                LIBRARY.replace(f"area : {XOR}", f"area : {area}").encode(),
                f"area of cell XOR2 must be a number from 0 up, not '{area}'",
            )
            for area in ("nan", "inf", "-1", "1e999", "")
        ],
        (
            LIBRARY.replace("capacitance : 0.001", "capacitance : nan", 1).encode(),
            "capacitance of cell INV must be a number from 0 up, not 'nan'",
        ),
        (
            LIBRARY.replace(
                "  cell (DFF) {", '  cell (DFF) { t () { values ("0.1, 0.2", \\\n "-INF, 1"); }'
            ).encode(),
            "values of cell DFF must be finite, not inf",
        ),
        (b"library (x) { }", "must have a cell: it has none"),
        (
            LIBRARY.replace("(NOR2)", '("a; exec ls")').encode(),
            "a cell's name must be a letter, .* not 'a; exec ls'",
        ),
        (LIBRARY.replace("(NOR2)", "()").encode(), "a cell's name must be a letter, .* not ''"),
        (LIBRARY.replace("(NOR2)", "(INV)").encode(), "cell INV is in .*few.lib twice"),
        (LIBRARY.replace("few", "f\0w").encode(), "not a Liberty file"),
    ],
)
def test_bad_library(tmp_path: Path, content: bytes | None, message: str) -> None:
    source = tmp_path / "few.lib"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read_library("few", [source], tmp_path / "liberty")
    assert "\n" not in str(error.value)
    assert str(source) in str(error.value)


def test_cell_in_two_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cell INV is in both .*few0.lib and .*few1.lib"):
        library_of(tmp_path, LIBRARY, HEAD + gate("INV", INV, "!A") + "}")


def test_words_that_are_no_numbers(tmp_path: Path) -> None:
    """A pin or a net may be called what a number is: only values of numbers are looked at."""
    text = LIBRARY.replace(
        "  cell (DFF) {", '  cell (DFF) { pin (nan) { related_pin : "inf"; comment : "nan"; }'
    )
    assert "DFF" in library_of(tmp_path, text).cells
