"""Gate-level simulation of a mapped netlist, and what its wires did."""
