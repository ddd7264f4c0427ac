"""A measurement as a job that any machine can do, and the hash of all that its result depends on."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from .cache import digest, file_hash

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class Named(Protocol):
    """What a `Job` needs of a design; the rest is between those who make and those who measure it."""

    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class Job:
    """One design with one library.

    design: has a `name`, and a `repr` that tells all of it; can be pickled.
    library: what reports call the library of the Liberty files `sources`.
    targets: periods in ns to synthesize for, None: for area. If empty, `measure` chooses.
    operands: files that the operands are taken from; none: synthetic ones are made.
    clock_gates: words of registers get the library's clock gates, if it has any; else multiplexers.
    """

    design: Named
    library: str
    sources: tuple[Path, ...]
    targets: tuple[float | None, ...]
    operands: tuple[Path, ...] = ()
    clock_gates: bool = True

    @property
    def title(self) -> str:
        """Returns the names of design and library, for progress and errors."""
        return f"{self.design.name} with {self.library}"

    @property
    def files(self) -> tuple[Path, ...]:
        """Returns all files that the job reads."""
        return (*self.sources, *self.operands)

    def placed(self, places: Mapping[str, str]) -> "Job":
        """Returns this job with its files at other paths: `places` maps each path to the new one."""
        sources, operands = (
            tuple(Path(places[str(path)]) for path in paths) for paths in (self.sources, self.operands)
        )
        return replace(self, sources=sources, operands=operands)

    def identity(self) -> str:
        """Returns the hash of what the user chose; copies of a file under other paths are the same.

        Raises `UserError` for a file that cannot be read.
        """
        files = [[file_hash(path) for path in paths] for paths in (self.sources, self.operands)]
        return digest(described(self.design), self.library, files, self.targets, self.clock_gates)


Measure = Callable[[Job], Sequence[Mapping[str, Any]]]
"""Returns the records of a job as JSON can hold them. Raises `UserError`."""

Source = Callable[[Any], str]
"""Returns the text that a design is measured as, such as its Verilog."""


def described(design: object) -> str:
    """Returns the `repr` of a design. Raises `ValueError` if it differs from one process to the next."""
    text = repr(design)
    if _ADDRESS.search(text):
        raise ValueError(f"repr of {text} names a memory address: give its content as text")
    return text
