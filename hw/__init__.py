"""The circuits, in Amaranth: arithmetic, elements, array, core, and baselines to compare with."""
