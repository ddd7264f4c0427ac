"""Which tests run, and in which order: the longest first, so that no worker is left with one at the end."""

import os
from pathlib import Path

# Simulators run Python of their own, which finds the benches of `verif` by this.
os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])

_LONGEST_FIRST = (
    *("test_fp.py", "test_matmul.py", "test_pe.py", "test_fp_mac.py", "test_equivalence.py"),
    *("test_aligned.py", "test_measure.py", "test_golden_float.py", "test_baselines.py", "test_mutants.py"),
    *("test_core.py", "test_core_mutants.py", "test_core_soak.py", "test_llm_command.py", "test_sim_core.py"),
    *("test_sim_library.py", "test_axi_stream.py"),
)


def pytest_collection_modifyitems(config, items):
    def turn(item):
        name = item.path.name
        return _LONGEST_FIRST.index(name) if name in _LONGEST_FIRST else len(_LONGEST_FIRST)

    items.sort(key=turn)
