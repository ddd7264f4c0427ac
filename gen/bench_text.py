"""Verilog that all testbenches of arrays share."""

from collections.abc import Iterable


def connections(streams: Iterable[str]) -> str:
    """Returns the ports of the named streams, each connected to the net of its name."""
    return ",\n".join(
        f"    .{stream}__{part}({stream}_{part})"
        for stream in streams
        for part in ("payload", "valid", "ready")
    )


def contents(name: str, width: int, beats: list[int]) -> str:
    """Returns assignments of the `beats`, of `width` bits, to the elements of `<name>_beats`."""
    digits = -(-width // 4)
    return "\n".join(
        f"    {name}_beats[{index}] = {width}'h{beat:0{digits}x};" for index, beat in enumerate(beats)
    )
