"""`mixpe verilog`: a configuration becomes Verilog."""

from pathlib import Path

import click

from ..gen.write import write_design
from ..spec.array import Config
from ..spec.core import CoreConfig
from .options import CONFIG_HELP, HELP, DesignCommand, config_options, out_dir_option

_SCHEME_HELP = "The scheme of an array is integer if act-format is int, else what fp-scheme says."


@click.command(cls=DesignCommand, context_settings=HELP, epilog=f"{CONFIG_HELP} {_SCHEME_HELP}")
@config_options
@out_dir_option
def verilog(config: Config | CoreConfig, out_dir: Path | None) -> None:
    """Write a design's Verilog, its manifest and what helps to place it.

    Beside the Verilog come an instance template and a SystemVerilog package of the payloads' structs; with an
    array a self-checking testbench, with an accelerator core that has registers their C header.
    """
    for path in write_design(config, out_dir).paths:
        click.echo(path)
