"""Where data files are: models and cell libraries for tests and measurements, not part of this project.

A file is looked for in the folder that the environment variable MIXPE_DATA names, then in the user's cache,
~/.cache/mixpe (see `mixpe.support.folders`), and downloaded there from its public home where there is a
network. Known files are checked by SHA-256.
"""

import gzip
import hashlib
import logging
import os
import tempfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..spec.errors import UserError
from .files import expanded
from .folders import cache_folders, user_cache

VARIABLE = "MIXPE_DATA"

# Seconds to connect, and to wait for the next bytes.
_TIMEOUT = (3, 20)

_TINYLLAMAS = "https://huggingface.co/karpathy/tinyllamas/resolve/main/stories260K/"
_ASAP7 = (
    "https://raw.githubusercontent.com/The-OpenROAD-Project/OpenROAD-flow-scripts/"
    "58d3b0cd31063e96ae5c58c2f571396f9a3a1b9f/flow/platforms/asap7/lib/NLDM/"
)
_SKY130 = (
    "https://raw.githubusercontent.com/The-OpenROAD-Project/OpenSTA/"
    "b04def2de07e3bcec6a648c2d491e5fcff09ebd0/examples/sky130hd_tt.lib.gz"
)
_IHP = "https://raw.githubusercontent.com/IHP-GmbH/IHP-Open-PDK/main/ihp-sg13g2/libs.ref/sg13g2_stdcell/lib/"


@dataclass(frozen=True)
class KnownFile:
    """Describes a file with a public home.

    sha256: of its content, decompressed if its name ends in .gz (compressors differ, the content does not).
    url: its public home. download_sha256: of what is there, where that is not the content.
    """

    sha256: str
    url: str
    download_sha256: str = ""


KNOWN = {
    "models/stories260K.bin": KnownFile(
        "b0a507e7ad0f626624f17112325e66691f9076d622e1d3274d103d00299f2696", _TINYLLAMAS + "stories260K.bin"
    ),
    "models/tok512.bin": KnownFile(
        "037cb335abb25d1fa9e8ecae30ed2a3a8ace9302862ebcdc05d51a6bbb10c312", _TINYLLAMAS + "tok512.bin"
    ),
    "cells/sky130_fd_sc_hd__tt_025C_1v80.lib.gz": KnownFile(
        "70a45bf9b5ea8f6a701dc34744b5c767b38e1af31b1d1f97309a97ec64603ecf",
        _SKY130,
        "210e56be3a3a0907b5241a34d277f664cf4b4d91dcb49a27ff813df4406a5889",
    ),
    "cells/sg13g2_stdcell_typ_1p20V_25C.lib.gz": KnownFile(
        "7677a8918689f452e80405ad16a83e744709342574f2aedcc507c2758986b396",
        _IHP + "sg13g2_stdcell_typ_1p20V_25C.lib",
    ),
    "cells/asap7sc7p5t_SIMPLE_RVT_TT_nldm_211120.lib.gz": KnownFile(
        "fa92e6ab1481810602811b1eea54bc016a341f11fb5188d7512c026599adf038",
        _ASAP7 + "asap7sc7p5t_SIMPLE_RVT_TT_nldm_211120.lib.gz",
        "073ac4b6b08f272b6953b0ad54d1d9743767a7d15a0e2964ed86cf44c3dbe00e",
    ),
    "cells/asap7sc7p5t_AO_RVT_TT_nldm_211120.lib.gz": KnownFile(
        "b1ece108c0a2acd8d01c05cee6daee2834425037b1d9aad625d6f1dd640f1940",
        _ASAP7 + "asap7sc7p5t_AO_RVT_TT_nldm_211120.lib.gz",
        "fe9f1c18e88ab129d63ad82adc256f3a85c7e38e47dabbe0a96749b41087dea1",
    ),
    "cells/asap7sc7p5t_OA_RVT_TT_nldm_211120.lib.gz": KnownFile(
        "6529c6c72465cd133dfbfb03952327ab2774bb6aa4be866d78fd7bc6c58c9f6f",
        _ASAP7 + "asap7sc7p5t_OA_RVT_TT_nldm_211120.lib.gz",
        "bbe6d904d58c7367de1ed7639e4eae386c65fa0a5af26ae62dc5e4e2ec52b08b",
    ),
    "cells/asap7sc7p5t_INVBUF_RVT_TT_nldm_220122.lib.gz": KnownFile(
        "a4ceb32e418e1aac8667e28fbd8e9e46baf520180be4db075598a4d7c681a56e",
        _ASAP7 + "asap7sc7p5t_INVBUF_RVT_TT_nldm_220122.lib.gz",
        "8d6db2c2f83c3c162be54a5e102b2d379fcaaaef2db5f0b1d4152c395d01fea1",
    ),
    "cells/asap7sc7p5t_SEQ_RVT_TT_nldm_220123.lib.gz": KnownFile(
        "57a0b403485b99ebd676942af4673ac086b86c7c75fbdc3e5c0038501dd22ba3",
        _ASAP7 + "asap7sc7p5t_SEQ_RVT_TT_nldm_220123.lib",
    ),
}

