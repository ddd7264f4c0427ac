"""Real operands for measuring energy: weights and activations of a quantized language model, for a PE.

Zeros, small values and runs of one sign make real operands toggle fewer bits than random ones, and
every datapath profits differently; energy is therefore measured on these, and the report names them.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..models.llama import BOS, Llama
from ..models.tokenizer import Tokenizer
from ..quant.golden.align import align
from ..quant.matrix import QuantizedMatrix
from ..quant.quantize import quantize_activations, quantize_weights
from ..spec.array import Config
from ..spec.errors import UserError
from ..support.data import find
from ..synth.simulate.gates import Stimulus

MODEL, TOKENIZER = "models/stories260K.bin", "models/tok512.bin"
PROMPT = "Once upon a time, there was a"
LAYERS = ("layers.2.wq", "layers.2.w1", "layers.2.w2")
"""Attention and both feed-forward sides of the middle layer; K is 64, 64 and 172."""

_SEED = 0
_SYNTHETIC_SHAPE = (16, 256, 64)  # M, K, N

CYCLES = 1500
"""The greatest number of cycles for which a processing element is simulated."""
WARMUP = 8
"""Cycles at the beginning that count for no energy."""
SUM_LAG = 2
"""Cycles from a group's last operands until its sum."""

_files: ContextVar[tuple[Path, ...] | None] = ContextVar("files", default=None)


def model_files() -> tuple[Path, ...]:
    """Returns the files of the model that operands come from; none if they are not to be had."""
    try:
        return find(MODEL), find(TOKENIZER)
    except UserError:
        return ()


@contextmanager
def operand_files(files: tuple[Path, ...]) -> Iterator[None]:
    """Takes operands from these `model_files` meanwhile, instead of looking for them."""
    token = _files.set(files)
    try:
        yield
    finally:
        _files.reset(token)


@dataclass(frozen=True)
class LayerOperands:
    """A quantized linear layer: activations a[M, K] of config.act_code and their scales t[M]; weights.

    q: [K, N], the integers that codes stand for. s, z: [G, N], scales and zero points.
    """

    name: str
    a: np.ndarray = field(repr=False)
    q: np.ndarray = field(repr=False)
    s: np.ndarray = field(repr=False)
    z: np.ndarray | None = field(repr=False)
    t: np.ndarray | None = field(repr=False)
    weights: QuantizedMatrix = field(repr=False)


@dataclass(frozen=True)
class Operands:
    """Quantized layers, and in words what they are."""

    layers: tuple[LayerOperands, ...]
    description: str


def layer_operands(config: Config, layers: Sequence[str] = LAYERS, prompt: str = PROMPT) -> Operands:
    """Returns linear layers of stories260K as they run while it reads `prompt`, quantized for `config`.

    Weights are quantized per group of `config.group` along K and column, activations per token. Without the
    model's files (and without a network to fetch them from): Gaussian weights and activations of a fixed
    seed, quantized alike; `description` says which. Raises `UserError` for a layer the model lacks.
    """
    acts = f"A{config.act_bits} per token" if config.act_format == "int" else str(config.act_code)
    weights = f"W{config.weight_bits}" if config.matrix.weight.integers else str(config.weight_code)
    quantized = f"{weights} group {config.group}, {acts}"
    found = _files.get()
    files = model_files() if found is None else found
    if not files:
        rng = np.random.default_rng(_SEED)
        m, k, n = _SYNTHETIC_SHAPE
        layer = _quantized("gaussian", rng.standard_normal((m, k)), rng.standard_normal((k, n)), config)
        return Operands((layer,), f"synthetic Gaussian, seed {_SEED}, {quantized}")
    model, tokenizer = files
    recorded = _recorded(Llama.load(model), tokenizer, prompt)
    if missing := [name for name in layers if name not in recorded]:
        raise UserError(f"layer must be one of {', '.join(recorded)}, not {missing[0]!r}")
    own = tuple(_quantized(name, *recorded[name], config) for name in layers)
    return Operands(own, f'stories260K {", ".join(layers)}, prompt "{prompt}", {quantized}')


