"""Components in Amaranth's own simulator, elaborated inline."""

from amaranth.sim import Simulator

PERIOD = 1e-6


def run(component, *testbenches, cycles: int) -> None:
    """Runs `testbenches` together; fails if they take more than `cycles`."""
    simulator = Simulator(component)
    simulator.add_clock(PERIOD)
    for testbench in testbenches:
        simulator.add_testbench(testbench)

    async def watch(ctx):
        await ctx.delay(cycles * PERIOD)
        raise AssertionError(f"not done after {cycles} cycles")

    simulator.add_testbench(watch, background=True)
    simulator.run()
