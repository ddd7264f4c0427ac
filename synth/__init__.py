"""Takes Verilog to gates: Yosys, Liberty files, area, timing, power."""
