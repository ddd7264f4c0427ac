"""Plots of `mixpe ppa`: area against delay, energy, and area by parts. Same records, same files."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...spec.errors import UserError
from ...support.folders import temporary_folder
from ..jobs.cache import digest, file_hash
from ..record import Record, to_values
from .conditions import corner
from .points import DEFAULT, OperatingPoint, by, by_design, by_library
from .text import number, slug

if TYPE_CHECKING:  # its import takes a second: only where something is drawn
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

Format = Literal["svg", "png"]

# Okabe and Ito's colours, which also the colour-blind tell apart; yellow is too light for lines.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "osD^vPX*<>hp"

_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "mixpe",
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 9,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}

_KINDS = {"pe": "PEs", "array": "arrays"}


def draw(
    records: Sequence[Record], folder: Path, form: Format = "svg", point: OperatingPoint = DEFAULT
) -> list[Path]:
    """Writes the plots of every library and kind of design into `folder`; returns their paths.

    `area-delay_<kind>_<library>`: a line for each design over its points. `energy_...`, `area_...`: bars,
    stacked by part, of each design at the operating point `point`.

    Every file names the hash of what it shows; one that is there already is not drawn again.

    Raises `UserError` where the system refuses a file.
    """
    paths = []
    for library, found in by_library(records).items():
        for kind, mine in by(found, lambda record: record.kind).items():
            state = digest(
                [to_values(record) for record in mine],
                point.label,
                file_hash(Path(__file__)),
                version("matplotlib"),
            )
            for name in _PLOTS:
                path = folder / f"{name}_{kind}_{slug(library)}.{form}"
                if not _shows(path, state):
                    title = f"{_KINDS.get(kind, kind)}, {library} ({corner(mine[0])})"
                    _draw(name, mine, title, path, state, point)
                paths.append(path)
    return paths


def _shows(path: Path, state: str) -> bool:
    with contextlib.suppress(OSError):
        return state.encode() in path.read_bytes()
    return False


def _draw(
    name: str, records: Sequence[Record], title: str, path: Path, state: str, point: OperatingPoint
) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    bars = 0.32 * len({record.design for record in records}) + 1.6
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8, 4.6 if name == "area-delay" else bars), layout="constrained")
        _PLOTS[name](figure.add_subplot(), records, title, point)
        _save(figure, path, state)


def _area_delay(axes: "Axes", records: Sequence[Record], title: str, _point: OperatingPoint) -> None:
    for turn, (name, found) in enumerate(by_design(records).items()):
        curve = sorted(found, key=lambda point: (point.min_period_ns, point.area_per_mac_um2))
        axes.plot(
            [point.min_period_ns for point in curve],
            [point.area_per_mac_um2 for point in curve],
            label=name,
            color=_COLOURS[turn % len(_COLOURS)],
            marker=_MARKERS[turn % len(_MARKERS)],
            markersize=4.5,
            linewidth=1.2,
            linestyle="--" if curve[0].role == "baseline" else "-",
        )
    axes.set(xscale="log", yscale="log", xlabel="least period (ns)", ylabel="area per MAC (um²)")
    _mark(axes.xaxis, [record.min_period_ns for record in records])
    _mark(axes.yaxis, [record.area_per_mac_um2 for record in records])
    axes.set_title(f"Area against delay: {title}; dashed: baselines", loc="left")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)


def _mark(axis: "Axis", values: Sequence[float]) -> None:
    """Writes plain numbers along a logarithmic axis, also where it spans less than a decade."""
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    wide = max(values) > 6 * min(values)
    steps = (1, 2, 5) if wide else (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)
    axis.set_major_locator(LogLocator(subs=steps, numticks=99))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())


def _energy(axes: "Axes", records: Sequence[Record], title: str, point: OperatingPoint) -> None:
    bars = {name: chosen.energy_breakdown_pj for name, chosen in _chosen(records, point)}
    _stacked(axes, bars, "energy per MAC (pJ)", f"Energy, {point.label}: {title}")


def _area(axes: "Axes", records: Sequence[Record], title: str, point: OperatingPoint) -> None:
    bars = {}
    for name, chosen in _chosen(records, point):
        parts = {
            "registers": chosen.area_registers_um2,
            "clock gates": chosen.area_clock_gates_um2,
            "adders": chosen.area_adders_um2,
            "other logic": chosen.area_logic_um2,
        }
        if chosen.kind == "array":
            parts = chosen.area_breakdown_um2
        macs = chosen.macs_per_cycle
        bars[name] = {part: area / macs for part, area in parts.items()}
    _stacked(axes, bars, "area per MAC (um²)", f"Area, {point.label}: {title}")


def _chosen(records: Sequence[Record], point: OperatingPoint) -> Iterator[tuple[str, Record]]:
    for name, found in by_design(records).items():
        if chosen := point.choose(found):
            yield name, chosen


def _stacked(axes: "Axes", bars: dict[str, dict[str, float]], label: str, title: str) -> None:
    """Draws a horizontal bar for each design, the first on top, with its sum at the end."""
    names = list(bars)
    ends = [0.0] * len(names)
    for turn, part in enumerate(dict.fromkeys(part for parts in bars.values() for part in parts)):
        widths = [parts.get(part, 0.0) for parts in bars.values()]
        colour = _COLOURS[turn % len(_COLOURS)]
        hatch = "" if turn < len(_COLOURS) else "///"
        axes.barh(names, widths, left=ends, label=part, color=colour, hatch=hatch, height=0.7)
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    for place, end in enumerate(ends):
        axes.annotate(number(end), (end, place), (3, 0), textcoords="offset points", va="center", fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(label)
    axes.set_title(title, loc="left")
    if ends:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)


_PLOTS: dict[str, Callable[["Axes", Sequence[Record], str, OperatingPoint], None]] = {
    "area-delay": _area_delay,
    "energy": _energy,
    "area": _area,
}


def _save(figure: "Figure", path: Path, state: str) -> None:
    """Writes aside first, then renames."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(".plot-", path.parent) as folder:
            aside = folder / path.name
            undated = {"Date": None} if path.suffix == ".svg" else {}
            figure.savefig(aside, dpi=150, metadata={"Description": f"mixpe {state}", **undated})
            os.replace(aside, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None
