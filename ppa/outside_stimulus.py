"""What a competitor from outside this package gets while its energy is measured, by what its ports do."""

import numpy as np

from ..spec.formats.numbers import FP16, FP32
from ..synth.simulate.gates import Stimulus
from .float_stimuli import codes, dequantized, group_sums
from .operands import CYCLES, WARMUP, Operands, Walk, layer_operands, pe_walk, port_values
from .outside import Outside

_RESET_CYCLES = 2


def outside_stimulus(outside: Outside) -> Stimulus:
    """Returns the stimulus of at most `CYCLES` cycles: a reset, then groups of real operands, back to back.

    With a port `clear`, a cycle without operands begins every group; with `first` or `last`, the port is 1
    beside the first or the last operands. Without any of the three the sum runs on over all groups.
    """
    description, config = outside.description, outside.config
    operands = layer_operands(config)
    ports = description.ports
    start = _RESET_CYCLES if "reset" in ports else 0
    # A cycle in front of every group is a beat less; groups have at least `beats` of them.
    room = CYCLES - start - description.latency - 1
    gap = 1 if "clear" in ports else 0
    walk = pe_walk(config, operands, room * config.group_beats // (config.group_beats + gap))
    begins = np.array([own.first for own in walk.groups])
    places = np.arange(len(walk)) + start + gap * np.searchsorted(begins, np.arange(len(walk)), "right")
    cycles = int(places[-1]) + description.latency + 2
    played = {}
    for name, values in _operand_codes(outside, walk, operands).items():
        column = np.zeros(cycles, dtype=object)
        column[places] = values
        played[name] = column.tolist()
    ends = np.array([own.first + own.beats - 1 for own in walk.groups])
    marks = {
        "valid": places,
        "first": places[begins],
        "last": places[ends],
        "clear": places[begins] - gap,
    }
    for role, at in marks.items():
        if role in ports:
            played[role] = _pulses(cycles, at)
    if "reset" in ports:
        level = np.arange(cycles) < start
        played["reset"] = (level == description.reset_high).astype(int).tolist()
    warmup = start + WARMUP
    note = "" if description.exact else ", sums not compared"
    return Stimulus(
        inputs=played,
        warmup=warmup,
        expected=_expected(outside, walk, operands, places[ends]),
        derived={_WORD: (outside.sum_bits, _word(outside))} if description.exact else {},
        description=(
            f"{operands.description}; one element from outside, {len(walk)} cycles, "
            f"{len(walk.groups)} groups{note}"
        ),
        macs=int(walk.useful[places >= warmup].sum()),
    )


def _pulses(cycles: int, at: np.ndarray) -> list[int]:
    values = np.zeros(cycles, dtype=int)
    values[at] = 1
    return values.tolist()


_WORD = "word"


def _word(outside: Outside) -> str:
    """Returns the sum as it is compared: a floating-point zero has either sign."""
    if outside.description.arithmetic == "integer":
        return "sum"
    return f"(sum[{outside.sum_bits - 2}:0] == 0 ? 0 : sum)"


def _operand_codes(outside: Outside, walk: Walk, operands: Operands) -> dict[str, list[int]]:
    """Returns the bit patterns of the operand ports, beat by beat."""
    description, config = outside.description, outside.config
    weights, acts = walk.weights, walk.acts
    if description.arithmetic == "fp16":
        weights = codes(dequantized(walk, operands, config))
    bits = {name: width // config.lanes for name, width in description.operand_bits.items()}
    if description.arithmetic != "integer":
        acts = codes(acts)
    return {
        "weights": port_values(weights, bits["weights"]),
        "activations": port_values(acts, bits["activations"]),
    }


def _expected(
    outside: Outside, walk: Walk, operands: Operands, ends: np.ndarray
) -> dict[str, list[tuple[int, int]]]:
    """Returns the sums that are due, after the cycles `ends` of the groups' last operands."""
    description, config = outside.description, outside.config
    if not description.exact:
        return {}
    if description.arithmetic == "integer":
        sums = walk.sums(walk.acts)
        if not {"first", "last", "clear"} & description.ports.keys():
            sums = np.cumsum(np.array(sums, dtype=object)).tolist()
    else:
        fp16 = description.arithmetic == "fp16"
        weights = dequantized(walk, operands, config) if fp16 else walk.weights
        out = FP16 if outside.sum_bits == 16 else FP32
        sums = [0 if code == 1 << (out.bits - 1) else code for code in group_sums(walk, weights, out)]
    mask = (1 << outside.sum_bits) - 1
    due = [(int(end) + description.latency, total & mask) for end, total in zip(ends, sums, strict=True)]
    return {_WORD: due}
