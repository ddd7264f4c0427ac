"""Which of a library's flip-flops Yosys is to use.

`dfflibmap` takes a plain flip-flop before one with an inverted output, whatever their areas; but the
inverter that this saves is mostly absorbed by the gates around it.
"""

from ..spec.errors import UserError
from .cells import CellModels, Register
from .liberty import Library

# Of input pins: data as it is, and inverted.
_PLAIN, _INVERTED = (0, 1), (1, 0)


def costly_registers(library: Library, models: CellModels) -> list[str]:
    """Returns the names of plain flip-flops that an inverting one of less area replaces, sorted."""
    plain: dict[str, float] = {}
    inverting: dict[str, float] = {}
    for cell in library.cells.values():
        if cell.kind == "register" and cell.usable and cell.area is not None:
            for inverts in _polarities(models, cell.name):
                (inverting if inverts else plain)[cell.name] = cell.area
    both = plain.keys() & inverting.keys()
    least = min((area for name, area in inverting.items() if name not in both), default=None)
    if least is None or not plain or least >= min(plain.values()):
        return []
    return sorted(plain)


def _polarities(models: CellModels, cell: str) -> set[bool]:
    """Tells for each output of a plain flip-flop whether it inverts the data; empty for other cells."""
    try:
        model = models[cell]
    except UserError:
        return set()
    outputs = list(model.outputs.values())
    found = set()
    for output in outputs:
        if not isinstance(output, Register) or output.forced or output.clock.values != _PLAIN:
            return set()
        if len(output.data.pins) != 1 or output.data.values not in (_PLAIN, _INVERTED):
            return set()
        found.add((output.data.values == _INVERTED) != output.inverted)
    return found
