"""What a design is: fields, formats, widths, latencies, cycles, memory layout and registers.

This room uses the standard library only, so that the golden model, the tools and a design search read every
number of a design without elaborating hardware.
"""
