"""What goes into a line comes out of it, in order, and there is room for it."""

from collections.abc import Collection
from typing import Any

from amaranth.hdl import Const, Mux, Signal, Value

from .proof import Proof


class Line:
    """Proves that what is put in a line comes out once, in order and unchanged, so none is lost or made.

    One of the things is watched; which one is open, so what is proved of it is proved of all.

    put, item: a thing goes in. look: the thing that is next is seen. take: it leaves. seen: what is seen.
    most: things in the line at most. clear: all things in the line are dropped.

    Attributes
    ----------
    level: things in the line, before what is put in this cycle.
    """

    def __init__(
        self,
        proof: Proof,
        name: str,
        *,
        put: Any,
        item: Any,
        take: Any,
        seen: Any,
        most: int,
        bits: Collection[int] | None = None,
        look: Any = None,
        clear: Any = None,
    ):
        item, seen = Value.cast(item), Value.cast(seen)
        look = take if look is None else look
        clear = Const(0) if clear is None else clear
        chosen = proof.free(f"{name}_chosen", 1)
        self.level = level = Signal(range(most + 2), name=f"{name}_level")
        watching, ahead = Signal(name=f"{name}_watching"), Signal.like(level, name=f"{name}_ahead")
        kept = Signal(len(item), name=f"{name}_kept", reset_less=True)
        proof.m.d.sync += level.eq(Mux(clear, 0, level + put - take))
        with proof.m.If(watching):
            proof.m.d.sync += ahead.eq(ahead - take)
            with proof.m.If((take & ~ahead.any()) | clear):
                proof.m.d.sync += watching.eq(0)
        with proof.m.Elif(put & chosen & ~clear):
            proof.m.d.sync += [watching.eq(1), kept.eq(item), ahead.eq(level - take)]
        proof.prove(f"{name}_never_overflows", level <= most)
        proof.prove(f"{name}_never_underflows", ~(look | take) | level.any())
        for bit in range(len(item)) if bits is None else bits:
            same = seen[bit] == kept[bit]
            proof.prove(f"{name}_keeps_order_of_bit_{bit}", ~(look & watching & ~ahead.any()) | same)
        proof.reach(f"{name}_full", level == most)
