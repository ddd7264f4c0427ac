"""From Verilog to gates: Yosys, Liberty files, area."""
