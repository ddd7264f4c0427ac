"""Delays of a netlist's cells, from an SDF file."""

import re
from pathlib import Path

_SDF_SCALE = {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0, "ps": 1e-3, "fs": 1e-6}
_SDF_WORDS = re.compile(
    r"\(TIMESCALE\s+([\d.]+)\s*(\w+)\)|\(INSTANCE\s+([^\s()]+)\s*\)"
    r"|\(IOPATH\s+(?:\([^()]*\)|\S+)\s+(\S+)\s+\(([^()]*)\)(?:\s+\(([^()]*)\))?\s*\)"
)


def sdf_delays(sdf: Path) -> dict[str, tuple[float, float]]:
    """Returns rise and fall delay in ns by output pin "instance/pin": means over the arcs that end there."""
    arcs: dict[str, list[tuple[float, float]]] = {}
    instance, scale = "", 1.0
    for match in _SDF_WORDS.finditer(sdf.read_text(encoding="utf-8")):
        if match[1]:
            scale = float(match[1]) * _SDF_SCALE[match[2]]
        elif match[3]:
            instance = match[3].replace("\\", "")
        else:
            rise, fall = _slowest(match[5]), _slowest(match[6] or match[5])
            arcs.setdefault(f"{instance}/{match[4]}", []).append((rise * scale, fall * scale))
    return {
        pin: (sum(rise for rise, _ in own) / len(own), sum(fall for _, fall in own) / len(own))
        for pin, own in arcs.items()
    }


def _slowest(triple: str) -> float:
    return float(next((value for value in reversed(triple.split(":")) if value), "0"))
