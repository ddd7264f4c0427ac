"""The group of the commands, each imported when it is called."""

from importlib import import_module
from typing import Any

import click

from ..spec.errors import UserError
from ..support.interrupts import Interrupts
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


_NAME = f"{__name__}.command"
"""Where a context holds the name of the command."""


class Commands(click.Group):
    """The commands: each in the module of its name, imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        ctx.meta[_NAME] = cmd_name
        command = getattr(import_module(f".{cmd_name}", __package__), cmd_name)
        if isinstance(ctx.obj, Interrupts):
            ctx.obj.at_once = False
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            if (text := advice(ctx.meta[_NAME], error)) is None:
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
