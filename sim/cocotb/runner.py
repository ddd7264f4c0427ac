"""Builds and runs cocotb benches under Icarus Verilog and Verilator.

`simulate` is the one door: pytest and the command line use it alike. Every run gets a seed, taken
from the environment variable COCOTB_RANDOM_SEED, else from the caller, else drawn; it is printed,
and the same seed repeats the run. Inside a bench, cocotb derives `cocotb.RANDOM_SEED` from it for
each test, and `mixpe.sim.cocotb.seeds.bench_rng` returns the NumPy generator seeded with that:
benches draw random numbers from there and nowhere else.

Benches reach the ports of the top module and nothing below: Verilator is told to keep only those.
"""

import os
import random
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event
from typing import IO, Literal
from xml.etree import ElementTree

import cocotb_tools
from cocotb_tools.runner import Runner, get_runner
from find_libpython import find_libpython

from ...spec.errors import UserError
from ...support.files import reason
from ...support.folders import plain, plain_temporary, temporary_folder
from ...support.programs import homebrew, missing, run_into
from ..verilator import require_programs, require_verilator, verilator_environment

Simulator = Literal["icarus", "verilator"]
SIMULATORS: tuple[Simulator, ...] = ("icarus", "verilator")

# What it calls at run time, and the packages that hold it (Debian, Homebrew).
_ICARUS = {"iverilog": ("iverilog", "icarus-verilog"), "vvp": ("iverilog", "icarus-verilog")}

# The port-only visibility undoes cocotb's --public-flat-rw, which keeps every signal alive.
_VERILATOR_ARGS = [
    "--no-public-flat-rw",
    "--public-depth",
    "1",
    "-CFLAGS",
    "-std=c++17",
    "-LDFLAGS",
    "-pthread",
]

# All C++ is compiled as one file: the headers of many small ones take most of the time.
_VERILATOR_MAKE = {"VM_PARALLEL_BUILDS": "0"}


class SimulationError(RuntimeError):
    """Says that a build failed, a simulator crashed, a test failed, or no test ran."""


def require_simulator(name: str) -> None:
    """Raises `UserError` with the command to type unless simulator `name` can run under cocotb."""
    if name not in SIMULATORS:
        raise UserError(f"simulator must be one of {', '.join(SIMULATORS)}, not {name!r}")
    if name == "verilator":
        require_verilator()
    else:
        require_programs(f"simulator {name}", _ICARUS)
    if not os.environ.get("LIBPYTHON_LOC") and find_libpython() is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise missing(
            f"cocotb needs the shared library of Python {version}",
            debian=f"libpython{version}",
            macos=homebrew(f"python@{version}"),
        )


def simulate(
    *,
    sources: Sequence[Path],
    top: str,
    bench: str,
    simulator: Simulator,
    build_dir: Path,
    seed: int | None = None,
    env: Mapping[str, str] | None = None,
    parameters: Mapping[str, object] | None = None,
    testcase: str | Sequence[str] | None = None,
    quiet: bool = False,
    optimize: bool = False,
    stop: Event | None = None,
) -> None:
    """Builds Verilog `sources` with top module `top` and runs the cocotb tests of module `bench`.

    Parameters
    ----------
    bench: dotted name of the module with the `@cocotb.test`s, such as "verif.benches.fp".
    build_dir: made if missing; holds the build, build.log and results.xml. One per concurrent call.
    seed: of all random numbers; drawn if None. COCOTB_RANDOM_SEED in the environment wins.
    env: variables for the bench, on top of the environment.
    parameters: of the top module.
    testcase: name or names of the tests to run; all if None.
    quiet: write the simulator's output to sim.log in `build_dir`, not to the standard output.
    optimize: let Verilator's C++ be compiled for speed (-O1, not -O0), for long runs.
    stop: ends compilers and simulator once it is set, as an exception in this thread does.

    Raises `SimulationError` if the build or a test fails, or if no test (or fewer than the
    named ones) ran; `UserError` if the simulator is missing.
    """
    require_simulator(simulator)
    build_dir = build_dir.resolve()
    results = build_dir / "results.xml"
    try:
        build_dir.mkdir(parents=True, exist_ok=True)
        results.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {build_dir}: {reason(error)}") from None
    names = [testcase] if isinstance(testcase, str) else list(testcase or ())
    seed = int(os.environ.get("COCOTB_RANDOM_SEED") or (random.getrandbits(31) if seed is None else seed))
    repeat = f"{bench} under {simulator} (to repeat: COCOTB_RANDOM_SEED={seed})"
    if not quiet:
        print(f"{repeat}, in {build_dir}", flush=True)

    changes = {**(env or {}), "COCOTB_RANDOM_SEED": str(seed)}
    build_log, sim_log = build_dir / "build.log", build_dir / "sim.log"
    make = _VERILATOR_MAKE | {"OPT_FAST": "-O1" if optimize else "-O0"}
    tools = verilator_environment(make) if simulator == "verilator" else {}
    with _build_folder(build_dir, simulator) as work:
        with _environment(changes | tools):
            runner = get_runner(simulator)
            # A runner starts everything by this function; its replacement ends what it starts, too.
            plain_names = _plain_names(sources, work)
            runner._execute_cmds = partial(_execute, runner, plain_names, stop)  # type: ignore[method-assign]
            try:
                runner.build(
                    sources=sources,
                    hdl_toplevel=top,
                    parameters=parameters or {},
                    build_args=_VERILATOR_ARGS if simulator == "verilator" else [],
                    build_dir=work,
                    timescale=("1ns", "1ps"),
                    always=True,
                    log_file=build_log,
                )
            except RuntimeError as error:
                raise SimulationError(f"{simulator} did not build {top}:\n{_tail(build_log)}") from error
        # Of a failure, results.xml tells more than the exit status; without it the check below fails.
        with _environment(changes), suppress(RuntimeError, SystemExit):
            runner.test(
                test_module=bench,
                hdl_toplevel=top,
                hdl_toplevel_lang="verilog",
                build_dir=work,
                results_xml=str(results),
                test_filter=rf"\.({'|'.join(map(re.escape, names))})(/.*)?$" if names else None,
                timescale=("1ns", "1ps"),
                log_file=sim_log if quiet else None,
            )
    failure = _failure(results, names)
    if failure:
        raise SimulationError(f"{repeat}: {failure}" + (f"\n{_tail(sim_log)}" if quiet else ""))


