"""The accelerator core: registers, command queue, memory engines and buffers around the array.

Streams and one-cycle pulses inside, AXI4-Lite and AXI4 outside. `mixpe.hw.core_config`, `mixpe.hw.layout` and
`mixpe.hw.register_map` describe, without hardware, the numbers by which it works.
"""
