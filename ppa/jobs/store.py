"""Finds the results of jobs that were done before."""

from typing import Any

from .cache import Cache, digest, environment
from .job import Job, Source

Records = list[dict[str, Any]]


class Store:
    """Keeps the records of jobs under what they depend on, each under two keys.

    The quick key holds the hash of all code that makes a design's Verilog, and costs nothing to get. Where
    that code has changed, the Verilog is made and looked for by its own hash: most changes leave most designs
    as they are. `source` returns the Verilog of a design.
    """

    def __init__(self, cache: Cache, source: Source):
        self._cache, self._source = cache, source

    def find(self, job: Job) -> Records | None:
        """Returns the records of `job`; None if it was never done as things stand now."""
        quick = _quick_key(job)
        found = self._cache.get(quick)
        if found is None and self._cache.get(_name_key(job)) is not None:
            found = self._cache.get(_key(job, digest(self._source(job.design))))
            if found is not None:
                self._cache.put(quick, found)
        return found

    def keep(self, job: Job, source: str, records: Records) -> None:
        """Keeps `records` of a job whose Verilog has the hash `source`."""
        for key in (_quick_key(job), _key(job, source)):
            self._cache.put(key, records)
        self._cache.put(_name_key(job), [])

    def close(self) -> None:
        """Closes the cache."""
        self._cache.close()


def _quick_key(job: Job) -> str:
    return digest(job.identity(), environment())


def _key(job: Job, source: str) -> str:
    rest = {name: value for name, value in environment().items() if name != "verilog"}
    return digest(job.identity(), rest, source)


def _name_key(job: Job) -> str:
    """Returns the key that says whether a design of this name was ever measured."""
    return digest("measured", job.design.name)
