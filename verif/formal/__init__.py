"""Proofs that streams, AXI4 channels, queues and buffers keep their rules, whatever the other side does.

`python -m verif.formal <configuration>` proves a design, and prints a table. docs/formal.md says what is
proved, and what is taken for granted.

proof       a part under proof: free inputs, properties, assumptions
rules       the rules of streams and of AXI4 channels
lines       the rules of a queue
arrays      proofs of an array
cores       proofs of an accelerator core and its parts
designs     all proofs of a design
aiger       and-inverter graphs
engine      runs Yosys and ABC
"""
