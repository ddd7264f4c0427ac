"""The software side in NumPy: golden model, quantizers, stream packing, data files, a small LLM.

Nothing here imports the hardware; widths and formats come from `mixpe.spec.array` and
`mixpe.spec.formats.numbers`.
"""
