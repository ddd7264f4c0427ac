"""The hardware that a configuration describes."""

from amaranth.lib import wiring

from ..hw.array.top import Top
from ..hw.core.axi_stream import StreamCore
from ..hw.core.core import Core
from ..hw.modules import Modules
from ..spec.array import Config
from ..spec.core import CoreConfig


def component(config: Config | CoreConfig, modules: Modules | None = None) -> wiring.Component:
    """Returns the top of the design; `modules` as of `mixpe.hw.modules`."""
    if isinstance(config, Config):
        return Top(config, modules)
    return {"axi": Core, "stream": StreamCore}[config.bus](config, modules)
