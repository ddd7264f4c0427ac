"""The buffers of a core: which sizes and widths each has."""

from ...spec import layout
from ...spec.core import CoreConfig
from ..modules import Modules
from .bank_buffer import BankBuffer
from .stream_buffer import StreamBuffer


def act_buffer(config: CoreConfig, modules: Modules | None = None) -> BankBuffer:
    """Returns the banks of the activations, one memory for each row of the array."""
    width = layout.act_beat_bits(config.array)
    return BankBuffer(config, rows=config.array.rows, depth=config.act_words, width=width, modules=modules)


def token_buffer(config: CoreConfig, modules: Modules | None = None) -> BankBuffer:
    """Returns the banks of the token scales, which are read a strip of rows at a time."""
    return BankBuffer(
        config,
        rows=1,
        depth=config.token_words,
        width=layout.TOKEN_BITS,
        step=config.array.rows,
        modules=modules,
    )


def stream_buffer(config: CoreConfig, name: str, modules: Modules | None = None) -> StreamBuffer:
    """Returns the queue of words of weights (`name` "weight") or of scales ("scale")."""
    if name == "weight":
        depth, width = config.weight_words, layout.weight_beat_bits(config.array)
    else:
        depth, width = config.scale_words, layout.scale_beat_bits(config.array)
    return StreamBuffer(config, depth=depth, width=width, modules=modules)
