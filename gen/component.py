"""The hardware that a configuration describes."""

from amaranth.lib import wiring

from ..hw.config import Config
from ..hw.core.axi_stream import StreamCore
from ..hw.core.core import Core
from ..hw.core_config import CoreConfig
from ..hw.modules import Modules
from ..hw.top import Top


def component(config: Config | CoreConfig, modules: Modules | None = None) -> wiring.Component:
    """Returns the top of the design; `modules` as of `mixpe.hw.modules`."""
    if isinstance(config, Config):
        return Top(config, modules)
    return {"axi": Core, "stream": StreamCore}[config.bus](config, modules)
