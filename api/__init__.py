"""mixpe: generate, prove and measure hardware for mixed-precision matrix multiplication.

The names below are the front door. Each is imported when it is first used, so that `import mixpe` costs
nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixpe.driver.accelerator import Accelerator
    from mixpe.gen.configurations import load_design
    from mixpe.gen.write import write_design
    from mixpe.quant.golden import mpgemm
    from mixpe.quant.matrix import QuantizedMatrix
    from mixpe.quant.packing.beats import pack_matmul
    from mixpe.quant.quantize import quantize_activations, quantize_weights
    from mixpe.spec.array import Config
    from mixpe.spec.core import CoreConfig
    from mixpe.spec.errors import UserError

__version__: str

_HOMES = {
    "Accelerator": "driver.accelerator",
    "Config": "spec.array",
    "CoreConfig": "spec.core",
    "QuantizedMatrix": "quant.matrix",
    "UserError": "spec.errors",
    "load_design": "gen.configurations",
    "mpgemm": "quant.golden",
    "pack_matmul": "quant.packing.beats",
    "quantize_activations": "quant.quantize",
    "quantize_weights": "quant.quantize",
    "write_design": "gen.write",
}

__all__ = [
    "Accelerator",
    "Config",
    "CoreConfig",
    "QuantizedMatrix",
    "UserError",
    "__version__",
    "load_design",
    "mpgemm",
    "pack_matmul",
    "quantize_activations",
    "quantize_weights",
    "write_design",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("mixpe")
    if name not in _HOMES:
        raise AttributeError(f"module 'mixpe' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
