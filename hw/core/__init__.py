"""The accelerator core: registers, command queue, memory engines and buffers around the array.

Streams and one-cycle pulses inside, AXI4-Lite and AXI4 outside. `mixpe.spec.core`, `mixpe.spec.layout` and
`mixpe.spec.registers` describe, without hardware, the numbers by which it works.
"""
