"""The `mixpe` command: parses, calls, prints."""

import sys
from importlib import import_module
from typing import NoReturn

import click

from ..spec.errors import UserError
from .options import HELP, config_help


class Commands(click.Group):
    """The commands: each in the module of its name, imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["verilog", "synth", "ppa", "demo", "matmul", "llm", "perplexity", "bench"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        return getattr(import_module(f".{cmd_name}", __package__), cmd_name)


@click.command(
    cls=Commands,
    no_args_is_help=False,  # a missing command is one line too
    epilog=config_help(),
    context_settings=HELP,
)
@click.version_option(package_name="mixpe", message="%(prog)s %(version)s")
def cli() -> None:
    """Generate, prove and measure hardware for mixed-precision matrix multiplication."""


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
