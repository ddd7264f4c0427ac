"""Every variant of the processing element, for formats up to 8 x 8 bits, under every simulator."""

import pytest

from mixpe.sim.cocotb.runner import simulate
from verif.benches.pe_bank import bank_verilog


# More lanes meet random pairs: 65536 of them to the power of the lanes are too many. Icarus takes minutes
# over every pair.
@pytest.mark.parametrize(
    ("simulator", "lanes", "every_pair"),
    [
        ("verilator", 1, True),
        pytest.param("verilator", 4, False, marks=pytest.mark.nightly),
        pytest.param("icarus", 1, False, marks=pytest.mark.nightly),
        ("icarus", 4, False),
        pytest.param("icarus", 1, True, marks=pytest.mark.nightly),
    ],
)
def test_pe(simulator, lanes, every_pair, tmp_path):
    source = tmp_path / "pe_bank.v"
    source.write_text(bank_verilog(lanes))
    simulate(
        sources=[source],
        top="pe_bank",
        bench="verif.benches.pe",
        simulator=simulator,
        build_dir=tmp_path / simulator,
        env={"MIXPE_BENCH_LANES": str(lanes)},
        testcase=["every_pair", "random_groups"] if every_pair else ["random_groups"],
    )
