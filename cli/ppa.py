"""`mixpe ppa`: area, delay and energy of PEs, arrays and cores."""

import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from ..gen.configurations import load_design
from ..ppa.jobs.cache import default_folder
from ..ppa.jobs.job import Job
from ..ppa.jobs.run import Interrupted, run_jobs
from ..ppa.jobs.run import Progress as Tell
from ..ppa.record import AnyRecord, from_values, to_json, to_values
from ..ppa.report import readme as readme_file
from ..ppa.report.markdown import markdown
from ..ppa.report.paper import csv_table, latex_table
from ..ppa.report.points import DEFAULT, OperatingPoint, split
from ..ppa.report.table import View
from ..ppa.report.terminal import summary
from ..spec.array import Config
from ..spec.core import CoreConfig
from ..spec.errors import UserError
from ..support.data import LIBRARIES, find_library, folders
from ..support.files import check_folder, check_place, write_file
from .options import HELP, clock_gates_option, config_options

if TYPE_CHECKING:  # Amaranth takes a second to import
    from ..ppa.designs import AnyDesign


def own_design_options(command: Callable) -> Callable:
    """Gives `command` the CONFIG argument and its fields' options, as `config`; None if none is given."""

    @config_options
    @wraps(command)
    def with_own(config: Config | CoreConfig, **options: Any):
        context = click.get_current_context()
        asked = any(
            context.get_parameter_source(name) is ParameterSource.COMMANDLINE
            for name in context.params.keys() - options.keys()
        )
        return command(config=config if asked else None, **options)

    return with_own


_PATH = click.Path(path_type=Path)


@click.command(context_settings=HELP)
@own_design_options
@click.option("--quick", is_flag=True, help="Only PEs, one of each datapath, and the first library found.")
@click.option("--design", "names", multiple=True, metavar="NAME", help="Only this design; repeatable.")
@click.option(
    "--config",
    "configs",
    multiple=True,
    metavar="CONFIG",
    help="Element and array of this configuration, a name or a TOML file, like CONFIG; repeatable.",
)
@click.option(
    "--competitor",
    "competitors",
    multiple=True,
    metavar="FILE.toml|MODULE:CLASS",
    help="An element from outside: Verilog that a TOML file describes, or a class; repeatable.",
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
    "--point",
    default=DEFAULT.aim.value,
    show_default=True,
    metavar="POINT",
    help="Point of each design in all tables: product (of area, delay and energy), area, period, or the "
    "least area at so many ns.",
)
@click.option(
    "--baseline",
    default="",
    metavar="DESIGN",
    help="Design that ratios are to [the best INT8 PE that is measured].",
)
@click.option(
    "--out-dir", type=_PATH, default=Path("build/ppa"), show_default=True, help="Folder of the files."
)
@click.option("--csv", "csv_file", type=_PATH, metavar="FILE", help="Write the table as CSV too.")
@click.option("--latex", "latex_file", type=_PATH, metavar="FILE", help="Write the table as LaTeX too.")
@click.option(
    "--jobs",
    "workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Designs measured at a time [cores; with --scheduler, threads of its workers].",
)
@click.option(
    "--scheduler",
    default="",
    metavar="ADDRESS",
    help="Measure on the workers of this Dask scheduler, such as tcp://host:8786 or tls://host:8786.",
)
@clock_gates_option
@click.option("--no-cache", is_flag=True, help="Measure everything anew, and keep nothing.")
@click.option("--png", is_flag=True, help="Write the plots as PNG, not SVG.")
@click.option("--list", "list_only", is_flag=True, help="List the designs and end.")
@click.option(
    "--readme",
    type=_PATH,
    help=f"Replace what this Markdown file has between {readme_file.BEGIN} and {readme_file.END}.",
)
def ppa(
    config: Config | CoreConfig | None,
    quick: bool,
    names: tuple[str, ...],
    configs: tuple[str, ...],
    competitors: tuple[str, ...],
    libs: tuple[str, ...],
    targets: tuple[float, ...],
    point: str,
    baseline: str,
    out_dir: Path,
    csv_file: Path | None,
    latex_file: Path | None,
    workers: int | None,
    scheduler: str,
    clock_gates: bool,
    no_cache: bool,
    png: bool,
    list_only: bool,
    readme: Path | None,
) -> None:
    """Measure area, delay and energy of PEs, arrays and cores; write ppa.json, ppa.md and plots.

    Without CONFIG and without an option that names designs, all designs of the list are measured. With
    CONFIG, or an option that sets one of its fields, element and array of that configuration are; for a core,
    the area of its blocks too.

    Measurements are cached: a repeated run takes seconds, an interrupted one goes on where it was.
    """
    if list_only:
        Console(width=max(Console().width, 100)).print(_listing())
        return
    own = [load_design(each) for each in configs]
    chosen = _designs(names, own if config is None else [config, *own], competitors, quick)
    places = _Places(out_dir, "png" if png else "svg", csv_file, latex_file, readme)
    places.check()
    view = _view(point, baseline, [design.name for design in chosen])
    points = _targets(targets)
    libraries = _libraries(libs, quick)
    from ..ppa.designs import job

    jobs = [
        job(design, name, sources, points, clock_gates=clock_gates)
        for name, sources in libraries.items()
        for design in chosen
    ]
    try:
        with _shown(len(jobs)) as tell:
            results = run_jobs(
                jobs,
                _measure,
                source=_verilog,
                cache=None if no_cache else default_folder(),
                workers=workers if workers or scheduler else _cores(),
                scheduler=scheduler,
                progress=tell,
                note=lambda text: click.echo(f"mixpe: {text}", err=True),
            )
    except Interrupted as interrupt:
        kept = "nothing is kept (--no-cache)" if no_cache else "the same command goes on from there"
        click.echo(f"mixpe: interrupted, {interrupt.done} of {interrupt.total} measured: {kept}", err=True)
        sys.exit(130)
    places.write([from_values(each, "measurement") for found in results for each in found], view)


