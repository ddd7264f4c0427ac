"""Reads a competitor from outside this package: a TOML file beside its Verilog, or a class of Amaranth."""

import importlib
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from amaranth.lib import wiring

from ..gen.verilog import convert
from ..spec.errors import UserError
from ..spec.formats.numbers import signed_bits
from ..support.documents import read_plain, read_toml
from ..support.folders import temporary_folder
from ..synth.yosys import run_yosys
from .outside import CONTROLS, OPERANDS, Description, Outside, describe

ATTRIBUTE = "competitor"
"""The attribute of a class that holds the fields of a description."""

_CLASS = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def load_competitor(source: str) -> Outside:
    """Returns the competitor `source`: the path of a TOML file, or a class such as "my_pkg.mod:MyElement".

    Raises `UserError` that names the source and what is wrong with it.
    """
    if source.endswith(".toml"):
        return _from_file(Path(source))
    if _CLASS.fullmatch(source):
        return _from_class(source)
    raise UserError(
        f"--competitor must be a .toml file or a class such as my_pkg.mod:MyElement, not {source!r}"
    )


def _from_file(path: Path) -> Outside:
    where = f"competitor {path}"
    values = read_toml(path, "competitor")
    default = re.sub(r"\W", "_", path.stem.lower())
    description = describe(values, default, ("verilog", "top", "parameters"), where)
    for key in ("verilog", "top"):
        if key not in values:
            raise UserError(f"{where}: the field {key} is missing")
    files, top = values["verilog"], values["top"]
    if not (isinstance(files, list) and files and all(isinstance(file, str) for file in files)):
        raise UserError(f"{where}: verilog must be a list of file names, not {files!r}")
    if not (isinstance(top, str) and re.fullmatch(r"[A-Za-z_]\w*", top)):
        raise UserError(f"{where}: top must be the name of a module, not {top!r}")
    texts = [read_plain(path.parent / file, f"{where}: Verilog file") for file in files]
    return _wrapped(description, "\n".join(texts), top, where)


def _from_class(source: str) -> Outside:
    where = f"competitor {source}"
    module, _, name = source.partition(":")
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)  # as `python -m` has it
    try:
        cls = getattr(importlib.import_module(module), name)
    except AttributeError:
        raise UserError(f"{where}: module {module} has no class {name}") from None
    except Exception as error:
        raise UserError(f"{where}: module {module} cannot be imported: {_line(error)}") from None
    if not (isinstance(cls, type) and issubclass(cls, wiring.Component)):
        raise UserError(f"{where}: {name} must be a class derived from amaranth.lib.wiring.Component")
    values = getattr(cls, ATTRIBUTE, None)
    if not isinstance(values, Mapping):
        raise UserError(f"{where}: {name} must have a dict {ATTRIBUTE!r} with the fields of its description")
    default = re.sub(r"(?<!^)(?=[A-Z][a-z])", "_", name).lower()
    description = describe(values, default, (), where)
    top = f"{description.name}_top"
    try:
        text = convert(top, lambda _: cls())
    except Exception as error:
        raise UserError(f"{where}: {name}() cannot be converted to Verilog: {_line(error)}") from None
    return _wrapped(description, text, top, where)


def _line(error: Exception) -> str:
    """Returns the first line of an error's text, with its class."""
    text = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _wrapped(description: Description, text: str, top: str, where: str) -> Outside:
    """Returns the competitor with a module around it that gives its ports the names of what they do."""
    found = _module_ports(text, top, description.parameters, where)
    ports = dict(description.ports)
    if "reset" not in ports and "rst" in found and "rst" not in ports.values():
        ports["reset"] = "rst"  # as Amaranth calls it
    _check_ports(description, ports, found, where)
    sum_bits = found[ports["sum"]][1]
    name = f"{description.name}_outside"
    widths = {"clock": 1, **dict.fromkeys(CONTROLS, 1), **description.operand_bits, "sum": sum_bits}
    heads, connections = [], []
    for role, port in ports.items():
        own = "clk" if role == "clock" else role
        way = "output" if role == "sum" else "input"
        heads.append(f"{way} [{widths[role] - 1}:0] {own}" if widths[role] > 1 else f"{way} {own}")
        connections.append(f".{_escaped(port)}({own})")
    for port, value in description.constants.items():
        connections.append(f".{_escaped(port)}({found[port][1]}'d{value})")
    values = ", ".join(f".{_escaped(key)}({value})" for key, value in description.parameters.items())
    wrapper = (
        f"module {name}({', '.join(heads)});\n"
        f"  {_escaped(top)} {f'#({values}) ' if values else ''}inner ({', '.join(connections)});\n"
        "endmodule\n"
    )
    made = Description(**{**vars(description), "ports": ports})
    return Outside(made, name, f"{text}\n{wrapper}", sum_bits)


