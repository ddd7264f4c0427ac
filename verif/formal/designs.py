"""The proofs of a design, and a small core for which all of them are quick."""

from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig

from .arrays import Maker, array_proofs, stream_proofs
from .cores import core_proofs

SMALL = CoreConfig(
    name="small_core",
    array=Config(rows=2, cols=3, group=3, zero_point=True, token_scale=True),
    data_bits=64,
    address_bits=32,
    burst=4,
    outstanding=2,
    act_words=8,
    weight_words=8,
    scale_words=8,
    queue=2,
)
"""A core in which everything is small, and rows of results cross pages."""


def proofs(config: Config | CoreConfig) -> dict[str, Maker]:
    """Returns the proofs of a design by name: those of a core are of its parts and of its array too."""
    if isinstance(config, Config):
        return array_proofs(config)
    return (
        stream_proofs(config) if config.bus == "stream" else core_proofs(config) | array_proofs(config.array)
    )
