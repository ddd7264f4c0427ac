"""Random numbers and clocks of cocotb benches."""

import numpy as np


def bench_rng() -> np.random.Generator:
    """Returns a NumPy generator seeded from `cocotb.RANDOM_SEED`, which cocotb sets for each test of a run.

    To be called inside a test: the same run seed and test name give the same numbers.
    """
    import cocotb  # the seed exists only inside a simulation

    return np.random.default_rng(cocotb.RANDOM_SEED)


def start_clock(clk, period_ns: int = 2) -> None:
    """Starts the clock `clk`, driven by the simulator interface: Python would take longer."""
    from cocotb.clock import Clock

    Clock(clk, period_ns, unit="ns", impl="gpi").start()
