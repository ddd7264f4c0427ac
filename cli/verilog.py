"""`mixpe verilog`: a configuration becomes Verilog."""

from pathlib import Path

import click

from ..gen.write import write_design
from ..spec.array import Config
from ..spec.core import CoreConfig
from .options import HELP, config_help, config_options, out_dir_option


@click.command(context_settings=HELP, epilog=config_help())
@config_options
@out_dir_option
def verilog(config: Config | CoreConfig, out_dir: Path | None) -> None:
    """Write a design's Verilog and its manifest.

    Of an array, a self-checking testbench too; of an accelerator core with registers, their C header.
    """
    for path in write_design(config, out_dir).paths:
        click.echo(path)
