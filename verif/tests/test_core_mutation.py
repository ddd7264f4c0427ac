"""Mutants of cores: each is killed by the battery of the fast simulation, proved equal, or listed here.

Yosys chooses them by a seed and by the Verilog, so that a change of a core brings others. One that lives is a
hole of the battery, which is to be mended; or what it changes cannot be seen, and it is to be listed.
"""

import pytest

from mixpe.spec.core import CoreConfig
from verif.harness.core_mutants import judge, make, reason
from verif.harness.verdicts import table, unknown
from verif.samples.cores import CORES, SIMULATED, TINY

NIGHTLY: dict[str, tuple[CoreConfig, int]] = {
    "simulated": (SIMULATED, 150),
    "tiny": (TINY, 150),
    "64 bits": (CORES["1x1, a beat for a group, pages as bursts"], 100),
}


def tried(config: CoreConfig, count: int, seed: int, folder, **options) -> list[str]:
    """Returns the keys of those of `count` mutants that live without a known reason."""
    verdicts = judge(make(config, count, seed, folder), config, seeds=(seed,), **options)
    print(table(verdicts, reason))
    keys = unknown(verdicts, reason)
    print("\n".join(keys))
    return keys


def test_sample(tmp_path):
    assert not tried(TINY, 6, 1, tmp_path, commands=10)


@pytest.mark.nightly
@pytest.mark.parametrize("name", NIGHTLY)
def test_hundreds(name, tmp_path):
    config, count = NIGHTLY[name]
    assert not tried(config, count, 2, tmp_path, commands=60, processes=2)
