"""Register stages of the arithmetic units, in cycles from input to output."""

INT_TO_FLOAT_STAGES = 2
MULTIPLY_STAGES = 3
ADD_STAGES = 4
CAST_STAGES = 1

ALIGN_STAGES = 2
"""Cycles that the first beat of an aligned group waits besides those in which its group enters."""
