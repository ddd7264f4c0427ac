"""Does one job in a process of its own, which a worker starts: `python -m mixpe.ppa.jobs.child`.

The standard input holds a line of JSON, the paths of the job's files here and the number of bytes of the
pickled job that follow, and stays open as long as the worker lives: its end ends the process and all that it
has started. The standard output gets the outcome as JSON.
"""

import json
import os
import pickle
import signal
import sys
import threading
import traceback
from typing import Any

from ...spec.errors import UserError
from .cache import digest
from .job import Job, Measure, Source

Outcome = dict[str, Any]
"""What became of a job: `kind` is "records" (with `records`, and `source`: the hash of what was measured),
"refused" or "failed" (with `why`), "interrupted", or "killed" (with `status` of the process)."""


def attempt(measure: Measure, source: Source, job: Job) -> Outcome:
    """Returns the outcome of `job` but for bugs and interrupts, which are raised."""
    try:
        records = list(measure(job))
        hashed = digest(source(job.design))
    except UserError as error:
        return {"kind": "refused", "why": str(error)}
    try:
        # As JSON holds them: the same whether measured here, elsewhere or read from the cache.
        plain = json.loads(json.dumps(records, allow_nan=False))
    except ValueError:
        return {"kind": "refused", "why": "a figure is not a finite number"}
    return {"kind": "records", "records": plain, "source": hashed}


def main() -> None:
    """Reads a job, does it, and writes the outcome."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a measurement prints is no outcome
    # Ctrl-C and a lost terminal reach every process: the one that the user started decides, by SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    with os.fdopen(os.dup(0), "rb", buffering=0) as given:
        header = json.loads(_line(given))
        payload = b""
        while len(payload) < header["bytes"]:
            part = given.read(header["bytes"] - len(payload))
            if not part:
                sys.exit(1)
            payload += part
    threading.Thread(target=_watch, daemon=True).start()
    try:
        measure, source, job = pickle.loads(payload)
        outcome = attempt(measure, source, job.placed(header["files"]))
    except KeyboardInterrupt:
        outcome = {"kind": "interrupted"}
    except Exception:
        outcome = {"kind": "failed", "why": traceback.format_exc()}
    json.dump(outcome, answer)
    answer.close()


def _line(given: Any) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        part = given.read(1)
        if not part:
            sys.exit(1)
        line += part
    return line


def _watch() -> None:
    """Ends this process once the worker is gone."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _leave(number: int, _frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # nothing disturbs what happens on the way out
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
