"""What a core is: read from its registers, and compared with what it should be."""

from dataclasses import dataclass

from ..spec.array import Config
from ..spec.core import CoreConfig
from ..spec.errors import UserError
from ..spec.layout import LAYOUT_VERSION
from ..spec.registers import ID_VALUE, REGISTER_MAP_VERSION, constants, format_fields, register
from .registers import Registers


@dataclass(frozen=True)
class Identity:
    """Holds what software must know of a core.

    array: its array. Registers tell of it what results depend on, and not the circuits: a configuration made
    from them has the defaults there.
    queue: commands that wait behind the one under way.
    """

    array: Config
    address_bits: int
    word_bytes: int
    queue: int


def identify(registers: Registers, config: CoreConfig | None) -> Identity:
    """Reads what the core is; with `config`, checks that it is that.

    Raises `UserError` if it is no core, one of another version of registers or memory layout, or differs
    from `config`: a line for every difference.
    """
    found = registers.read("ID")
    if found != ID_VALUE:
        raise UserError(f"ID must be {ID_VALUE:#010x}, not {found:#010x}: no accelerator core is there")
    versions = registers.fields("VERSION")
    for name, what, known in (
        ("REGISTERS", "register map", REGISTER_MAP_VERSION),
        ("LAYOUT", "memory layout", LAYOUT_VERSION),
    ):
        if versions[name] != known:
            raise UserError(
                f"the core's {what} must be of version {known} for this software, not {versions[name]}"
            )
    if config is None:
        return _learn(registers)
    differences = []
    for name, expected in constants(config).items():
        for part in register(name).parts:
            has, wanted = ((value & part.mask) >> part.lsb for value in (registers.read(name), expected))
            if has != wanted:
                label = f"{name}.{part.name}" if part.name else name
                shown = part.codes[wanted] if part.codes else wanted
                actual = part.codes[has] if has < len(part.codes) else has
                differences.append(f"{label} must be {shown} for {config.name}, and the core has {actual}")
    if differences:
        raise UserError("\n".join(differences))
    return Identity(config.array, config.address_bits, config.word_bytes, config.queue)


def _learn(registers: Registers) -> Identity:
    shape, bus = registers.fields("SHAPE"), registers.fields("BUS")
    try:
        formats = format_fields(registers.read("FORMAT"))
    except IndexError:
        raise UserError("FORMAT of the core names a format that this software does not know") from None
    # An array that aligns nothing, of floating-point activations, multiplies them as they are.
    aligned = formats["act_format"] == "int" or formats["align_bits"]
    array = Config(
        **formats,
        fp_scheme="aligned" if aligned else "fp_mac",
        group=registers.read("GROUP"),
        rows=shape["ROWS"],
        cols=shape["COLS"],
        lanes=shape["LANES"],
    )
    return Identity(array, bus["ADDRESS_BITS"], bus["DATA_BYTES"], bus["QUEUE"])
