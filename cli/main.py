"""The `mixpe` command: parses, calls, prints."""

import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from ..spec.errors import UserError
from .extras import advice
from .options import CONFIG_HELP, HELP

COMMANDS = {
    "configs": "List the named configurations.",
    "verilog": "Write a design's Verilog, manifest and testbench.",
    "estimate": "Tell cycles and bytes of matrix products on cores, by formulas alone.",
    "synth": "Count a design's cells and area with Yosys.",
    "ppa": "Measure area, delay and energy of designs and baselines.",
    "demo": "Run layers of a language model through the Verilog.",
    "matmul": "Multiply on a simulated core: cycles and roofline.",
    "llm": "Generate text with a language model on a simulated core.",
    "perplexity": "Measure what quantization costs a language model.",
    "bench": "Time the golden model and the fast simulation.",
}
"""What each does, in a line: the help must not import them all, nor need what they need."""


class Commands(click.Group):
    """The commands: each in the module of its name, imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        ctx.obj = cmd_name
        return getattr(import_module(f".{cmd_name}", __package__), cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            if (text := advice(ctx.obj, error)) is None:
                raise
            raise UserError(text) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=Commands,
    no_args_is_help=False,  # a missing command is one line too
    epilog=f"{CONFIG_HELP} `mixpe COMMAND --help` explains a command and its options.",
    context_settings=HELP,
)
@click.version_option(package_name="mixpe", message="%(prog)s %(version)s")
def cli() -> None:
    """Generate, prove and measure hardware for mixed-precision matrix multiplication.

    \b
    Type first:
      mixpe configs                which designs there are
      mixpe verilog                write the default array's Verilog and testbench to build/
      mixpe estimate 1x4096x4096   which core suits decoding: cycles, bytes, what bounds it
    """


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
