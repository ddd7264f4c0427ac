"""Every processing element's datapath, for every format up to 8 x 8 bits, under every simulator."""

import pytest

from mixpe.verif.benches.pe_bank import bank_verilog
from mixpe.verif.runner import SIMULATORS, simulate


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("lanes", [1, 4])
def test_pe(lanes, simulator, tmp_path):
    source = tmp_path / "pe_bank.v"
    source.write_text(bank_verilog(lanes))
    simulate(
        sources=[source],
        top="pe_bank",
        bench="mixpe.verif.benches.pe",
        simulator=simulator,
        build_dir=tmp_path / simulator,
        # More lanes meet random pairs: 65536 of them to the power of the lanes are too many.
        testcase=["every_pair", "random_groups"] if lanes == 1 else ["random_groups"],
    )