def _escaped(name: str) -> str:
    """Returns a name that may hold any letters."""
    return f"\\{name} "


def _module_ports(
    text: str, top: str, parameters: Mapping[str, int], where: str
) -> dict[str, tuple[str, int]]:
    """Returns direction and width of each port of module `top`, as Yosys finds them."""
    with temporary_folder("mixpe-competitor-") as folder:
        (folder / "design.v").write_text(text, encoding="utf-8")
        values = "".join(f" -chparam {key} {value}" for key, value in parameters.items())
        script = f"read_verilog design.v\nhierarchy -check -top {top}{values}\nproc\nwrite_json ports.json\n"
        try:
            run_yosys(script, folder, folder / "yosys.log")
        except UserError as error:
            reason = str(error).partition(" (all of ")[0]
            raise UserError(f"{where}: {reason}") from None
        modules = json.loads((folder / "ports.json").read_text(encoding="utf-8"))["modules"]
    # With parameters the module's name is another.
    module = next(own for own in modules.values() if int(own["attributes"].get("top", "0"), 2))
    return {name: (port["direction"], len(port["bits"])) for name, port in module["ports"].items()}


def _check_ports(
    description: Description, ports: Mapping[str, str], found: Mapping[str, tuple[str, int]], where: str
) -> None:
    inputs = {name for name, (way, _) in found.items() if way == "input"}
    widths = {**dict.fromkeys(("clock", *CONTROLS), 1), **description.operand_bits}
    for role, name in ports.items():
        if name not in found:
            raise UserError(f"{where}: {role} is called {name!r}, but the module's ports are {_names(found)}")
        way, width = found[name]
        needed = "output" if role == "sum" else "input"
        if way != needed:
            raise UserError(f"{where}: port {name} ({role}) must be an {needed}, not an {way}")
        if role in widths and width != widths[role]:
            why = f" ({description.role}, {description.config.lanes} lanes)" if role in OPERANDS else ""
            raise UserError(
                f"{where}: port {name} ({role}) must be {widths[role]} bits wide{why}, not {width}"
            )
    for name, value in description.constants.items():
        if name not in inputs or name in ports.values():
            raise UserError(f"{where}: constants: {name} is no input that is free")
        if value >= 1 << found[name][1]:
            raise UserError(f"{where}: constants: {name} has {found[name][1]} bits, too few for {value}")
    if free := sorted(inputs - set(ports.values()) - set(description.constants)):
        raise UserError(
            f"{where}: the input {free[0]} has no role: name it under ports, or give it a value under "
            "constants"
        )
    _check_sum(description, found[ports["sum"]][1], where)


def _check_sum(description: Description, width: int, where: str) -> None:
    if description.arithmetic != "integer":
        if width not in (16, 32) and description.exact:
            raise UserError(f"{where}: sum must be 16 bits wide (FP16) or 32 (FP32), not {width}")
        return
    config = description.config
    products = [w * a for w in (config.weight.min, config.weight.max) for a in config.act_limits]
    needed = signed_bits(config.group * min(products), config.group * max(products))
    if width < needed:
        raise UserError(
            f"{where}: sum must be at least {needed} bits wide for {description.role} in groups of "
            f"{config.group}, not {width}"
        )


def _names(found: Mapping[str, object]) -> str:
    return ", ".join(found)


def load_competitors(sources: Sequence[str], taken: Sequence[str]) -> list[Outside]:
    """Returns the competitors `sources`. Raises `UserError` for a name that is `taken`, or given twice."""
    found: list[Outside] = []
    for source in sources:
        made = load_competitor(source)
        if made.name in taken or made.name in [each.name for each in found]:
            raise UserError(f"competitor {source}: name {made.name!r} is taken: give it another")
        found.append(made)
    return found