def _measure(job: Job) -> list[dict[str, Any]]:
    from ..ppa.measure import measure

    return [to_values(record) for record in measure(job)]


def _verilog(design: "AnyDesign") -> str:
    from ..ppa.elements import verilog

    return verilog(design)


@dataclass(frozen=True)
class _Places:
    """The files that are written; those of None are not."""

    out_dir: Path
    plot_format: Any
    csv_file: Path | None
    latex_file: Path | None
    readme: Path | None

    def check(self) -> None:
        """Refuses a place that cannot be written before the work, not after it."""
        check_folder(self.out_dir)
        for path in (self.csv_file, self.latex_file):
            if path:
                check_place(path)
        if self.readme:
            readme_file.check(self.readme)

    def write(self, records: list[AnyRecord], view: View) -> None:
        """Writes all files, then shows the tables and what was written."""
        from ..ppa.report.plots import draw

        measured, _ = split(records)
        plots = draw(measured, self.out_dir / "plots", self.plot_format, view.point)
        text = markdown(records, [path.relative_to(self.out_dir) for path in plots], view)
        paths = [
            write_file(self.out_dir / "ppa.json", to_json(records)),
            write_file(self.out_dir / "ppa.md", text),
            *plots,
        ]
        if self.csv_file:
            paths.append(write_file(self.csv_file, csv_table(measured, view)))
        if self.latex_file:
            paths.append(write_file(self.latex_file, latex_table(measured, view)))
        if self.readme:
            paths.append(readme_file.update(self.readme, measured, view))
        # A narrow terminal would cut off digits.
        Console(width=max(Console().width, 120), markup=False, emoji=False).print(summary(records, view))
        for path in paths:
            click.echo(f"wrote {path}")


def _listing() -> Table:
    from ..ppa.designs import DESIGNS, QUICK

    table = Table("design", "kind", "role", "quick", "what it is", box=None, padding=(0, 2, 0, 0))
    for design in DESIGNS.values():
        quick = "yes" if design.name in QUICK else ""
        table.add_row(*map(Text, (design.name, design.kind, design.role, quick, design.title)))
    return table


def _designs(
    names: Sequence[str], configs: Sequence[Config | CoreConfig], competitors: Sequence[str], quick: bool
) -> "list[AnyDesign]":
    """Returns the designs of these names in the order of the list, those of the configurations, competitors.

    Without any of them, all designs of the list, or the quick ones; with `quick`, those are there anyway
    beside configurations and competitors.
    """
    from ..ppa.designs import DESIGNS, QUICK, outside, own

    for name in names:
        if name not in DESIGNS:
            raise UserError(f"--design must be one of {', '.join(DESIGNS)}, not {name!r}")
    others = bool(configs or competitors)
    wanted = names or (QUICK if quick else () if others else tuple(DESIGNS))
    chosen: list[AnyDesign] = [design for name, design in DESIGNS.items() if name in wanted]
    chosen += {each.name: each for config in configs for each in own(config)}.values()
    if competitors:
        from ..ppa.competitors import load_competitors

        chosen += map(outside, load_competitors(competitors, [*DESIGNS, *(each.name for each in chosen)]))
    return chosen


def _view(point: str, baseline: str, names: Sequence[str]) -> View:
    if baseline and baseline not in names:
        raise UserError(
            f"--baseline must be one of the designs measured, {', '.join(names)}, not {baseline!r}"
        )
    return View(OperatingPoint.parse(point), baseline)


def _targets(targets: Sequence[float]) -> tuple[float | None, ...] | None:
    """Returns targets for every library: area first, then from slow to fast. None: the design's own."""
    for target in targets:
        if not 0 < target < math.inf:
            raise UserError(f"--target-ns must be a number of ns above 0, not {target:g}")
    return (None, *sorted(set(targets), reverse=True)) if targets else None


def _libraries(libs: Sequence[str], quick: bool) -> dict[str, tuple[Path, ...]]:
    """Returns the Liberty files of each library by its name in reports.

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
        BarColumn(20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False, table_column=named),
    )
    with Progress(*columns, console=console, transient=True, expand=True) as progress:
        task = progress.add_task("reading the cache", total=total)
        yield lambda done, _, jobs: progress.update(task, completed=done, description=_named(jobs))


def _named(jobs: Sequence[Job]) -> str:
    return ", ".join(job.title for job in jobs)
