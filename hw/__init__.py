"""The hardware: formats, configuration, processing elements, array, dequantizer, top.

`mixpe.hw.formats`, `mixpe.hw.config` and `mixpe.hw.errors` use the standard library only, so that
the golden model and the tools read widths and latencies without touching the hardware.
"""
