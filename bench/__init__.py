"""How fast and how exact things are: the golden model, simulations, a core's throughput, alignment."""
