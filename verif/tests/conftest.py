"""Which tests run, in which order, and how Hypothesis draws.

The longest tests come first, so that no worker is left with one at the end.
"""

import os
from pathlib import Path

import pytest
from hypothesis import configuration, settings

from mixpe.support.folders import cache_variables
from verif.quick import QUICK, is_quick

ROOT = Path(__file__).resolve().parents[2]

# Simulators run Python of their own, which finds the benches of `verif` by this.
os.environ["PYTHONPATH"] = str(ROOT)

# So do Amaranth's own Yosys and others that keep a cache, for a user without a home.
os.environ.update(cache_variables())

# The same examples in every run, unless a seed is given (then `make` gives it to Hypothesis too). There is no
# deadline: how long an example takes says more about the machine than about the example.
_SEEDED = bool(os.environ.get("COCOTB_RANDOM_SEED"))
settings.register_profile("each", max_examples=60, deadline=None, derandomize=not _SEEDED, database=None)
settings.register_profile("nightly", max_examples=2000, deadline=None, database=None)
settings.load_profile("each")
configuration.set_hypothesis_home_dir(ROOT / "build/hypothesis")

_LONGEST_FIRST = (
    "test_fp.py",
    "test_matmul.py",
    "test_pe.py",
    "test_fp_mac.py",
    "test_equivalence.py",
    "test_aligned.py",
    "test_measure.py",
    "test_golden_float.py",
    "test_baselines.py",
    "test_mutants.py",
    "test_core.py",
    "test_core_mutants.py",
    "test_core_soak.py",
    "test_small_floats.py",
    "test_large_groups.py",
    "test_ppa_competitors.py",
    "test_llm_command.py",
    "test_sim_core.py",
    "test_sim_library.py",
    "test_axi_stream.py",
)


def pytest_ignore_collect(collection_path, config):
    """Leaves files without a quick test alone where only those are wanted: reading them takes seconds."""
    if config.option.markexpr == "quick" and collection_path.suffix == ".py":
        names = [name for room in QUICK.values() for name in room]
        return None if any(name.startswith(collection_path.name) for name in names) else True
    return None


def pytest_itemcollected(item):
    if is_quick(item.nodeid):
        item.add_marker(pytest.mark.quick)


def pytest_collection_modifyitems(items):
    def turn(item):
        name = item.path.name
        return _LONGEST_FIRST.index(name) if name in _LONGEST_FIRST else len(_LONGEST_FIRST)

    items.sort(key=turn)
