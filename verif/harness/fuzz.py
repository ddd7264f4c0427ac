"""Fuzzes the command line: hostile arguments and files, and what no run of `mixpe` may do with them.

`python -m verif.harness.fuzz --kind KIND --seed S --count N` runs other cases than the tests do, and
`--first I --count 1` a single one again.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .fuzz_cases import KINDS, Case

ROOT = Path(__file__).resolve().parents[2]

SECONDS = 90
"""A command that takes longer hangs: none of the cases asks for so much work."""

_PROGRESS = re.compile(r"\d+/\d+ .*")
_NOISE = re.compile(
    r"Traceback \(most recent|Warning\b|^  File \"|core dumped|malloc|Segmentation", re.MULTILINE
)


@dataclass(frozen=True)
class Outcome:
    """What a command did: its exit status ("hang" for none), its outputs, and the files it left."""

    status: int | str
    stdout: str
    stderr: str
    left: tuple[str, ...]
    broken: tuple[str, ...]

    @property
    def faults(self) -> list[str]:
        """Returns what it must not have done."""
        found = [] if self.status in (0, 2) else [f"exit status {self.status}"]
        if noise := _NOISE.search(self.stderr + self.stdout):
            found.append(f"prints {noise[0]!r}")
        lines = [line for line in self.stderr.splitlines() if not _PROGRESS.fullmatch(line)]
        if self.status == 2 and not (len(lines) == 1 and lines[0].startswith("mixpe: error: ")):
            found.append(f"{len(lines)} lines on the standard error, not one")
        if self.status == 2 and self.stdout:
            found.append("refuses, and prints on the standard output")
        found += [f"leaves {name}" for name in self.left]
        return found + [f"{name} is no JSON" for name in self.broken]


class Runner:
    """Runs cases in processes that begin with everything imported."""

    def __init__(self, folder: Path):
        self._folder, self._count = folder, 0
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MIXPE_")}
        self._server = subprocess.Popen(
            [sys.executable, "-m", "verif.harness.fuzz_server"],
            cwd=ROOT,
            env=environment
            | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "default"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._server.stdout
        assert self._server.stdout.readline() == "ready\n"

    def close(self) -> None:
        self._server.terminate()
        self._server.communicate()

    def run(self, case: Case, *, apart: bool = False) -> Outcome:
        """Runs a case in a folder of its own; with `apart`, in a Python of its own."""
        self._count += 1
        folder = self._folder / str(self._count)
        prepare(folder, case)
        environment = surroundings(folder)
        before = set(_names(folder))
        status = self._apart(case, folder, environment) if apart else self._forked(case, folder, environment)
        stdout, stderr = (_text(folder.with_name(f"{folder.name}.{name}")) for name in ("stdout", "stderr"))
        aside = [str(path.relative_to(folder.parent)) for path in Path(environment["TMPDIR"]).iterdir()]
        hidden = [name for name in set(_names(folder)) - before if Path(name).name.startswith((".", "tmp"))]
        return Outcome(status, stdout, stderr, (*sorted(aside), *sorted(hidden)), tuple(_no_json(folder)))

    def _forked(self, case: Case, folder: Path, environment: dict[str, str]) -> int | str:
        job = {
            "arguments": [argument.decode("latin-1") for argument in case.arguments],
            "folder": str(folder),
            "environment": environment,
            "seconds": SECONDS,
        }
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps(job) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def _apart(self, case: Case, folder: Path, environment: dict[str, str]) -> int | str:
        outputs = [folder.with_name(f"{folder.name}.{name}").open("wb") for name in ("stdout", "stderr")]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "mixpe.cli.main", *case.arguments],
                cwd=folder,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=outputs[0],
                stderr=outputs[1],
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired:
            return "hang"
        finally:
            for output in outputs:
                output.close()
        return done.returncode


@contextmanager
def runner() -> Iterator[Runner]:
    with tempfile.TemporaryDirectory(prefix="mixpe-fuzz-") as folder:
        made = Runner(Path(folder))
        try:
            yield made
        finally:
            made.close()


def prepare(folder: Path, case: Case) -> None:
    """Makes the folder of a case, with its files, a pipe, a folder, and what nobody may read or write."""
    folder.mkdir(parents=True)
    for name, content in case.files.items():
        (folder / name).write_bytes(content)
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    (folder / "locked").touch(mode=0)
    (folder / "locked_folder").mkdir(mode=0)


def surroundings(folder: Path) -> dict[str, str]:
    """Returns the environment of a case: no programs, which would build and simulate, and no network."""
    place = folder.with_name(f"{folder.name}.home")
    for name in ("data", "tmp"):
        (place / name).mkdir(parents=True)
    return {
        "HOME": str(place),
        "XDG_CACHE_HOME": str(ROOT / "build/fuzz"),  # of Yosys as WebAssembly, which is slow to make
        "MIXPE_DATA": str(place / "data"),
        "TMPDIR": str(place / "tmp"),
        "PATH": str(place / "none"),
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
        "COLUMNS": "100",
        "PYTHONWARNINGS": "default",
    }


def _names(folder: Path) -> Iterator[str]:
    return (str(path.relative_to(folder)) for path in folder.rglob("*"))


def _text(path: Path) -> str:
    return path.read_bytes().decode(errors="replace") if path.exists() else ""


def _no_json(folder: Path) -> Iterator[str]:
    """Yields the JSON files that a command wrote and that are none."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    for path in folder.rglob("*.json"):
        if path.is_file() and not path.name.startswith("given"):
            try:
                json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
            except ValueError:
                yield path.name


def main() -> None:
    parser = argparse.ArgumentParser(description="Fuzz the command line; print every fault.")
    parser.add_argument("--kind", choices=list(KINDS), action="append")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--show", action="store_true", help="Print every case with its outcome.")
    parser.add_argument("--apart", action="store_true", help="In a Python of its own each.")
    options = parser.parse_args()
    statuses: dict[int | str, int] = {}
    faulty = 0
    with runner() as run:
        for kind in options.kind or KINDS:
            for number in range(options.first, options.first + options.count):
                case = KINDS[kind](options.seed, number)
                begun = time.monotonic()
                outcome = run.run(case, apart=options.apart)
                seconds = time.monotonic() - begun
                statuses[outcome.status] = statuses.get(outcome.status, 0) + 1
                faulty += bool(outcome.faults)
                if outcome.faults or options.show:
                    arguments = " ".join(shlex.quote(os.fsdecode(each)) for each in case.arguments)
                    print(
                        f"--- {kind} seed {options.seed} number {number}, {seconds:.1f} s, "
                        f"status {outcome.status}: {'; '.join(outcome.faults)}"
                    )
                    print(ascii(f"mixpe {arguments}")[1:300])
                    print(ascii(outcome.stderr[-1500:]).replace("\\n", "\n"), flush=True)
    print(f"exit statuses {statuses}; {faulty} faulty")
    sys.exit(bool(faulty))


if __name__ == "__main__":
    main()
