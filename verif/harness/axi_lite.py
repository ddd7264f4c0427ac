"""An AXI4-Lite master for Amaranth's simulator, and a check of what a slave owes it."""

from mixpe.hw.core.axi_lite import STROBES

ALL_STROBES = (1 << STROBES) - 1


class AxiLiteMaster:
    """Reads and writes through the ports `s_axil_*` of a component, one transaction at a time.

    Waits are in cycles: before an address or data is offered (`aw`, `w`, `ar`), and while an answer is left
    waiting (`b`, `r`); without, the answer's `ready` is high from the start. What is not valid is garbage.
    """

    def __init__(self, component):
        self.component = component

    def _port(self, name: str):
        return getattr(self.component, f"s_axil_{name}")

    async def write(
        self, ctx, address: int, data: int, strobes: int = ALL_STROBES, *, aw: int = 0, w: int = 0, b: int = 0
    ) -> int:
        """Returns the response."""
        offers = {"aw": (aw, {"addr": address}), "w": (w, {"data": data, "strb": strobes})}
        return (await self._transaction(ctx, offers, "b", b, ()))[0]

    async def read(self, ctx, address: int, *, ar: int = 0, r: int = 0) -> tuple[int, int]:
        """Returns data and response."""
        response, data = await self._transaction(ctx, {"ar": (ar, {"addr": address})}, "r", r, ("data",))
        return data, response

    async def _transaction(self, ctx, offers, answer: str, blocked: int, shown) -> tuple[int, ...]:
        waits = {channel: wait for channel, (wait, _) in offers.items()}
        inputs = [self._port(f"{answer}{name}") for name in ("valid", "resp", *shown)]
        readies = [self._port(f"{channel}ready") for channel in offers]
        while True:
            for channel, (_, payload) in offers.items():
                offered = waits.get(channel) == 0
                ctx.set(self._port(f"{channel}valid"), offered)
                for name, value in payload.items():
                    port = self._port(f"{channel}{name}")
                    ctx.set(port, value if offered else ~value & ((1 << len(port)) - 1))
            ctx.set(self._port(f"{answer}ready"), blocked == 0)
            _, _, valid, *found = await ctx.tick().sample(*inputs, *readies)
            answered, ready = found[: 1 + len(shown)], found[1 + len(shown) :]
            assert not (valid and waits), f"{answer} answers before {', '.join(waits)}"
            for channel, taken in zip(offers, ready, strict=True):
                if waits.get(channel) == 0 and taken:
                    del waits[channel]
                elif channel in waits:
                    waits[channel] = max(0, waits[channel] - 1)
            if valid and blocked == 0:
                ctx.set(self._port(f"{answer}ready"), 0)
                return tuple(answered)
            blocked -= bool(valid)


def slave_watch(component):
    """A background testbench that fails if the slave `component` breaks the protocol: an answer stays as it
    is until it is taken, and none comes before what it answers."""
    counts = dict.fromkeys(("aw", "w", "b", "ar", "r"), 0)
    payloads = {"b": ("resp",), "r": ("resp", "data")}

    async def watch(ctx):
        offered: dict[str, list[int] | None] = dict.fromkeys(payloads)
        ports = [
            getattr(component, f"s_axil_{channel}{name}")
            for channel in counts
            for name in ("valid", "ready", *payloads.get(channel, ()))
        ]
        while True:
            _, _, *values = await ctx.tick().sample(*ports)
            found = iter(values)
            taken = []
            for channel in counts:
                valid, ready = next(found), next(found)
                payload = [next(found) for _ in payloads.get(channel, ())]
                if channel in payloads:
                    before = offered[channel]
                    assert before is None or (valid and payload == before), (
                        f"{channel} changes before it is taken"
                    )
                    offered[channel] = payload if valid and not ready else None
                    asked = ("aw", "w") if channel == "b" else ("ar",)
                    assert not valid or counts[channel] < min(counts[each] for each in asked), (
                        f"{channel} answers nothing"
                    )
                taken += [channel] if valid and ready else []
            for channel in taken:
                counts[channel] += 1

    return watch
