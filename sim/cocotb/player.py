"""Runs products through an array's Verilog in a simulator."""

import dataclasses
import json
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np

from ...gen.write import write_design
from ...quant.codecs import codec
from ...quant.matrix import QuantizedMatrix
from ...quant.operands import Operands
from ...spec.array import Config
from ...spec.errors import UserError
from .runner import Simulator, require_simulator, simulate

_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Played:
    """Holds what came out: `out` [M, N] of `Config.out`, and the cycles from first beat in to last out."""

    out: np.ndarray
    cycles: int


def play(
    products: Sequence[Operands], config: Config, simulator: Simulator, folder: Path
) -> Iterator[Played | None]:
    """Yields the result of each product, in order, as the simulation goes on; None while it goes on.

    Builds below `folder`. Raises `UserError` if the simulator is missing or the folder cannot be written,
    `SimulationError` if the simulation fails.
    """
    require_simulator(simulator)
    job = folder / "job"
    try:
        paths = _write_job(products, config, job)
    except OSError as error:
        raise UserError(f"cannot write {job}: {error.strerror or error}") from None
    design = write_design(config, folder)
    stop = Event()
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(
            simulate,
            sources=[design.verilog],
            top=config.name,
            bench="mixpe.sim.cocotb.play",
            simulator=simulator,
            build_dir=folder / simulator,
            seed=0,
            env={"MIXPE_JOB": str(job.resolve())},
            quiet=True,
            stop=stop,
        )
        try:
            yield from _results(paths, config, run)
        except BaseException:
            stop.set()  # or the pool waits for the simulation's own end
            raise
        run.result()


def _results(paths: Sequence[Path], config: Config, run: Future[None]) -> Iterator[Played | None]:
    """Yields what the simulation `run` leaves, product after product; None while it goes on."""
    for path in paths:
        while not (result := path.with_suffix(".out.npz")).exists():
            if run.done():
                run.result()
                break
            try:
                run.exception(timeout=_POLL_SECONDS)
            except TimeoutError:
                yield None
        with np.load(result) as file:
            yield Played(codec(config.out).decode(file["out"]), int(file["cycles"]))


def _codes(product: Operands) -> dict[str, np.ndarray]:
    """Returns the operands' codes: NumPy's files know no types of ml_dtypes."""
    matrix, weights = product.config.matrix, product.weights
    arrays = {
        "a": codec(product.config.act_code).encode(product.a),
        "q": codec(matrix.weight.code).encode(weights.codes),
    }
    for member in matrix.members:
        arrays[member.symbol] = codec(member.format).encode(weights.groups[member.symbol])
    return arrays if product.t is None else arrays | {"t": product.t}


def read_product(path: Path, config: Config) -> Operands:
    """Reads the operands of a product that `play` wrote."""
    with np.load(path) as file:
        arrays = dict(file)
    matrix = config.matrix
    groups = {each.symbol: codec(each.format).decode(arrays[each.symbol]) for each in matrix.members}
    weights = QuantizedMatrix(matrix, codec(matrix.weight.code).decode(arrays["q"]), groups)
    return Operands(config, codec(config.act_code).decode(arrays["a"]), weights, arrays.get("t"))


def _write_job(products: Sequence[Operands], config: Config, job: Path) -> list[Path]:
    """Writes what `mixpe.sim.cocotb.play` reads, in a fresh folder; returns the products' paths."""
    shutil.rmtree(job, ignore_errors=True)
    job.mkdir(parents=True)
    (job / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
    paths = []
    for index, product in enumerate(products):
        paths.append(job / f"{index:04}.npz")
        np.savez(paths[-1], allow_pickle=False, **_codes(product))
    return paths
