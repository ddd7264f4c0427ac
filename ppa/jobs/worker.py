"""What a Dask worker does with a job: it starts a process for it, and ends that process when told."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from distributed import Worker, WorkerPlugin

from ...support.programs import PYTHON
from .cache import environment
from .child import Outcome

# Seconds that a job has to end what it started and to remove its files.
_GRACE = 10

_CHILD = f"{__package__}.child"

_lock = threading.Lock()
_children: dict[str, set[subprocess.Popen]] = {}
"""Processes under way, by run."""
_places: dict[str, dict[str, str]] = {}
"""Places on this machine of the files of each run, by the path on the user's machine."""
_ended: set[str] = set()
"""Runs that the user has given up."""


class Files(WorkerPlugin):
    """Carries the files of a run to every worker, also to those that come later.

    contents: the files' bytes by their path on the user's machine. They are written to a temporary folder
    and keep their names, which records hold.
    """

    def __init__(self, run: str, contents: Mapping[str, bytes]):
        self.name = f"mixpe-{run}"
        self._run, self._contents, self._folder = run, contents, ""

    def setup(self, worker: Worker) -> None:
        """Writes the files."""
        self._folder = tempfile.mkdtemp(prefix=f"{self.name}-", dir=worker.local_directory)
        places = {}
        for number, (path, content) in enumerate(self._contents.items()):
            place = Path(self._folder, str(number), Path(path).name)
            place.parent.mkdir()
            place.write_bytes(content)
            places[path] = str(place)
        _places[self._run] = places

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002
        """Removes the files."""
        _places.pop(self._run, None)
        with _lock:
            _ended.discard(self._run)
            _children.pop(self._run, None)
        shutil.rmtree(self._folder, ignore_errors=True)


def work(run: str, payload: bytes, expected: Mapping[str, str]) -> Outcome:
    """Returns the outcome of the pickled job `payload` of a run, done in a process of its own.

    `expected` is the user's `environment()`: a worker with another one is refused, as its results would not
    be those of the user's machine.
    """
    if differing := [name for name, value in environment().items() if value != expected.get(name)]:
        return {"kind": "refused", "why": _difference(differing[0], expected)}
    if run not in _places:
        return {"kind": "refused", "why": "the worker has not got the job's files"}
    header = json.dumps({"files": _places[run], "bytes": len(payload)}).encode() + b"\n"
    with tempfile.TemporaryFile() as errors:
        child = _start(run, errors)
        if child is None:
            return {"kind": "interrupted"}
        try:
            with child:
                assert child.stdin
                assert child.stdout
                try:
                    child.stdin.write(header + payload)
                    child.stdin.flush()
                except BrokenPipeError:
                    pass
                answer = child.stdout.read()
                child.wait()
        finally:
            with _lock:
                _children.get(run, set()).discard(child)
        if run in _ended:
            return {"kind": "interrupted"}
        if answer and not child.returncode:
            return json.loads(answer)
        if child.returncode < 0:
            return {"kind": "killed", "status": child.returncode}
        errors.seek(0)
        text = errors.read().decode(errors="replace").strip()
        return {"kind": "failed", "why": f"its process ended with status {child.returncode}\n{text}"}


def _difference(name: str, expected: Mapping[str, str]) -> str:
    if name in ("verilog", "measuring"):
        return "the worker has another mixpe: install the same one there"
    here = environment()[name] or "none"
    return f"the worker has {name} {here}, not {expected.get(name) or 'none'}: install the same one there"


def _start(run: str, errors: IO[bytes]) -> subprocess.Popen | None:
    """Starts the process of a job; None if the run has been given up."""
    with _lock:
        if run in _ended or run not in _places:
            return None
        child = subprocess.Popen(
            [*PYTHON, "-m", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            start_new_session=True,  # a terminal's Ctrl-C is no concern of it
        )
        _children.setdefault(run, set()).add(child)
        return child


def give_up(run: str) -> None:
    """Ends all processes of a run here, and starts none any more; returns when they are gone."""
    with _lock:
        _ended.add(run)
        children = list(_children.get(run, ()))
    for child in children:
        child.terminate()
    for child in children:
        try:
            child.wait(_GRACE)
        except subprocess.TimeoutExpired:
            child.kill()


def payload_of(*parts: Any) -> bytes:
    """Returns `parts` pickled; functions and classes go by their names."""
    import cloudpickle

    return cloudpickle.dumps(parts)
