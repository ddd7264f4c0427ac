"""Random commands on whole cores in the fast simulation: memories of all sorts, errors, aborts, resets."""

import os
import random

import numpy as np
import pytest

from mixpe.spec.core import CoreConfig
from verif.harness.core_soak import Soak
from verif.samples.cores import CORES, SIMULATED

GIVEN_SEED = os.environ.get("COCOTB_RANDOM_SEED")
COMMANDS = 250
NIGHTLY = 10_000
PER_MEMORY = 25


def soak(config: CoreConfig, commands: int, seed: int) -> dict[str, int]:
    """Runs random commands, with a new memory for every few; returns how many batches had which fate.

    COCOTB_RANDOM_SEED wins over `seed`.
    """
    seed = int(GIVEN_SEED or seed)
    fates: dict[str, int] = {}
    for start in range(0, commands, PER_MEMORY):
        case = Soak(config, np.random.default_rng([seed, start]))
        try:
            left = min(PER_MEMORY, commands - start)
            while left:
                left -= case.batch(left)
        except Exception as error:
            error.add_note(f"memory {start} of {config.name}; to repeat: COCOTB_RANDOM_SEED={seed}")
            raise
        finally:
            case.close()
        fates = {fate: fates.get(fate, 0) + count for fate, count in case.fates.items()}
    return fates


def test_commands():
    fates = soak(SIMULATED, COMMANDS, seed=1)
    assert min(fates.values()) >= 1, fates


@pytest.mark.nightly
@pytest.mark.parametrize("name", CORES)
def test_thousands_of_commands(name):
    fates = soak(CORES[name], -(-NIGHTLY // len(CORES)), seed=random.getrandbits(31))
    assert min(fates.values()) >= 10, fates
