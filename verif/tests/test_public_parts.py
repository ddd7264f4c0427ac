"""What a user may get wrong with the public parts is an error in one line."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from mixpe import (
    Accelerator,
    Config,
    CoreConfig,
    UserError,
    mpgemm,
    pack_matmul,
    quantize_activations,
    quantize_weights,
    write_design,
)
from mixpe.gen.verilog import convert
from mixpe.hw import PE, Core, StreamCore, Top
from mixpe.hw.modules import place
from mixpe.sim.fast import SimulatedCore

pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")

ARRAY = Config(rows=1, cols=1, group=4, name="mine")
CORE = CoreConfig(array=ARRAY)
STREAM = CoreConfig(array=ARRAY, bus="stream")
WEIGHTS = quantize_weights(np.eye(8), ARRAY)
ACTS = np.ones((2, 8), np.int64)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Top(CORE), "config must be a Config, not a CoreConfig"),
        (lambda: PE({"rows": 2}), "config must be a Config, not a dict"),
        (lambda: Core(ARRAY), "config must be a CoreConfig, not a Config"),
        (lambda: Core(STREAM), "bus must be axi"),
        (lambda: StreamCore(ARRAY), "config must be a CoreConfig, not a Config"),
        (lambda: StreamCore(CORE), "bus must be stream"),
        (
            lambda: PE(Config(act_format="fp16", fp_scheme="fp_mac", weight_signed=False)),
            "weight_signed must be true",
        ),
        (lambda: mpgemm(ACTS, WEIGHTS, config=CORE), "config must be a Config, not a CoreConfig"),
        (lambda: pack_matmul(ACTS, WEIGHTS, config=CORE), "config must be a Config, not a CoreConfig"),
        (lambda: mpgemm(ACTS, WEIGHTS, config=Config(group=8)), "groups of 4"),
        (lambda: pack_matmul(ACTS, WEIGHTS, config=Config(group=4, weight_bits=3)), "the array takes INT3"),
        (lambda: quantize_weights(np.eye(8), CORE), "config must be a Config, not a CoreConfig"),
        (lambda: quantize_activations(np.eye(8), CORE), "config must be a Config, not a CoreConfig"),
        (lambda: write_design("x"), "config must be a Config or a CoreConfig, not a str"),
        (lambda: SimulatedCore(Config()), "config must be a CoreConfig, not a Config"),
        (lambda: Accelerator(None, Config()), "config must be a CoreConfig, not a Config"),
    ],
)
def test_wrong_configurations(make, message):
    with pytest.raises(UserError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


class Both(wiring.Component):
    """A design of the user's with the arrays of two configurations, shared or each a part of its own."""

    def __init__(self, configs, modules, shared: bool):
        self.tops = [Top(config, modules) for config in configs]
        self.modules = modules
        self.shared = shared
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        for index, top in enumerate(self.tops):
            if self.shared:
                place(m, f"top{index}", lambda top=top: top, self.modules, top.config.name)
            else:
                m.submodules[f"top{index}"] = top
        return m


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("field", [{"datapath": "booth"}, {"group": 5}, {"zero_point": True}], ids=str)
def test_two_configurations_of_one_name(field, shared):
    other = Config(rows=1, cols=1, name="mine", **({"group": 4} | field))
    with pytest.raises(UserError, match=r"module mine\w* would be two components of type \w+, which differ"):
        convert("both", lambda modules: Both([ARRAY, other], modules, shared))


def test_equal_configurations_share_their_modules():
    twice = convert("both", lambda modules: Both([ARRAY, ARRAY], modules, False))
    assert twice.count("\nmodule mine_column(") == 1


def test_two_kinds_of_component_of_one_name():
    class Odd(wiring.Component):
        def __init__(self, modules):
            self.modules = modules
            super().__init__({})

        def elaborate(self, platform):
            m = Module()
            place(m, "a", lambda: Top(ARRAY, self.modules), self.modules, "part")
            place(m, "b", lambda: PE(ARRAY, self.modules), self.modules, "part")
            return m

    with pytest.raises(UserError, match="module part would be two components, a Top and a PE"):
        convert("odd", Odd)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("module", "no reserved word of Verilog, not 'module'"),
        ("logic", "no reserved word"),
        ("two words", "letters, digits and underscores"),
        ("1st", "letters, digits and underscores"),
        ("", "letters, digits and underscores"),
        ("mine_pe", "none of the modules that the design places"),
    ],
)
def test_names_of_modules(name, message):
    with pytest.raises(UserError, match=message):
        convert(name, lambda modules: Top(ARRAY, modules))
