"""The `mixpe` command: parses, calls, prints."""

import sys
from typing import NoReturn

import click

from ..hw.errors import UserError
from .bench import bench
from .demo import demo
from .options import config_help
from .synth import synth
from .verilog import verilog


@click.group(
    no_args_is_help=False,  # a missing command is one line too
    epilog=config_help(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="mixpe", message="%(prog)s %(version)s")
def cli() -> None:
    """Generate, prove and measure hardware for mixed-precision matrix multiplication."""


for command in (verilog, synth, demo, bench):
    cli.add_command(command)


def main() -> None:
    """Runs the command line: a user's mistake is one line and exit status 2."""
    try:
        status = cli.main(prog_name="mixpe", standalone_mode=False)
    except click.ClickException as error:
        _fail(error.format_message())
    except UserError as error:
        _fail(str(error))
    except (click.Abort, KeyboardInterrupt):
        click.echo("mixpe: interrupted", err=True)
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str) -> NoReturn:
    click.echo(f"mixpe: error: {' '.join(message.split())}", err=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
