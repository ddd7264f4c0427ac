"""Checks of the sources and of the generated Verilog."""
