"""What belongs to a row, on its way along the dequantizers of the row's segment."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, Signal, Value

from ...spec.array import Config
from .hold import Hold


class Followers:
    """Passes what comes once for each row, beside its sums, to every dequantizer of its segment in time.

    From one dequantizer to the next it takes as long as the items do. In banks of several columns it is held
    until the row's turn comes, as the sums are, and stays for all items of the row.

    `drain`: the interface of `mixpe.hw.array.drain.DrainControl`.
    """

    def __init__(self, m: Module, config: Config, drain: Any):
        self.m, self.config, self.drain = m, config, drain

    def follow(self, values: Sequence[Value], ports: Sequence[Value], name: str, *, early: int = 0) -> None:
        """Connects a port of each dequantizer, in which a row is due in its cycle `Config.sum_latency`.

        values: of each segment; row i's is there in cycle t+2+i-`early` if its group ended in cycle t. Of
            clusters those of their rows, side by side, in t+2+i // `Config.cluster`-`early`.
        """
        config = self.config
        for segment, value in enumerate(values):
            own = ports[segment * config.banks : (segment + 1) * config.banks]
            prefix = name if config.segments == 1 else f"{name}{segment}_"
            value = self._delayed(value, early, f"{prefix}_early")
            if config.banked:
                self._in_banks(value, own, prefix)
                continue
            value = self._delayed(value, config.scheme.resolve_stages, f"{prefix}_waiting")
            for index, port in enumerate(own):
                value = self._delayed(value, 1, f"{prefix}{index}_")
                self.m.d.comb += port.eq(value)

    def _in_banks(self, value: Value, ports: Sequence[Value], name: str) -> None:
        config, m = self.config, self.m
        shape = ports[0].shape()
        hold = Hold(config, shape.width)
        m.submodules[f"{name}_hold"] = hold
        m.d.comb += [
            hold.arrives.eq(self.drain.arrives[0]),
            hold.word.eq(self.drain.arrive_words[: config.held_word_bits]),
            hold.values.eq(value),
            hold.row.eq(self.drain.follow_row),
        ]
        current = hold.value
        for index, port in enumerate(ports):
            passed = Signal(shape, name=f"{name}{index}", reset_less=True)
            with m.If(self.drain.follows[index]):
                m.d.sync += passed.eq(current)
            m.d.comb += port.eq(passed)
            current = passed

    def _delayed(self, value: Value, cycles: int, name: str) -> Value:
        for stage in range(cycles):
            passed = Signal.like(value, name=f"{name}{stage}", reset_less=True)
            self.m.d.sync += passed.eq(value)
            value = passed
        return value
