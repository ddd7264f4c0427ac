"""Parts for cocotb benches: a runner, stream drivers, a model of memory, a player of whole products."""
