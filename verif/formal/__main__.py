"""Proves a design, and prints what came of each property."""

import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from mixpe.gen.configurations import load_design
from mixpe.spec.errors import UserError

from .designs import SMALL, proofs
from .engine import Graph, Result


@click.command()
@click.argument("configuration", required=False)
@click.option("--only", multiple=True, metavar="PROOF", help="Run this proof; may be given several times.")
@click.option(
    "--seconds", default=60, type=click.IntRange(min=1), show_default=True, help="Limit of a solver."
)
def main(configuration: str | None, only: tuple[str, ...], seconds: int) -> None:
    """Prove CONFIGURATION, a packaged name or a TOML file; without one, a small core.

    Exits with status 1 if a property is broken, or is not proved for good.
    """
    try:
        results = _prove(configuration, only, seconds)
    except UserError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)
    bad = [result for result in results if not result.good]
    print(f"{len(results) - len(bad)} of {len(results)} hold for good or are reached")
    sys.exit(1 if bad else 0)


def _prove(configuration: str | None, only: tuple[str, ...], seconds: int) -> list[Result]:
    design = load_design(configuration) if configuration else SMALL
    makers = proofs(design)
    for name in only:
        if name not in makers:
            raise UserError(f"proof must be one of {', '.join(makers)}, not {name!r}")
    console, results = Console(), []
    for name in only or makers:
        with tempfile.TemporaryDirectory() as folder:
            found = list(Graph(makers[name], Path(folder)).solve(seconds))
        console.print(_table(name, found))
        results += found
    return results


def _table(name: str, results: list[Result]) -> Table:
    table = Table("property", "result", "cycles", "engine", "seconds", title=name, title_justify="left")
    for each in results:
        cycles = str(each.cycles) if each.cycles else ""
        table.add_row(each.name, each.verdict, cycles, each.engine, f"{each.seconds:.2f}")
    return table


if __name__ == "__main__":
    main()
