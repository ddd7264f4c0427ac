"""`mixpe synth`: cells and area of a design."""

from pathlib import Path

import click
from rich.console import Console

from ..gen.write import write_design
from ..spec.array import Config
from ..spec.core import CoreConfig
from ..support.data import find_library
from ..support.files import write_file
from ..support.folders import temporary_folder
from ..synth.flow import Recipe, synthesize
from ..synth.liberty import read_library
from ..synth.parts import parts
from ..synth.report import records, table, to_json
from ..synth.yosys import require_yosys
from .options import HELP, DesignCommand, clock_gates_option, config_options, out_dir_option


@click.command(cls=DesignCommand, context_settings=HELP)
@config_options
@click.option(
    "--lib",
    metavar="NAME|PATH",
    default=None,
    help="Cell library: sky130hd, sg13g2, asap7, or a Liberty file, gzipped or not [generic gates].",
)
@click.option("--flatten", is_flag=True, help="Synthesize every module alone, with all below it dissolved.")
@click.option(
    "--booth/--no-booth", default=True, help="Multiply by Yosys's Booth or default multipliers [--booth]."
)
@clock_gates_option
@out_dir_option
def synth(
    config: Config | CoreConfig,
    lib: str | None,
    flatten: bool,
    booth: bool,
    clock_gates: bool,
    out_dir: Path | None,
) -> None:
    """Count cells and area of a design's modules with Yosys; write synth.json.

    The column `all per MAC` is what all instances of a module take together for each product per cycle:
    the elements' share of an array, its dequantizers' share, and so on.

    On-chip memories of a core are listed with their sizes: a chip takes them from a memory compiler, so they
    count as no cells and no area.
    """
    require_yosys()
    recipe = Recipe(flatten=flatten, booth=booth, clock_gates=clock_gates)
    out_dir = out_dir or Path("build") / config.name
    with temporary_folder("mixpe-synth-") as folder:
        library = read_library(_library_name(lib), find_library(lib), folder / "liberty") if lib else None
        with Console(stderr=True).status(f"{config.name}: writing Verilog") as status:
            design = write_design(config, out_dir)
            (out_dir / "synth.json").unlink(missing_ok=True)  # it speaks of an earlier Verilog
            synthesis = synthesize(
                design.verilog,
                config.name,
                [part.module for part in parts(config)],
                folder,
                out_dir / "synth.log",
                library=library,
                recipe=recipe,
                progress=lambda step: status.update(f"{config.name}: Yosys, {step}"),
            )
    found = records(config, synthesis, library, recipe)
    path = write_file(out_dir / "synth.json", to_json(found))
    # A narrow terminal would cut off digits.
    Console(width=max(Console().width, 100), markup=False, emoji=False).print(table(found))
    click.echo(f"wrote {path}")


def _library_name(lib: str) -> str:
    return Path(lib).name.removesuffix(".gz").removesuffix(".lib")
