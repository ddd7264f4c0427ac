"""From a configuration to files: Verilog, its manifest, its testbench."""
