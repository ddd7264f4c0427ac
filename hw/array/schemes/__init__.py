"""The circuits of each activation scheme: what stands at the array's edge, in it and behind it."""

from ....spec.array import Config
from ...modules import Modules
from .aligned import AlignedCircuits
from .fp_mac import FpMacCircuits
from .integer import IntegerCircuits

CIRCUITS: dict[str, type[IntegerCircuits] | type[FpMacCircuits]] = {
    each.name: each for each in (IntegerCircuits, AlignedCircuits, FpMacCircuits)
}
"""By the scheme's name."""


def circuits(config: Config, modules: Modules | None = None) -> IntegerCircuits | FpMacCircuits:
    """Returns the circuits of the scheme of `config`; `modules` as `mixpe.hw.modules` has it."""
    return CIRCUITS[config.scheme.name](config, modules)


__all__ = ["CIRCUITS", "AlignedCircuits", "FpMacCircuits", "IntegerCircuits", "circuits"]
