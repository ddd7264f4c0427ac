"""The floating-point units against NumPy, under every simulator."""

import pytest

from mixpe.verif.benches.fp_bank import bank_verilog
from mixpe.verif.runner import SIMULATORS, simulate

LANES = 64


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_units_match_numpy(simulator, tmp_path):
    source = tmp_path / "fp_bank.v"
    source.write_text(bank_verilog(LANES))
    simulate(
        sources=[source],
        top="fp_bank",
        bench="mixpe.verif.benches.fp",
        simulator=simulator,
        build_dir=tmp_path / simulator,
    )