LIBRARIES = {
    "sky130hd": ("cells/sky130_fd_sc_hd__tt_025C_1v80.lib.gz",),
    "sg13g2": ("cells/sg13g2_stdcell_typ_1p20V_25C.lib.gz",),
    "asap7": tuple(name for name in KNOWN if name.startswith("cells/asap7")),
}

MODELS = {"stories260K": ("models/stories260K.bin", "models/tok512.bin")}
"""Checkpoint and tokenizer of each model that is known by name."""


def folders() -> list[Path]:
    """Returns the folders that are searched, in this order. Raises `UserError` if MIXPE_DATA names none."""
    named = os.environ.get(VARIABLE, "")
    cache = user_cache()
    searched = [cache] if cache else []
    if not named:
        return searched
    folder = expanded(named)
    if not os.path.isdir(folder):
        raise UserError(f"{VARIABLE} must name a folder, not {named!r}")
    return [folder, *searched]


def find(relative: str) -> Path:
    """Returns the file of that name below a data folder, such as "models/stories260K.bin".

    It is downloaded if need be.

    Raises `UserError` if it is damaged, or neither here nor to be had from the network.
    """
    searched = folders()
    for folder in searched:
        path = folder / relative
        if os.path.isfile(path):
            _check(path, relative)
            return path
    places = " and ".join(str(folder) for folder in searched) or "a data folder"
    if relative not in KNOWN:
        raise UserError(f"{relative} is not in {places}: set {VARIABLE} to a folder that holds it")
    try:
        path = _download(KNOWN[relative], relative)
    except (OSError, ValueError) as error:
        reason = "what is there now has another SHA-256" if isinstance(error, ValueError) else _reason(error)
        raise UserError(
            f"{relative} is not in {places} and cannot be downloaded ({reason}): "
            f"set {VARIABLE} to a folder that holds it"
        ) from None
    _check(path, relative)
    return path


def find_library(name_or_path: str) -> list[Path]:
    """Returns the Liberty files (plain or .gz) of a library: one of LIBRARIES by name, or a file's path.

    Raises `UserError` as `find` does, and if there is no such library or file.
    """
    if name_or_path in LIBRARIES:
        return [find(relative) for relative in LIBRARIES[name_or_path]]
    path = expanded(name_or_path)
    if not name_or_path or not os.path.isfile(path):
        raise UserError(f"library must be {', '.join(LIBRARIES)} or a Liberty file, not {name_or_path!r}")
    return [path]


def find_model(name_or_path: str, tokenizer: str | None = None) -> tuple[Path, Path]:
    """Returns checkpoint and tokenizer of a model: one of MODELS by name, or a checkpoint by its path.

    tokenizer: the path of its tokenizer; needed for a checkpoint by its path.

    Raises `UserError` as `find` does, and if there is no such model or file.
    """
    own = expanded(tokenizer) if tokenizer is not None else None
    if own is not None and not os.path.isfile(own):
        raise UserError(f"tokenizer must be a file, not {tokenizer!r}")
    if name_or_path in MODELS:
        checkpoint, usual = MODELS[name_or_path]
        return find(checkpoint), own or find(usual)
    path = expanded(name_or_path)
    if not name_or_path or not os.path.isfile(path):
        raise UserError(f"model must be {', '.join(MODELS)} or a checkpoint file, not {name_or_path!r}")
    if own is None:
        raise UserError(f"tokenizer is missing: the model {name_or_path} needs the path of its own")
    return path, own


def _check(path: Path, relative: str) -> None:
    if relative not in KNOWN:
        return
    expected = KNOWN[relative].sha256
    try:
        status = path.stat()
        found = _content_sha256(path, status.st_size, status.st_mtime_ns)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}): delete it, or fetch it again") from None
    if found != expected:
        raise UserError(
            f"{path} is damaged: {status.st_size} bytes whose content has SHA-256 {found}, not {expected}: "
            "delete it, or fetch it again"
        )


@lru_cache
def _content_sha256(path: Path, _size: int, _mtime: int) -> str:
    """Returns the SHA-256 of a file's content, computed once while size and time stay the same."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _download(known: KnownFile, relative: str) -> Path:
    """Fetches a file, puts it in the cache in one step and returns its path.

    Raises OSError, or ValueError for another SHA-256.
    """
    import pooch  # of an extra: files that are there do without it

    room, name = os.path.split(relative)
    path = cache_folders(room)[-1] / name
    if os.path.isfile(path):  # of an earlier run that could not write the user's cache
        return path
    pooch.get_logger().setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        fetched = Path(
            pooch.retrieve(
                known.url,
                f"sha256:{known.download_sha256 or known.sha256}",
                fname="download",
                path=folder,
                downloader=pooch.HTTPDownloader(timeout=_TIMEOUT),  # type: ignore[arg-type]
            )
        )
        if path.suffix == ".gz" and not known.download_sha256:
            packed = Path(folder, "packed.gz")
            packed.write_bytes(gzip.compress(fetched.read_bytes(), mtime=0))
            fetched = packed
        os.replace(fetched, path)
    return path


def _reason(error: OSError) -> str:
    """Says in one short line whatever went wrong on the way."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"{response.url}: HTTP status {response.status_code}"
    request = getattr(error, "request", None)
    return (
        f"no answer from {request.url}"
        if request is not None
        else (str(error).splitlines() or [type(error).__name__])[0]
    )
