"""docs/first_array.md, done as a new user does it: files written, commands typed, outputs compared."""

import pytest

from verif.harness.pages import blocks, page, play, states

PAGE = page("docs/first_array.md")


def test_page(tmp_path):
    """Every command succeeds and prints what the page states."""
    outputs = list(play(PAGE, tmp_path))
    assert len(outputs) == sum(block.language == "text" for block in blocks(PAGE)) >= 5
    for stated, printed in outputs:
        assert states(stated, printed), f"the page states\n{stated}\nand this was printed\n{printed}"


def test_files_are_named_in_the_text():
    """A reader sees the name of each file above it, which the opening line of a block does not show."""
    for block in blocks(PAGE):
        if block.file:
            assert f"`{block.file}`:\n\n```{block.language} {block.file}\n" in PAGE


@pytest.mark.parametrize(
    ("stated", "printed", "same"),
    [
        ("a\n", "a\n", True),
        ("a\n", "a\nb\n", False),
        ("a\n...\n", "a\nb\nc\n", True),
        ("...\nc\n", "a\nb\n", False),
        ("a\n", "", False),
    ],
)
def test_comparison(stated, printed, same):
    assert states(stated, printed) is same
