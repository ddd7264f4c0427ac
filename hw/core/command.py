"""A command as software wrote it, and the ports by which it comes from the registers."""

from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...spec.registers import CODE_BITS, COMMAND, QUEUED_BITS, TAG_BITS, Field, Register


class Command(data.StructLayout):
    """Holds what the registers of `mixpe.spec.registers.COMMAND` hold at a write of SUBMIT, unchecked.

    Members, after the registers (or their fields) in lower case: `a_address`, `w_address`, `s_address`,
    `t_address`, `o_address` (64 bits), `a_stride`, `o_stride`, `m`, `k`, `n` (32), `group` (16), `layout` (8)
    and `tag` (16), which SUBMIT brings.
    """

    def __init__(self):
        super().__init__({member_name(register, part): part.width for register, part in COMMAND})


def member_name(register: Register, part: Field) -> str:
    """Returns the name of a `Command`'s member that takes `part`, a field of `register` or all of it."""
    return (part.name or register.name).lower()


class CommandPort(wiring.Signature):
    """Declares the ports between the registers and what runs commands, as the registers do.

    A command is offered until it is `checked`; `submit` comes in that cycle. `refused` answers it within the
    cycle, and `error_pending` follows `failed` within the cycle.

    Members
    -------
    offered: out, 1: software wants to submit `command`, which stays as it is until then.
    checked: in, 1, while `offered` is high: the command may be submitted in this cycle.
    submit: out, 1: software submits `command` in this cycle.
    command: out, `Command`: the command as the registers hold it.
    refused: in, `CODE_BITS`, in the cycle of `submit`: the `Error` for which the command is refused; 0 takes
        it.
    error_pending: out, 1: the register ERROR holds an error, or takes the one of `failed` in this cycle.
    cancel: out, 1: a pulse; commands under way and waiting are to end.
    busy: in, 1: a command is under way or waits.
    queued: in, `QUEUED_BITS`: commands that wait.
    done: in, 1: a pulse; a command is done.
    done_tag: in, `TAG_BITS`, in the cycle of `done`: its tag.
    failed: in, 1: a pulse; a command ended by an error.
    failed_code: in, `CODE_BITS`, in the cycle of `failed`: the `Error`, not 0.
    failed_tag: in, `TAG_BITS`, in the cycle of `failed`: the command's tag.
    """

    def __init__(self):
        super().__init__(
            {
                "offered": Out(1),
                "checked": In(1),
                "submit": Out(1),
                "command": Out(Command()),
                "refused": In(CODE_BITS),
                "error_pending": Out(1),
                "cancel": Out(1),
                "busy": In(1),
                "queued": In(QUEUED_BITS),
                "done": In(1),
                "done_tag": In(TAG_BITS),
                "failed": In(1),
                "failed_code": In(CODE_BITS),
                "failed_tag": In(TAG_BITS),
            }
        )