def _recorded(model: Llama, tokenizer: Path, prompt: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    layers: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def linear(name: str, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        layers[name] = (x, w)
        return x @ w

    tokens = [BOS, *Tokenizer.load(tokenizer, model.config.vocab).encode(prompt)]
    model.forward(tokens, model.new_cache(), linear)
    return layers


def _quantized(name: str, x: np.ndarray, w: np.ndarray, config: Config) -> LayerOperands:
    if not config.weight_signed and not config.zero_point:
        w = np.abs(w)  # such codes stand for weights that are nowhere negative
    weights = quantize_weights(w, config)
    a, t = quantize_activations(x, config)
    return LayerOperands(
        name,
        a,
        weights.integers,
        weights.groups["s"],
        weights.zeros,
        t if config.row_members else None,
        weights,
    )


# Into ports


def port_values(lanes: np.ndarray, bits: int, recode: Callable[[int], int] | None = None) -> list[int]:
    """Returns integers [cycles, lanes] as one port's bit pattern per cycle, lane 0 in the low bits.

    A lane takes `bits` bits: the integer in two's complement, or what `recode` makes of it.
    """
    mask = (1 << bits) - 1
    make = recode or (lambda value: value & mask)
    patterns = {value: make(value) for value in np.unique(lanes).tolist()}
    for value, pattern in patterns.items():
        if not 0 <= pattern <= mask:
            raise UserError(f"recoded operand must be 0 to {mask}, not {pattern} for {value}")
    return [sum(patterns[value] << bits * lane for lane, value in enumerate(row)) for row in lanes.tolist()]


@dataclass(frozen=True)
class Group:
    """Beats `first` to `first + beats` of a walk: rows `start` to `stop` of column `n` of a layer."""

    first: int
    beats: int
    layer: int
    n: int
    start: int
    stop: int


@dataclass(frozen=True)
class Walk:
    """What one processing element multiplies, [beats, lanes], group after group.

    weights: signed integers. acts: of `Config.act_code`. useful: of each beat, the lanes within its group;
    others are zeros.
    """

    weights: np.ndarray
    acts: np.ndarray
    useful: np.ndarray
    groups: tuple[Group, ...]

    def __len__(self) -> int:
        return len(self.useful)

    def beats(self) -> Iterator[slice]:
        """Yields the beats of each group."""
        for group in self.groups:
            yield slice(group.first, group.first + group.beats)

    def integers(self, config: Config) -> np.ndarray:
        """Returns the activations as integers: themselves, or aligned group by group."""
        if config.scheme.name == "integer":
            return self.acts.astype(np.int64)
        parts = [align(self.acts[own].reshape(1, -1), config).integers for own in self.beats()]
        return np.concatenate([part.reshape(-1, config.lanes) for part in parts])

    def sums(self, acts: np.ndarray) -> list[int]:
        """Returns the exact sum of each group's weights times `acts`, integers [beats, lanes]."""
        return [int((self.weights[own] * acts[own]).sum()) for own in self.beats()]


def pe_walk(config: Config, operands: Operands, beats: int) -> Walk:
    """Returns a random walk through the layers' outputs (m, n): whole groups, at most `beats` beats in all.

    Every beat has `config.lanes` weights and activations in ascending k. The same arguments give the same
    walk. Raises `UserError` where not even one group has room.
    """
    lanes, length = config.lanes, 0
    weights: list[np.ndarray] = []
    acts: list[np.ndarray] = []
    useful: list[np.ndarray] = []
    groups: list[Group] = []
    for layer, n, start, w, a in _groups(config, operands):
        own = -(-len(w) // lanes)
        if length + own > beats:
            break
        pad = (0, own * lanes - len(w))
        weights.append(np.pad(w, pad).reshape(own, lanes))
        acts.append(np.pad(a, pad).reshape(own, lanes))
        useful.append(np.pad(np.ones(len(w), np.int64), pad).reshape(own, lanes).sum(axis=1))
        groups.append(Group(length, own, layer, n, start, start + len(w)))
        length += own
    if not groups:
        raise UserError(f"cycles must hold a group and its sum, not {beats}")
    all_weights, all_acts, all_useful = map(np.concatenate, (weights, acts, useful))
    return Walk(all_weights, all_acts, all_useful, tuple(groups))


def pe_stimulus(
    config: Config,
    operands: Operands,
    *,
    cycles: int = CYCLES,
    recode: Callable[[int], int] | None = None,
    recoded_bits: int | None = None,
) -> Stimulus:
    """Returns operands of one PE: the `pe_walk` of at most `cycles` cycles, with the last sum's.

    `Stimulus.macs` counts products without padding lanes; the sums are computed here from the integers.
    `recode` makes a weight's `recoded_bits` port bits from the signed weight, for datapaths that recode at
    the array's edge.
    """
    walk = pe_walk(config, operands, cycles - SUM_LAG)
    acts = walk.integers(config)
    inputs = {
        "weights": port_values(walk.weights, recoded_bits or config.weight.bits, recode),
        "acts": port_values(acts, config.lane_wires),
    }
    return walk_stimulus(walk, inputs, walk.sums(acts), config.sum_bits, operands)


def walk_stimulus(
    walk: Walk,
    inputs: Mapping[str, Sequence[int]],
    sums: Sequence[int],
    sum_bits: int,
    operands: Operands,
    early: Collection[str] = (),
) -> Stimulus:
    """Returns the stimulus that plays a walk: `inputs` are the operand ports' bit patterns, beat by beat.

    `sums`: of each group, due on the port `sum` modulo 2**`sum_bits`. `early`: ports that get their operands
    a cycle before the others, of elements with a register behind them.
    """
    wait = 1 if early else 0
    ends = [own.stop - 1 + wait for own in walk.beats()]
    group_end = np.zeros(len(walk) + wait + SUM_LAG, np.int64)
    group_end[[*range(wait + 1), *(end + 1 for end in ends)]] = 1
    mask = (1 << sum_bits) - 1
    due = [(end + SUM_LAG, total & mask) for end, total in zip(ends, sums, strict=True)]
    played = {}
    for name, values in inputs.items():
        before = 0 if name in early else wait
        played[name] = [*[0] * before, *values, *[0] * (wait - before + SUM_LAG)]
    return Stimulus(
        inputs=played | {"group_end": group_end.tolist()},
        warmup=WARMUP,
        expected={"sum": due},
        description=f"{operands.description}; one PE, {len(walk)} cycles, {len(ends)} groups",
        macs=int(walk.useful[WARMUP - wait :].sum()),
    )


def _groups(config: Config, operands: Operands) -> Iterator[tuple[int, int, int, np.ndarray, np.ndarray]]:
    """Yields layer, column, first k, signed weights and activations of group after group, without end."""
    rng = np.random.default_rng(_SEED)
    while True:
        for index, layer in enumerate(operands.layers):
            m, n = int(rng.integers(layer.a.shape[0])), int(rng.integers(layer.q.shape[1]))
            w, a = layer.q[:, n].astype(np.int64) - config.matrix.weight.offset, layer.a[m]
            for start in range(0, len(w), config.group):
                yield index, n, start, w[start : start + config.group], a[start : start + config.group]
