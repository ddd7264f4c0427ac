"""The driver of the accelerator core: products of arrays, whatever carries register and memory accesses."""
