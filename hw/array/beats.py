"""Payload layouts of the top's streams, made from their one list (`mixpe.spec.streams`)."""

from amaranth.hdl import Shape
from amaranth.lib import data

from ...spec.array import Config
from ...spec.streams import Field, streams


class Beat(data.StructLayout):
    """The payload of a stream of the top: the fields that `mixpe.spec.streams.streams` lists for `name`."""

    def __init__(self, config: Config, name: str):
        fields = next(stream.fields for stream in streams(config) if stream.name == name)
        super().__init__({field.name: _shape(field) for field in fields})


def _shape(field: Field):
    """Returns the shape of a field: its elements, in arrays of arrays, the last index innermost."""
    shape: object = Shape(field.format.bits, signed=field.format.twos_complement)
    for count in reversed(list(field.counts.values())):
        shape = data.ArrayLayout(shape, count)
    return shape
