"""Measures the area of an accelerator core by block, and what all records say of tools and files."""

from dataclasses import fields, is_dataclass, replace
from importlib.metadata import version
from typing import Any, TypeVar, cast

from ..gen.write import design_verilog
from ..support.folders import temporary_folder
from ..synth.flow import Recipe, synthesize
from ..synth.liberty import Library, read_library
from ..synth.parts import memory_bits, parts
from ..synth.sta import sta_version
from ..synth.yosys import yosys_version
from .designs import CoreDesign
from .jobs.job import Job
from .record import Block, CoreRecord, LibertySource, Tools

Held = TypeVar("Held")


def measure_core(design: CoreDesign, job: Job) -> CoreRecord:
    """Returns the area of every block of a core that is worth a line. Raises `UserError`."""
    with temporary_folder("mixpe-ppa-") as folder:
        library = read_library(job.library, job.sources, folder / "liberty")
        (folder / "source.v").write_text(design_verilog(design.config), encoding="utf-8")
        found = parts(design.config)
        synthesis = synthesize(
            folder / "source.v",
            design.name,
            [part.module for part in found],
            folder,
            folder / "yosys.log",
            library=library,
            recipe=Recipe(clock_gates=job.clock_gates),
        )
        blocks = []
        for part in found:
            if cells := synthesis.cells.get(part.module):
                count, area = synthesis.instances[part.module], cells.area or 0.0
                per_mac = part.area_per_mac(area, count)
                blocks.append(Block(part.title, count, area, per_mac, memory_bits(design.name, cells)))
        return rounded(
            CoreRecord(
                design=design.name,
                title=design.title,
                core=design.config,
                library=library.name,
                corner=library.corner,
                blocks=tuple(blocks),
                clock_gate=synthesis.clock_gate,
                tools=used_tools(),
                liberty_files=liberty_sources(library),
            )
        )


def used_tools() -> Tools:
    """Returns the versions of this package, Yosys and OpenSTA. Raises `UserError` without OpenSTA."""
    return Tools(mixpe=version("mixpe"), yosys=yosys_version(), opensta=sta_version())


def liberty_sources(library: Library) -> tuple[LibertySource, ...]:
    """Returns the names of a library's files, with their SHA-256."""
    return tuple(LibertySource(file.source.name, file.sha256) for file in library.files)


def rounded(value: Held) -> Held:
    """Returns `value` with six digits of every float in it: more say nothing, and differ between machines."""
    return cast(Held, _rounded(value))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: _rounded(own) for name, own in value.items()}
    if isinstance(value, tuple):
        return tuple(_rounded(own) for own in value)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {field.name: _rounded(getattr(value, field.name)) for field in fields(value)}
        return replace(value, **changed)
    return value
