"""Designs and a measurement made up, for tests of those who run jobs."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from mixpe.ppa.jobs.job import Job

# In a module of its own: the processes that measure import it. A file marks each call, and each end.
MEASURE = """
import math, os, signal, subprocess
from dataclasses import dataclass
from pathlib import Path
from mixpe.spec.errors import UserError

@dataclass(frozen=True)
class Design:
    name: str
    folder: Path
    act: str = "measure"
    width: int = 8

def measure(job):
    design = job.design
    with open(design.folder / "calls", "a") as file:
        file.write(f"{design.name} {job.library}\\n")
    if (design.folder / "well").exists():
        act = "measure"
    else:
        act = design.act
    if act == "refuse":
        raise UserError("a combinational loop")
    if act == "break":
        raise LookupError("no such thing")
    if act == "interrupt":
        raise KeyboardInterrupt
    if act == "nan":
        return [{"area_um2": math.nan}]
    if act == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if act == "kill worker once":
        if not (design.folder / "killed").exists():
            (design.folder / "killed").write_text(str(os.getpid()))
            act = "kill worker"
    if act == "kill worker":
        os.kill(os.getppid(), signal.SIGKILL)
        act = "wait"
    if act == "wait":
        with subprocess.Popen(["sleep", "60"], start_new_session=True) as child:
            try:
                (design.folder / f"started-{design.name}").write_text(str(child.pid))
                child.wait()
            except BaseException:
                os.killpg(child.pid, signal.SIGKILL)
                raise
    (design.folder / f"end-{design.name}").touch()
    cells = {"file": job.sources[0].name, "text": job.sources[0].read_text()}
    return [{"design": design.name, "library": job.library, "target_ns": target, "pair": (1, design.width),
             "cells": cells} for target in job.targets]
"""


@contextmanager
def fake_jobs(folder: Path) -> Iterator[SimpleNamespace]:
    """Gives the module above; `job(name, act)`, `calls()`, which forgets them, and a cache folder."""
    (folder / "fake_measure.py").write_text(MEASURE)
    (folder / "cells.lib").write_text("library (cells) {}")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        sys.modules.pop("fake_measure", None)
        module = importlib.import_module("fake_measure")

        def job(name: str, act: str = "measure", targets: tuple[float | None, ...] = (None, 2.5)) -> Job:
            return Job(module.Design(name, folder, act), "lib7", (folder / "cells.lib",), targets)

        def calls() -> list[str]:
            path = folder / "calls"
            lines = path.read_text().splitlines() if path.exists() else []
            path.unlink(missing_ok=True)
            return sorted(line.split()[0] for line in lines)

        yield SimpleNamespace(
            job=job, calls=calls, measure=module.measure, Design=module.Design, cache=folder / "cache"
        )
        sys.modules.pop("fake_measure", None)
