"""What a generation took: by layer, in all and per token."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ..driver.command import Counters
from ..spec.array import Config
from .engine import Call
from .generate import Generation

_ENDINGS = {
    "end of text": "the model ended the text",
    "positions full": "the text ends where the model's {} positions are full",
}


@dataclass(frozen=True)
class Work:
    """Holds products of one kind of layer and shape; `counters` are sums, None if no core counted."""

    kind: str
    m: int
    k: int
    n: int
    calls: int
    counters: Counters | None

    @property
    def macs(self) -> int:
        return self.calls * self.m * self.k * self.n


def total(calls: Iterable[Call]) -> Counters | None:
    """Returns sums over all calls; None if there is none, or one that no core counted."""
    counters = [call.counters for call in calls]
    counted = [each for each in counters if each is not None]
    if not counted or len(counted) < len(counters):
        return None
    return Counters(*(sum(getattr(each, name) for each in counted) for name in Counters.__dataclass_fields__))


def work(calls: Sequence[Call]) -> list[Work]:
    """Sums calls by kind of layer (the last part of its name) and shape, in order of first appearance."""
    groups: dict[tuple[str, int, int, int], list[Call]] = {}
    for call in calls:
        groups.setdefault((call.name.rpartition(".")[2], call.m, call.k, call.n), []).append(call)
    return [Work(*key, len(found), total(found)) for key, found in groups.items()]


def utilization(macs: int, cycles: int, config: Config) -> float:
    """Returns the share of the array's multiplications that were useful."""
    return macs / (cycles * config.rows * config.cols * config.lanes)


def macs_per_token(generation: Generation) -> int:
    """Counts the multiplications of one row through all layers."""
    return sum({call.name: call.k * call.n for call in generation.prefill_calls}.values())


def tables(generation: Generation, config: Config) -> list[Table]:
    """Tabulates prefill and decode by layer, from what a core with the array `config` counted."""
    rows, tokens = len(generation.prompt_tokens), generation.decoded
    found = [_table(f"Prefill: {_tokens(rows)}, a row each", generation.prefill_calls, 1, config)]
    if tokens:
        title = f"Decode: mean of {_tokens(tokens)}, one row at a time"
        found.append(_table(title, generation.decode_calls, tokens, config))
    return found


def _table(title: str, calls: Sequence[Call], share: int, config: Config) -> Table:
    """Tabulates sums over `calls`, divided by `share`. "use": `utilization`; "waits": for memory."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1))
    for heading in ("layer", "M x K x N"):
        table.add_column(heading, no_wrap=True)
    for heading in ("calls", "cycles", "use", "waits", "bytes read", "written"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in work(calls):
        shape = f"{each.m}x{each.k}x{each.n}"
        table.add_row(each.kind, shape, *_cells(each.calls, each.macs, each.counters, share, config))
    table.add_section()
    macs = sum(call.macs for call in calls)
    table.add_row("all", "", *_cells(len(calls), macs, total(calls), share, config))
    return table


def _cells(calls: int, macs: int, counters: Counters | None, share: int, config: Config) -> tuple[str, ...]:
    if counters is None:
        return (f"{calls // share:,}", *["-"] * 5)
    return (
        f"{calls // share:,}",
        f"{counters.cycles / share:,.0f}",
        f"{utilization(macs, counters.cycles, config):.1%}",
        f"{counters.stall_read / counters.cycles:.1%}",
        f"{counters.read_bytes / share:,.0f}",
        f"{counters.write_bytes / share:,.0f}",
    )


def lines(generation: Generation, config: Config | None, clock_mhz: float) -> list[str]:
    """Tells speed, cycles and bytes in words. config: the array of a core that counted, else None."""
    prompt, tokens = len(generation.prompt_tokens), generation.decoded
    found = [f"prompt ({_tokens(prompt)}) and the first new token in {generation.prefill_seconds:.2f} s"]
    if tokens:
        found[0] += (
            f", {tokens} more in {generation.decode_seconds:.2f} s: "
            f"{generation.tokens_per_second:.3g} tokens per second"
        )
    counters = total(generation.decode_calls)
    if config and counters:
        cycles, macs = counters.cycles / tokens, sum(call.macs for call in generation.decode_calls)
        found.append(
            f"per token: {cycles:,.0f} cycles, {utilization(macs, counters.cycles, config):.1%} of the array "
            f"used (by one row of {config.rows}), {counters.read_bytes / tokens:,.0f} bytes read and "
            f"{counters.write_bytes / tokens:,.0f} written"
        )
        found.append(
            f"the core alone, at {clock_mhz:g} MHz: {clock_mhz * 1e6 / cycles:,.0f} tokens per second"
        )
    if generation.ending in _ENDINGS:
        found.append(_ENDINGS[generation.ending].format(generation.positions))
    found.append(f"logits of {_tokens(len(generation.tokens))}: SHA-256 {generation.logits_sha256}")
    return found


def _tokens(count: int) -> str:
    return f"{count} token{'s' * (count != 1)}"


def record(generation: Generation, config: Config | None) -> dict[str, Any]:
    """Returns what a generation said and took, for JSON; what no core counted is null."""
    calls = [*generation.prefill_calls, *generation.decode_calls]
    counters = total(calls)
    return {
        "prompt": generation.prompt,
        "prompt_tokens": generation.prompt_tokens,
        "tokens": generation.tokens,
        "text": generation.text,
        "ending": generation.ending,
        "logits_sha256": generation.logits_sha256,
        "seconds": {"prefill": generation.prefill_seconds, "decode": generation.decode_seconds},
        "tokens_per_second": generation.tokens_per_second,
        "macs": sum(call.macs for call in calls),
        "cycles": counters and counters.cycles,
        "bytes_read": counters and counters.read_bytes,
        "bytes_written": counters and counters.write_bytes,
        "prefill": _layers(generation.prefill_calls, config),
        "decode": _layers(generation.decode_calls, config),
    }


def _layers(calls: Sequence[Call], config: Config | None) -> list[dict[str, Any]]:
    """Returns the sums of every kind of layer."""
    return [
        {
            "layer": each.kind,
            "m": each.m,
            "k": each.k,
            "n": each.n,
            "calls": each.calls,
            "utilization": utilization(each.macs, each.counters.cycles, config)
            if config and each.counters
            else None,
            "counters": each.counters and asdict(each.counters),
        }
        for each in work(calls)
    ]
