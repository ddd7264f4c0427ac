"""Cells of a synthesized hierarchy: counted module by module, added up through it."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

# Registers among Yosys's own cells: words ($dff, $sdffe, $mem_v2 ...) and gates ($_SDFFE_PP0P_ ...).
_REGISTER = re.compile(r"\$_?(?:al|a|s)?d?ff|\$mem", re.IGNORECASE)
_ENABLED = re.compile(r"\$(?:al|a|s)?dff(?:sr)?c?e|\$mem")


def is_yosys_register(cell_type: str) -> bool:
    """Tells whether a cell of Yosys's own library is a flip-flop or a memory."""
    return _REGISTER.match(cell_type) is not None


@dataclass(frozen=True)
class Netlist:
    """Modules of a design. `modules[m]` counts cells of each type in module m, submodules among them."""

    modules: dict[str, Counter[str]]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads what Yosys's `stat -json` wrote."""
        text = path.read_text(encoding="utf-8")
        modules = json.loads(text[text.index("{") :])["modules"]
        return cls(
            {name.removeprefix("\\"): Counter(m.get("num_cells_by_type", {})) for name, m in modules.items()}
        )

    @cached_property
    def _totals(self) -> dict[str, Counter[str]]:
        totals: dict[str, Counter[str]] = {}

        def visit(module: str) -> Counter[str]:
            if module not in totals:
                total: Counter[str] = Counter()
                for cell_type, count in self.modules[module].items():
                    if cell_type in self.modules:
                        for inner, inner_count in visit(cell_type).items():
                            total[inner] += count * inner_count
                    else:
                        total[cell_type] += count
                totals[module] = total
            return totals[module]

        for module in self.modules:
            visit(module)
        return totals

    def cells(self, module: str) -> Counter[str]:
        """Counts the cells in `module` and everything below it, by type."""
        return self._totals[module]

    def instances(self, top: str) -> Counter[str]:
        """Counts how often each module is placed below `top`; `top` counts once."""
        counts: Counter[str] = Counter()

        def visit(module: str, times: int) -> None:
            counts[module] += times
            for cell_type, count in self.modules[module].items():
                if cell_type in self.modules:
                    visit(cell_type, times * count)

        visit(top, 1)
        return counts

    def places(self, module: str) -> int:
        """Counts the places in which the modules together name `module`."""
        return sum(cells[module] for cells in self.modules.values())

    def has_registers(self, module: str) -> bool:
        """Tells whether `module` or anything below it holds state, before mapping to a library."""
        return any(is_yosys_register(cell_type) for cell_type in self.cells(module))

    def has_enables(self, module: str) -> bool:
        """Tells whether words of registers in `module` or below it have an enable, or memories are there."""
        return any(_ENABLED.match(cell_type) for cell_type in self.cells(module))

    def shared(self, top: str) -> list[str]:
        """Modules below `top` that hold registers and are placed in several places."""
        return [name for name in self.instances(top) if self.places(name) > 1 and self.has_registers(name)]