@contextmanager
def _build_folder(build_dir: Path, simulator: Simulator) -> Iterator[Path]:
    """`build_dir`, or a folder in its place where Verilator's makefile does not take its name."""
    if simulator == "verilator" and plain(build_dir) != build_dir:
        with temporary_folder("mixpe-sim-", plain_temporary()) as folder:
            yield folder
    else:
        yield build_dir


def _plain_names(sources: Sequence[Path], build_dir: Path) -> dict[str, str]:
    """Returns folders that commands name, and what to call them: makefiles take no spaces, for one thing."""
    folders = [
        build_dir,
        *(source.resolve().parent for source in sources),
        Path(cocotb_tools.__file__).parents[1],
    ]
    # The longest first: one may lie in another.
    names = sorted({str(folder) for folder in folders}, key=len, reverse=True)
    return {name: str(plain(Path(name))) for name in names}


def _execute(
    runner: Runner,
    names: Mapping[str, str],
    stop: Event | None,
    commands: Sequence[Sequence[str]],
    folder: Path,
    output: IO[str] | None = None,
) -> None:
    """Does as `Runner._execute_cmds`, in process groups that end with this process's work."""
    for command in commands:
        words = list(command)
        for name, plain_name in names.items():
            words = [word.replace(name, plain_name) for word in words]
        # What a program that is killed leaves is removed with the folder.
        with temporary_folder("mixpe-sim-", plain_temporary()) as temporary:
            environment = runner.env | {"TMPDIR": str(temporary)}
            status = run_into(words, Path(folder), environment, output, stop)
        if status:
            raise RuntimeError(f"{words[0]} ended with status {status}")


def _failure(results: Path, names: Sequence[str]) -> str | None:
    """Says what is wrong with a run that left `results`; None if at least tests `names` ran and passed."""
    try:
        cases = ElementTree.parse(results).getroot().findall(".//testcase")
    except (OSError, ElementTree.ParseError):
        return "the simulator ended without results"
    ran = [case for case in cases if case.find("skipped") is None]
    failed = {}
    for case in ran:
        complaint = case.find("failure")
        complaint = case.find("error") if complaint is None else complaint
        if complaint is not None:
            failed[case.get("name")] = complaint.get("message") or complaint.text or ""
    if failed:
        details = "".join(f"\n{name}: {message.strip()}" for name, message in failed.items())
        return f"failed {len(failed)} of {len(ran)} tests{details}"
    absent = set(names) - {str(case.get("name")).split("/")[0] for case in ran}
    if absent:
        return f"no test named {', '.join(sorted(absent))} ran"
    return None if ran else "no test ran"


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Puts `changes` in the process's environment (cocotb's runner lets it win over its arguments)."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _tail(log: Path, lines: int = 30) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""
