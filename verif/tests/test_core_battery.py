"""Sound cores pass the battery of the fast simulation: registers, refusals, far rows, sizes of every bit."""

import os
import random

import pytest

from verif.harness.core_battery import battery
from verif.harness.core_bench import Design
from verif.samples.cores import CORES, SIMULATED

GIVEN_SEED = os.environ.get("COCOTB_RANDOM_SEED")


def passed(name: str, seed: int, commands: int) -> None:
    """Fails with the seed if a core does not pass. COCOTB_RANDOM_SEED wins over `seed`."""
    config, seed = CORES.get(name, SIMULATED), int(GIVEN_SEED or seed)
    try:
        parts = list(battery(Design(config), seed, commands))
    except Exception as error:
        error.add_note(f"{config.name}, {name}; to repeat: COCOTB_RANDOM_SEED={seed}")
        raise
    assert parts[-1].startswith("soak")


@pytest.mark.parametrize("seed", range(2))
def test_battery(seed):
    passed("the simulated one", seed, 20)


@pytest.mark.nightly
@pytest.mark.parametrize("name", CORES)
def test_battery_of_all_cores(name):
    for _ in range(10):
        passed(name, random.getrandbits(31), 30)
