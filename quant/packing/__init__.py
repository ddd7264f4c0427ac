"""Operands and results as bits: beats of streams, regions of memory, files of packed weights."""
