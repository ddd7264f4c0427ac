"""Tiles of matrix products on all cores: one thread of ours per tile instead of BLAS' own threads.

OpenBLAS' threads wait for each other in every product by spinning. Many products of tiles with NumPy's
single-threaded steps between them leave half of the machine idle that way, and on a machine that has other
work (tests in parallel) they take several times longer. So OpenBLAS is told to stay in its caller's thread.
"""

import ctypes
import importlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

Item = TypeVar("Item")

# Names of OpenBLAS' functions in NumPy's wheels, in other builds, and with 64-bit integers.
_PREFIXES = ("scipy_openblas", "openblas")
_SUFFIXES = ("64_", "")


def run(function: Callable[[Item], None], items: Iterable[Item]) -> None:
    """Call `function` for every item, on as many threads as BLAS would take, each call's BLAS in its own.

    Where NumPy's BLAS is no OpenBLAS, one call follows the other and BLAS does as it is set up.
    """
    items = list(items)
    with _single_threaded() as threads:
        if min(threads, len(items)) <= 1:
            for item in items:
                function(item)
        else:
            with ThreadPoolExecutor(min(threads, len(items))) as pool:
                list(pool.map(function, items))


class _OpenBlas:
    """The number of threads of NumPy's OpenBLAS, a setting of the whole process."""

    def __init__(self) -> None:
        self.get: Callable[[], int] | None = None
        self.set: Callable[[int], None] | None = None
        self.lock, self.users, self.threads = Lock(), 0, 1
        try:
            # Symbols of the libraries that the module is linked to are found through the module.
            module = importlib.import_module("numpy._core._multiarray_umath")
            library = ctypes.CDLL(module.__file__)
        except (ImportError, OSError, TypeError):
            return
        for name in (f"{prefix}_{{}}_num_threads{suffix}" for prefix in _PREFIXES for suffix in _SUFFIXES):
            try:
                self.get, self.set = library[name.format("get")], library[name.format("set")]
                return
            except AttributeError:
                continue


_OPENBLAS = _OpenBlas()


@contextmanager
def _single_threaded() -> Iterator[int]:
    """One BLAS thread inside, as many as before after the last of overlapping users. Yields that number."""
    blas = _OPENBLAS
    if blas.get is None or blas.set is None:
        yield 1
        return
    with blas.lock:
        if not blas.users:
            blas.threads = blas.get()
            blas.set(1)
        blas.users += 1
    try:
        yield blas.threads
    finally:
        with blas.lock:
            blas.users -= 1
            if not blas.users:
                blas.set(blas.threads)
