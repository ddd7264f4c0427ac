"""`mixpe verilog`: a configuration becomes Verilog."""

from pathlib import Path

import click

from ..gen.write import write_design
from ..hw.config import Config
from .options import HELP, config_help, config_options, out_dir_option


@click.command(context_settings=HELP, epilog=config_help())
@config_options
@out_dir_option
def verilog(config: Config, out_dir: Path | None) -> None:
    """Write an array's Verilog, its manifest and a self-checking testbench."""
    design = write_design(config, out_dir)
    for path in (design.verilog, design.manifest, design.testbench):
        click.echo(path)
