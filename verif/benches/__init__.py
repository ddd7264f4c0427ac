"""cocotb benches: each module holds the tests of one design, run by `mixpe.sim.cocotb.runner.simulate`."""
