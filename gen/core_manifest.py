"""The manifest of an accelerator core."""

import dataclasses
from typing import Any

from amaranth.hdl import Shape
from amaranth.lib.wiring import In, Member, Out

from ..hw.core.axi import read_members, write_members
from ..hw.core.axi_lite import axil_members
from ..hw.core.axi_stream import axis_members
from ..spec import layout
from ..spec import registers as register_map
from ..spec.core import SIZE_BITS, STRIDE_BITS, CoreConfig
from .manifest import (
    SIGNIFICANT_K,
    array_facts,
    clock_and_reset,
    head,
    port,
    ready_meaning,
    streams,
    tools,
    valid_meaning,
)

_EXAMPLE_N = 4096

_CHANNELS = {
    "aw": "write address",
    "w": "write data",
    "b": "write answer",
    "ar": "read address",
    "r": "read data",
}
_SIGNALS = {
    "id": "of the transaction, 0",
    "addr": "byte address",
    "len": "words of the burst, less one",
    "size": "bytes of a word, as a power of two; constant",
    "burst": "INCR; constant",
    "lock": "no exclusive access; constant",
    "cache": "kind of memory; constant",
    "prot": "protection; constant",
    "data": "word",
    "strb": "bytes of the word that are written",
    "resp": "OKAY, SLVERR or DECERR",
    "last": "the burst's last word",
    "valid": "the sender offers; held until it is taken",
    "ready": "what is offered is taken at the next rising edge",
}
_SLAVE_SIGNALS = _SIGNALS | {"prot": "protection; changes nothing", "resp": "OKAY or SLVERR"}


def core_manifest(config: CoreConfig, verilog: str, files: dict[str, str]) -> dict[str, Any]:
    """Returns the manifest of `verilog`, the text of the core `config`, as plain data for JSON.

    `array` is what the manifest of an array tells of cycles and arithmetic; its formulas are over the numbers
    there and those of the array in `configuration`.
    """
    return {
        **head(config, verilog, files),
        "notes": ["no self-checking testbench comes with a core; mixpe's own tests simulate it"],
        **(_stream_facts(config) if config.bus == "stream" else _axi_facts(config)),
        "memories": [{"holds": name, "bits": bits} for name, bits in config.memory_bits.items()],
        "array": array_facts(config.array),
        "tools": tools(),
    }


def _stream_facts(config: CoreConfig) -> dict[str, Any]:
    """Ports, and how beats lie in TDATA."""
    meanings, described = {}, {}
    for name, stream in streams(config.array, cycles=False).items():
        prefix = f"{'m' if stream['direction'] == 'output' else 's'}_axis_{name}"
        beat = [field for field in stream["fields"] if field["name"] != "last"]
        described[prefix] = stream | {"width": sum(field["width"] for field in beat), "fields": beat}
        above = "are 0" if name == "out" else "do not matter"
        meanings |= {
            f"{prefix}_tdata": f"{stream['meaning']}; bits above the beat {above}",
            f"{prefix}_tvalid": valid_meaning(name),
            f"{prefix}_tready": ready_meaning(name),
        }
        meanings |= {f"{prefix}_tlast": field["meaning"] for field in stream["fields"] if field not in beat}
    return {
        "ports": [*clock_and_reset(), *_ports(axis_members(config.array), meanings)],
        "streams": described,
    }


def _axi_facts(config: CoreConfig) -> dict[str, Any]:
    slave, master = axil_members(), read_members(config) | write_members(config)
    meanings = {"irq": "interrupt: an enabled cause of INTERRUPT is set"}
    meanings |= {name: _axi_meaning(name.removeprefix("s_axil_"), _SLAVE_SIGNALS) for name in slave}
    meanings |= {name: _axi_meaning(name.removeprefix("m_axi_"), _SIGNALS) for name in master}
    return {
        "ports": [*clock_and_reset(), *_ports({"irq": Out(1)} | slave | master, meanings)],
        "registers": _registers(config),
        "memory_layout": _memory_layout(config),
    }


def _axi_meaning(signal: str, signals: dict[str, str]) -> str:
    """Returns the meaning of a signal that is called after its channel, such as "awaddr"."""
    channel = next(prefix for prefix in sorted(_CHANNELS, key=len, reverse=True) if signal.startswith(prefix))
    return f"{_CHANNELS[channel]}: {signals[signal.removeprefix(channel)]}"


def _ports(members: dict[str, Member], meanings: dict[str, str]) -> list[dict[str, Any]]:
    return [
        port(name, "input" if member.flow == In else "output", Shape.cast(member.shape).width, meanings[name])
        for name, member in members.items()
    ]


def _registers(config: CoreConfig) -> dict[str, Any]:
    return {
        "version": register_map.REGISTER_MAP_VERSION,
        "address_bits": register_map.ADDRESS_BITS,
        "access": {str(access): meaning for access, meaning in register_map.ACCESS_MEANINGS.items()},
        "map": [dataclasses.asdict(register) for register in register_map.REGISTERS],
        "constants": dict(register_map.constants(config)),
        "errors": [
            {"name": error.name, "code": int(error), "meaning": meaning}
            for error, meaning in register_map.ERROR_MEANINGS.items()
        ],
    }


def _memory_layout(config: CoreConfig) -> dict[str, Any]:
    array = config.array
    return {
        "version": layout.LAYOUT_VERSION,
        "alignment_bytes": layout.ALIGNMENT,
        "largest_size": (1 << SIZE_BITS) - 1,
        "largest_stride": (1 << STRIDE_BITS) - layout.ALIGNMENT,
        "activation_bits": layout.container_bits(array),
        "activation_beat_bits": layout.act_beat_bits(array),
        "weight_beat_bits": layout.weight_beat_bits(array),
        "scale_beat_bits": layout.scale_beat_bits(array),
        "token_bits": layout.TOKEN_BITS * len(array.row_members),
        "result_bits": array.out.bits,
        "examples": [
            {
                "K": k,
                "N": _EXAMPLE_N,
                "activation_stride": layout.act_stride(k, array),
                "weight_tile_bytes": layout.weight_tile_bytes(k, array),
                "weight_bytes": layout.weight_bytes(k, _EXAMPLE_N, array),
                "scale_tile_bytes": layout.scale_tile_bytes(k, array),
                "scale_bytes": layout.scale_bytes(k, _EXAMPLE_N, array),
                "result_stride": layout.out_stride(_EXAMPLE_N, array),
                "activations_read_once": config.resident(k),
            }
            for k in sorted({array.group, *SIGNIFICANT_K})
        ],
    }
