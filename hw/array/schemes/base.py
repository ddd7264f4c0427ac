"""What the circuits of every activation scheme have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Module, Shape, Value

from ....spec.array import Config
from ...modules import Modules, place
from ...ports import Component
from ..door import place_doors


@dataclass(frozen=True)
class EdgeActs:
    """Activations at the array's edge, in one cycle.

    Parameters
    ----------
    valid: a beat is there.
    wires: the activations of all rows as elements take them (`Config.act_wires` for each row).
    last: the beat is its tile's last.
    group_code: what the dequantizer must know of a row's group (`Config.group_code_bits`), of the row of each
        segment whose sum is on the bus in the next cycle; None in schemes that have no such code.
    """

    valid: Value
    wires: Value
    last: Value
    group_code: Value | None = None


class Circuits(ABC):
    """The circuits of one scheme for one configuration. `modules`: as `mixpe.hw.modules` has it."""

    name: str

    def __init__(self, config: Config, modules: Modules | None = None):
        self.config = config
        self.modules = modules

    @abstractmethod
    def element(self, shared: Collection[str] = ()) -> Component:
        """Returns the processing element; `shared` as `mixpe.hw.element.shell.Shell` has it."""

    @abstractmethod
    def row_accumulator(self) -> Any:
        """Returns what adds a row's activations."""

    @property
    @abstractmethod
    def drain_shape(self) -> Shape:
        """The word of P as it leaves an element."""

    @property
    @abstractmethod
    def row_sum_shape(self) -> Shape:
        """The word of S as it leaves its row."""

    @property
    @abstractmethod
    def resolved_row_sum_shape(self) -> Shape:
        """S as the dequantizers take it, `Scheme.resolve_stages` later."""

    @abstractmethod
    def resolved_row_sum(self, m: Module, word: Value) -> Value:
        """Returns S as the dequantizers take it, of the word that leaves a row."""

    @abstractmethod
    def acts(self, m: Module, stream: Any, pacer: Any) -> EdgeActs:
        """Takes the top's stream of activations, beat by beat with `pacer.take`, to the array's edge."""

    @abstractmethod
    def weights(self, m: Module, codes: Value) -> Value:
        """Returns what elements take for weight codes, any number side by side, whose zero is all low."""

    @abstractmethod
    def product(self, m: Module, column: Any, drained: Value) -> Any:
        """Adds a column's arithmetic from a drained word to D.

        Returns the multiplier by the scale, with its operand `a` and all else but `b` connected.
        """

    def each_by(self, m: Module, name: str, values: Value, width: int, make: Callable) -> Value:
        """Returns `values`, of `width` bits each, through components with ports `i` and `o`."""
        return place_doors(m, name, values, width, lambda: make(self.config), self.config.name, self.modules)

    def place(self, m: Module, name: str, make: Callable[[], Component]) -> Any:
        """Adds a component as the submodule `name`; returns its interface."""
        return place(m, name, make, self.modules, f"{self.config.name}_{name}")
