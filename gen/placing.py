"""What helps to place a design: an instance template, and a package with the structs of its payloads.

Both are made from the manifest's data, so that they say what it says.
"""

from collections.abc import Mapping, Sequence
from typing import Any


def instance_template(facts: Mapping[str, Any]) -> str:
    """Returns Verilog of an instance of the design that the manifest `facts` describes, to copy or include.

    Every port but clock and reset has a net of its name, declared there; those two come from around it.
    """
    top, ports = facts["top"], facts["ports"]
    wires = [port for port in ports if port["name"] not in ("clk", "rst")]
    width = max(len(_range(port["width"])) for port in wires)
    longest = max(len(port["name"]) for port in ports)
    lines = [
        f"// Places {top}: copy this into a module that has clk and rst, or `include it there.",
        "// clk: the clock's rising edge counts; rst: synchronous, active high.",
        *(
            f"wire {_range(port['width']):{width}} {port['name']}; // {port['direction']}: {port['meaning']}"
            for port in wires
        ),
        "",
        f"{top} {top}_i (",
        ",\n".join(f"  .{port['name']:{longest}} ({port['name']})" for port in ports),
        ");",
        "",
    ]
    return "\n".join(lines)


def _range(width: int) -> str:
    return f"[{width - 1}:0]" if width > 1 else ""


def payload_package(facts: Mapping[str, Any]) -> str:
    """Returns a SystemVerilog package of a packed struct for each stream of the manifest `facts`.

    A struct has the stream's fields by name, and each the elements of the manifest: `a[row][lane]`.
    """
    top = facts["top"]
    axis = next(iter(facts["streams"])).endswith("_acts")
    place = "the low bits of tdata" if axis else "payload"
    lines = [
        f"// Beats of {top}'s streams, bit for bit as its manifest.json describes them: {place}.",
        f"package {top}_pkg;",
    ]
    for name, stream in facts["streams"].items():
        lines += [
            "",
            f"  // {name}, {stream['direction']}, {stream['width']} bits: {stream['meaning']}",
            "  typedef struct packed {",
            *_members(stream),
            f"  }} {name}_t;",
        ]
    return "\n".join([*lines, "", "endpackage", ""])


def _members(stream: Mapping[str, Any]) -> Sequence[str]:
    """The struct's members: the first is the uppermost, so the manifest's last field comes first."""
    lines, end = [], stream["width"]
    for field in reversed(stream["fields"]):
        if field["lsb"] + field["width"] != end:
            raise ValueError(f"fields of a stream leave a gap below bit {end}, above {field['name']}")
        end = field["lsb"]
        sizes = [*field["counts"].values()]
        if field["element_bits"] > 1 or sizes:
            sizes.append(field["element_bits"])
        dimensions = "".join(f"[{size - 1}:0]" for size in sizes)
        indices = "".join(f"[{index}]" for index in field["counts"])
        member = f"{dimensions} {field['name']}" if dimensions else field["name"]
        meaning = f"{field['name']}{indices}: {field['type']}, {field['meaning']}"
        lines += [f"    // {meaning}", f"    logic {member};"]
    if end:
        raise ValueError(f"fields of a stream leave a gap below bit {end}")
    return lines
