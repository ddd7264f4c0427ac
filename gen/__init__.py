"""Writes a configuration as files: Verilog, its manifest, its testbench, and what helps to place it."""
