"""The circuits, in Amaranth: arithmetic, elements, array, core, and baselines to compare with.

What a design places is at hand here: `from mixpe.hw import Config, Top`. Each name is imported when it is
first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..spec.array import Config
    from ..spec.core import CoreConfig
    from .array.pe import PE
    from .array.top import Top
    from .core.axi_stream import StreamCore
    from .core.core import Core
    from .modules import Modules

_HOMES = {
    "PE": ".array.pe",
    "Config": "..spec.array",
    "Core": ".core.core",
    "CoreConfig": "..spec.core",
    "Modules": ".modules",
    "StreamCore": ".core.axi_stream",
    "Top": ".array.top",
}

__all__ = ["PE", "Config", "Core", "CoreConfig", "Modules", "StreamCore", "Top"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mixpe.hw' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
