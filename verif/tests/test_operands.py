"""Real operands of one processing element, port by port."""

from pathlib import Path

import numpy as np
import pytest

from mixpe.ppa import operands as operands_module
from mixpe.ppa.operands import LayerOperands, Operands, layer_operands, pe_stimulus, port_values
from mixpe.spec.array import Config
from mixpe.spec.errors import UserError
from verif.samples.products import matrix


def test_stimulus_of_known_operands() -> None:
    """Two groups and a short one, two lanes: operands in ascending k, ends and sums at their cycles."""
    config = Config(group=4, lanes=2)
    q = np.array([1, -2, 3, -4, 5, -6, 7, -8, 1]).reshape(9, 1)
    a = np.array([[10, 20, 30, 40, 50, 60, 70, 80, 90]])
    s = np.ones((3, 1), np.float16)
    layer = LayerOperands("known", a, q, s, None, np.ones(1, np.float32), matrix(config, q, s))
    operands = Operands((layer,), "known")
    stimulus = pe_stimulus(config, operands, cycles=12)
    assert stimulus.inputs["acts"][:5] == [10 | 20 << 8, 30 | 40 << 8, 50 | 60 << 8, 70 | 80 << 8, 90]
    assert stimulus.inputs["weights"][:5] == [0x1 | 0xE0, 0x3 | 0xC0, 0x5 | 0xA0, 0x7 | 0x80, 0x1]
    assert stimulus.inputs["group_end"][:7] == [1, 0, 1, 0, 1, 1, 0]
    sums = [10 - 40 + 90 - 160, 250 - 360 + 490 - 640, 90]
    found = stimulus.expected["sum"][:3]
    assert found == [
        (1 + 2, sums[0] % 2**config.sum_bits),
        (3 + 2, sums[1] % 2**config.sum_bits),
        (4 + 2, 90),
    ]


def test_recoded_weights() -> None:
    lanes = np.array([[-8, 7], [0, 1]])
    assert port_values(lanes, 4) == [0x78, 0x10]
    assert port_values(lanes, 5, lambda value: value + 8) == [15 << 5, 9 << 5 | 8]
    with pytest.raises(UserError, match="recoded operand must be 0 to 15, not 16 for 1"):
        port_values(lanes, 4, lambda value: {-8: 0, 7: 1, 0: 2, 1: 16}[value])


def test_operands_say_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(group=32, weight_bits=8)

    def absent(name: str) -> Path:
        raise UserError(f"{name} is not here")

    monkeypatch.setattr(operands_module, "find", absent)
    synthetic = layer_operands(config)
    assert synthetic.description == "synthetic Gaussian, seed 0, W8 group 32, A8 per token"
    again = layer_operands(config)
    assert (again.layers[0].q == synthetic.layers[0].q).all()
    assert np.abs(synthetic.layers[0].q).max() > 100
    first, second = (pe_stimulus(config, synthetic, cycles=200) for _ in range(2))
    assert first == second
    assert first.cycles <= 200
