"""`mixpe ppa`: area, delay and energy of PEs and arrays."""

import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from ..gen.configurations import load_config
from ..ppa.cache import default_folder
from ..ppa.jobs import Interrupted, Job, run_jobs
from ..ppa.jobs import Progress as Tell
from ..ppa.report import readme as readme_file
from ..ppa.report.markdown import markdown, to_json
from ..ppa.report.summary import summary
from ..spec.errors import UserError
from ..support.data import LIBRARIES, find_library, folders
from ..support.files import write_file
from .options import HELP


@click.command(context_settings=HELP)
@click.option("--quick", is_flag=True, help="Only PEs, one of each datapath, and the first library found.")
@click.option("--design", "names", multiple=True, metavar="NAME", help="Only this design; repeatable.")
@click.option(
    "--config",
    "configs",
    multiple=True,
    metavar="CONFIG",
    help="Element and array of this configuration, a name or a TOML file; repeatable.",
)
@click.option(
    "--lib",
    "libs",
    multiple=True,
    metavar="NAME|PATH",
    help="Cell library: sky130hd, sg13g2, asap7, or a Liberty file; repeatable [those in the data folder].",
)
@click.option(
    "--target-ns",
    "targets",
    type=float,
    multiple=True,
    metavar="NS",
    help="Period to synthesize for, besides for area; repeatable [0.75 and 0.5 of the period at least area].",
)
@click.option(
    "--out-dir",
    type=click.Path(path_type=Path),
    default=Path("build/ppa"),
    show_default=True,
    help="Folder of the files.",
)
@click.option(
    "--jobs", "workers", type=click.IntRange(min=1), metavar="N", help="Designs measured at a time [cores]."
)
@click.option("--no-cache", is_flag=True, help="Measure everything anew, and keep nothing.")
@click.option("--png", is_flag=True, help="Write the plots as PNG, not SVG.")
@click.option("--list", "list_only", is_flag=True, help="List the designs and end.")
@click.option(
    "--readme",
    type=click.Path(path_type=Path),
    help=f"Replace what this Markdown file has between {readme_file.BEGIN} and {readme_file.END}.",
)
def ppa(
    quick: bool,
    names: tuple[str, ...],
    configs: tuple[str, ...],
    libs: tuple[str, ...],
    targets: tuple[float, ...],
    out_dir: Path,
    workers: int | None,
    no_cache: bool,
    png: bool,
    list_only: bool,
    readme: Path | None,
) -> None:
    """Measure area, delay and energy of PEs and arrays; write ppa.json, ppa.md and plots.

    Measurements are cached: a repeated run takes seconds, an interrupted one goes on where it was.
    """
    if list_only:
        Console(width=max(Console().width, 100)).print(_listing())
        return
    chosen = _designs(names, configs, quick)
    points = _targets(targets)
    if readme:
        readme_file.check(readme)
    _check_folder(out_dir)
    libraries = _libraries(libs, quick)
    from ..ppa.designs import job

    jobs = [job(design, name, sources, points) for name, sources in libraries.items() for design in chosen]
    try:
        with _shown(len(jobs)) as tell:
            cache = None if no_cache else default_folder()
            results = run_jobs(jobs, _measure, cache=cache, workers=workers or _cores(), progress=tell)
    except Interrupted as interrupt:
        kept = "nothing is kept (--no-cache)" if no_cache else "the same command goes on from there"
        click.echo(f"mixpe: interrupted, {interrupt.done} of {interrupt.total} measured: {kept}", err=True)
        sys.exit(130)
    _write([record for records in results for record in records], out_dir, png, readme)


def _measure(job: Job) -> list[dict[str, Any]]:
    from ..ppa.measure import measure

    return measure(job)


def _write(records: list[dict[str, Any]], out_dir: Path, png: bool, readme: Path | None) -> None:
    from ..ppa.report.plots import draw

    plots = draw(records, out_dir / "plots", "png" if png else "svg")
    text = markdown(records, [path.relative_to(out_dir) for path in plots])
    paths = [write_file(out_dir / "ppa.json", to_json(records)), write_file(out_dir / "ppa.md", text), *plots]
    if readme:
        paths.append(readme_file.update(readme, records))
    # A narrow terminal would cut off digits.
    Console(width=max(Console().width, 100)).print(summary(records))
    for path in paths:
        click.echo(f"wrote {path}")


def _listing() -> Table:
    from ..ppa.designs import DESIGNS, QUICK

    table = Table("design", "kind", "role", "quick", "what it is", box=None, padding=(0, 2, 0, 0))
    for design in DESIGNS.values():
        quick = "yes" if design.name in QUICK else ""
        table.add_row(*map(Text, (design.name, design.kind, design.role, quick, design.title)))
    return table


def _designs(names: Sequence[str], configs: Sequence[str], quick: bool) -> list[Any]:
    """The designs of these names in the order of the list, and those of the configurations.

    Without either, all designs of the list, or the quick ones.
    """
    from ..ppa.designs import DESIGNS, QUICK, own

    for name in names:
        if name not in DESIGNS:
            raise UserError(f"--design must be one of {', '.join(DESIGNS)}, not {name!r}")
    wanted = names or (() if configs else QUICK if quick else tuple(DESIGNS))
    chosen = [design for name, design in DESIGNS.items() if name in wanted]
    return chosen + [design for config in configs for design in own(load_config(config))]


def _targets(targets: Sequence[float]) -> tuple[float | None, ...] | None:
    """Points for every library: for area first, then from slow to fast. None: the design's own choice."""
    for target in targets:
        if not 0 < target < math.inf:
            raise UserError(f"--target-ns must be a number of ns above 0, not {target:g}")
    return (None, *sorted(set(targets), reverse=True)) if targets else None


def _libraries(libs: Sequence[str], quick: bool) -> dict[str, tuple[Path, ...]]:
    """The Liberty files of each library by its name in reports.

    Without `libs`, those whose files are in the data folder, or, if there are none, what can be downloaded.
    """
    wanted = list(libs) or [name for name in LIBRARIES if _is_here(name)] or list(LIBRARIES)
    found: dict[str, tuple[Path, ...]] = {}
    for lib in wanted[:1] if quick and not libs else dict.fromkeys(wanted):
        name = Path(lib).name.removesuffix(".gz").removesuffix(".lib")
        if name in found:
            raise UserError(f"--lib: two libraries are called {name}")
        found[name] = tuple(find_library(lib))
    return found


def _is_here(library: str) -> bool:
    return all(any((folder / file).is_file() for folder in folders()) for file in LIBRARIES[library])


def _check_folder(folder: Path) -> None:
    """Refuses an output folder before the work, not after it."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise UserError(f"cannot write {folder}: {there} is not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"cannot write {folder}: Permission denied")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _shown(total: int) -> Iterator[Tell]:
    """Shows on the standard error what is under way: a bar on a terminal, else a line for every change."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield (
            lambda done, total, jobs: click.echo(f"{done}/{total} {_named(jobs)}", err=True) if jobs else None
        )
        return
    named = Column(no_wrap=True, overflow="ellipsis", ratio=1)
    columns = (
        *(BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn()),
        TextColumn("{task.description}", markup=False, table_column=named),
    )
    with Progress(*columns, console=console, transient=True, expand=True) as progress:
        task = progress.add_task("reading the cache", total=total)
        yield lambda done, _, jobs: progress.update(task, completed=done, description=_named(jobs))


def _named(jobs: Sequence[Job]) -> str:
    return ", ".join(job.title for job in jobs)
