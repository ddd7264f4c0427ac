"""`mixpe configs`: the packaged configurations, a line each."""

import click

from ..gen.configurations import load_design, named_configurations, named_cores, summary
from ..spec.core import CoreConfig
from .options import HELP


@click.command(context_settings=HELP)
def configs() -> None:
    """List the named configurations: arrays, then cores, with rows x columns, group size and a line each.

    Each is the TOML file of its name in the package's folder gen/configs. A file of your own has the same
    keys, which `mixpe verilog --help` explains.
    """
    arrays, cores = named_configurations(), named_cores()
    width = max(map(len, [*arrays, *cores]))
    for title, names in (("Arrays", arrays), ("Cores: an array behind a bus", cores)):
        click.echo(title)
        for name in names:
            click.echo(f"  {name:{width}}  {_shape(name):14}  {summary(name)}")


def _shape(name: str) -> str:
    """Rows x columns and group size."""
    design = load_design(name)
    array = design.array if isinstance(design, CoreConfig) else design
    return f"{array.rows}x{array.cols}, g{array.group}"
