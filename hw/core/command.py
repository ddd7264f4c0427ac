"""A command as software wrote it."""

from amaranth.lib import data

from ...spec.registers import COMMAND, Field, Register


class Command(data.StructLayout):
    """What the registers of `mixpe.spec.registers.COMMAND` hold at a write of SUBMIT, unchecked.

    Members, after the registers (or their fields) in lower case: `a_address`, `w_address`, `s_address`,
    `t_address`, `o_address` (64 bits), `a_stride`, `o_stride`, `m`, `k`, `n` (32), `group` (16), `layout` (8)
    and `tag` (16), which SUBMIT brings.
    """

    def __init__(self):
        super().__init__({member_name(register, part): part.width for register, part in COMMAND})


def member_name(register: Register, part: Field) -> str:
    """The member of a `Command` that takes `part`, a field of `register` or all of it."""
    return (part.name or register.name).lower()
