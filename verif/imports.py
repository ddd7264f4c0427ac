"""Checks who may import whom: `python -m mixpe.verif.imports` in a source tree.

`LAW` lists what each room may import. General import linters know bans on third-party packages, not
such lists, and Ruff resolves no relative import that leaves a top-level folder; hence this check.
It reads every import statement, also those inside functions, and runs none.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "mixpe"

_DESCRIPTIONS = (
    *("mixpe.hw.formats", "mixpe.hw.float_forms", "mixpe.hw.fields", "mixpe.hw.config"),
    *("mixpe.hw.errors", "mixpe.hw.reserved"),
    *("mixpe.hw.layout", "mixpe.hw.core_config", "mixpe.hw.register_map"),
)

# What the modules of a room may import besides the standard library and their own room, as prefixes;
# None: anything. The first row that is a prefix of the module holds.
LAW: tuple[tuple[str, tuple[str, ...] | None], ...] = (
    ("mixpe.hw.formats", _DESCRIPTIONS),
    ("mixpe.hw.float_forms", _DESCRIPTIONS),
    ("mixpe.hw.fields", _DESCRIPTIONS),
    ("mixpe.hw.config", _DESCRIPTIONS),
    ("mixpe.hw.layout", _DESCRIPTIONS),
    ("mixpe.hw.core_config", _DESCRIPTIONS),
    ("mixpe.hw.register_map", _DESCRIPTIONS),
    ("mixpe.hw.errors", ()),
    ("mixpe.hw", ("amaranth",)),
    ("mixpe.quant.data", (*_DESCRIPTIONS, "mixpe.quant", "pooch", "platformdirs")),
    ("mixpe.quant", (*_DESCRIPTIONS, "numpy", "ml_dtypes")),
    ("mixpe.gen", ("mixpe.hw", "mixpe.quant", "amaranth", "numpy")),
    ("mixpe.driver", (*_DESCRIPTIONS, "mixpe.quant", "numpy")),
    (
        "mixpe.sim",
        (
            *("mixpe.hw", "mixpe.gen", "mixpe.driver", "mixpe.quant", "mixpe.synth.programs"),
            *("numpy", "platformdirs"),
        ),
    ),
    # Reads what gen wrote, and elaborates nothing.
    ("mixpe.synth", (*_DESCRIPTIONS, "mixpe.gen.configurations", "mixpe.gen.files", "pyosys", "rich")),
    (
        "mixpe.ppa",
        (
            *("mixpe.hw", "mixpe.gen", "mixpe.quant", "mixpe.synth", "amaranth", "numpy", "diskcache"),
            "matplotlib",
            *("platformdirs", "rich"),
        ),
    ),
    ("mixpe.llm", None),
    ("mixpe.verif", None),
    ("mixpe.cli", None),
)
ROOMS = tuple(dict.fromkeys(prefix.split(".")[1] for prefix, _ in LAW))


def violations(root: Path) -> Iterator[str]:
    """Yields a line "path:line: ..." for each import in the source tree `root` that breaks the law."""
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            place = path.relative_to(root)
            in_test = "tests" in place.parts
            module = ".".join((PACKAGE, *place.with_suffix("").parts)).removesuffix(".__init__")
            for line, name, is_relative in _imports(path, root):
                if not is_relative and not in_test and _within(name, PACKAGE):
                    yield f"{place}:{line}: import of {name} must be relative inside the package"
                elif is_relative and in_test:
                    yield f"{place}:{line}: import of {name} must be absolute in a test"
                elif room == "hw" and name == "__future__":
                    yield f"{place}:{line}: __future__ turns annotations, which Amaranth reads, into text"
                elif not _allowed(module, name):
                    yield f"{place}:{line}: {module} must not import {name}"


def _imports(path: Path, root: Path) -> Iterator[tuple[int, str, bool]]:
    """Yields line, full module name and whether it is relative, for every import in `path`."""
    package = (PACKAGE, *path.relative_to(root).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            base = ".".join((*above, *([node.module] if node.module else [])))
            for alias in node.names:
                name = f"{base}.{alias.name}"
                yield node.lineno, name if _is_module(name, root) else base, node.level > 0


def _is_module(name: str, root: Path) -> bool:
    path = root.joinpath(*name.split(".")[1:])
    return _within(name, PACKAGE) and (path.is_dir() or path.with_suffix(".py").is_file())


def _allowed(module: str, name: str) -> bool:
    room, others = next(row for row in LAW if _within(module, row[0]))
    if others is None or name.split(".")[0] in sys.stdlib_module_names:
        return True
    return any(_within(name, prefix) for prefix in (room, *others))


def _within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def main() -> int:
    """Prints the violations in the tree this file lies in; returns 1 if there are any, else 0."""
    found = list(violations(Path(__file__).resolve().parents[1]))
    for line in found:
        print(line)
    print(f"imports: {len(found)} break the law" if found else "imports: all lawful")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
