"""Tests of the product, and what only they need. Nothing in the product imports this package.

tests       every test, run by pytest
benches     cocotb benches: what runs inside a simulator, and designs made for it
harness     what puts a design under test and drives it: bench runners, bus masters, soak runs, proofs
reference   a second opinion: the product's results computed in another way
samples     inputs that tests share: configurations, operands, models, records, Hypothesis strategies
libraries   cell libraries of a few cells whose areas, delays and energies are known by hand
formal      proofs, without a bound, of streams, bus channels and queues
lint        checks of the generated Verilog, for `make lint`
quick.py    the tests that `make quick` runs
"""
