"""Sample designs, and a reader of the generated Verilog, for the tests of the generator."""

import re
from functools import cache

from mixpe.gen.write import design_verilog
from mixpe.spec.array import Config

LARGE = Config(rows=128, cols=128)
EVERYTHING = Config(
    name="everything",
    weight_signed=False,
    zero_point=True,
    weight_bits=3,
    act_bits=5,
    group=6,
    rows=3,
    cols=2,
    lanes=4,
    datapath="multiplier",
    out_format="bf16",
    token_scale=True,
)
SMALL = {
    "1x1": Config(rows=1, cols=1, group=1),
    "3x5": Config(rows=3, cols=5, group=9),
    "5x2, unsigned": Config(rows=5, cols=2, group=8, weight_signed=False, out_format="fp16"),
    "2x3, aligned": Config(
        rows=2, cols=3, group=6, lanes=2, act_format="bf16", align_bits=9, zero_point=True
    ),
    "everything": EVERYTHING,
}


@cache
def verilog(config: Config) -> str:
    return design_verilog(config)


def modules(text: str) -> dict[str, str]:
    """Returns the texts of modules by their names."""
    found = re.findall(r"^module (\w+)\(.*?^endmodule$", text, re.DOTALL | re.MULTILINE)
    assert len(found) == len(set(found)) == len(re.findall(r"\bmodule\b", text))
    bodies = re.finditer(r"^module (\w+)\(.*?^endmodule$", text, re.DOTALL | re.MULTILINE)
    return {body[1]: body[0] for body in bodies}


def ports(module: str) -> dict[str, tuple[str, int]]:
    """Returns direction and width of a module's ports by name."""
    found = re.findall(r"^  (input|output)(?: \[(\d+):0\])? (\w+);$", module, re.MULTILINE)
    return {name: (direction, int(msb or 0) + 1) for direction, msb, name in found}


def instances(module: str) -> list[tuple[str, str, set[str]]]:
    """Returns module, name and connected ports of every instance."""
    found = re.findall(r"^  (\w+) (\w+) \(\n(.*?)^  \);$", module, re.DOTALL | re.MULTILINE)
    return [
        (kind, name, set(re.findall(r"^    \.(\w+)\(", text, re.MULTILINE))) for kind, name, text in found
    ]
