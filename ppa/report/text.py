"""Numbers and tables as text."""

from collections.abc import Iterable, Sequence


def number(value: float | None) -> str:
    """Returns three or four digits: areas run from 30 to millions, energies from 0.01. None gives a dash."""
    if value is None:
        return "-"
    if value == 0 or isinstance(value, int):
        return f"{value:,}"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 100 else f"{value:.2f}" if size >= 1 else f"{value:#.3g}"


def times(value: float | None) -> str:
    """Returns a ratio, such as "2.29x"; None gives a dash."""
    return "-" if value is None else f"{value:.2f}x"


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1) -> str:
    """Returns a Markdown table; columns after the first `text_columns` are numbers, to the right."""
    rules = [":--" if column < text_columns else "--:" for column in range(len(headings))]
    cells = ([cell.replace("|", "\\|") for cell in row] for row in (headings, rules, *rows))
    return "".join("| " + " | ".join(row) + " |\n" for row in cells)


def slug(library: str) -> str:
    """Returns a library's name as part of a file's name."""
    return "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in library)
