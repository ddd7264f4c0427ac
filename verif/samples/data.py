"""Parameters of tests that need data files: without the files they are skipped and say how to get them.

Nothing is downloaded for a test. A missing program is no reason to skip: there the test fails.
"""

from collections.abc import Iterable, Mapping

import pytest

from mixpe.support.data import LIBRARIES, MODELS, VARIABLE, folders


def libraries(names: Iterable[str] = LIBRARIES) -> list:
    """Returns a parameter for each cell library of these names, known to `mixpe.support.data`."""
    return _parameters({name: LIBRARIES[name] for name in names}, "mixpe synth --lib")


def models() -> list:
    """Returns a parameter for each language model that is known to `mixpe.support.data`."""
    return _parameters(MODELS, "mixpe llm --model")


def absence(files: Iterable[str], command: str) -> str:
    """Returns what to do about files that no data folder has; nothing if all are there.

    command: one that downloads them.
    """
    places = folders()
    absent = [file for file in files if not any((place / file).is_file() for place in places)]
    if not absent:
        return ""
    searched = " and ".join(map(str, places))
    return (
        f"{', '.join(absent)} not in {searched}: set {VARIABLE} to a folder that holds them, "
        f"or let `{command}` download them"
    )


def _parameters(known: Mapping[str, Iterable[str]], command: str) -> list:
    return [
        pytest.param(
            name,
            marks=[pytest.mark.skip(reason=reason)]
            if (reason := absence(files, f"{command} {name}"))
            else [],
        )
        for name, files in known.items()
    ]
