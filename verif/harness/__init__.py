"""Programs around a design under test: bus masters, soak runs, proofs of equivalence."""
