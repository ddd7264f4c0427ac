"""Finding, checking and fetching data files. No test needs a network: the public home is a local server."""

import gzip
import hashlib
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mixpe.spec.errors import UserError
from mixpe.support import data, folders

CONTENT = b"library (toy) { }\n" * 50
NAME, PACKED = "models/toy.bin", "cells/toy.lib.gz"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty home folder, no MIXPE_DATA, and no proxy between us and a local server."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)  # set where the user has no home
    monkeypatch.delenv(data.VARIABLE, raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    return folder


@pytest.fixture
def server(monkeypatch):
    """A public home that serves CONTENT, and the known files that live there. Yields the paths asked for."""
    asked: list[str] = []
    served = {"/toy.bin": CONTENT, "/toy.lib": CONTENT, "/toy.lib.gz": gzip.compress(CONTENT)}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = served.get(self.path)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format, *args):  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{httpd.server_address[1]}"
        good, packed = sha256(CONTENT), sha256(served["/toy.lib.gz"])
        known = {
            NAME: data.KnownFile(good, f"{url}/toy.bin"),
            "models/changed.bin": data.KnownFile(sha256(b"something else"), f"{url}/toy.bin"),
            "models/gone.bin": data.KnownFile(good, f"{url}/gone.bin"),
            PACKED: data.KnownFile(good, f"{url}/toy.lib"),
            "cells/packed.lib.gz": data.KnownFile(good, f"{url}/toy.lib.gz", packed),
        }
        monkeypatch.setattr(data, "KNOWN", known)
        monkeypatch.setattr(data, "LIBRARIES", {"toy": (PACKED, "cells/packed.lib.gz")})
        yield asked
        httpd.shutdown()


def write(folder: Path, relative: str, content: bytes) -> Path:
    path = folder / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def message(call, *arguments) -> str:
    with pytest.raises(UserError) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_variable_goes_before_the_cache(home, server, tmp_path, monkeypatch):
    cached = write(home / ".cache/mixpe", NAME, CONTENT)
    assert data.find(NAME) == cached
    monkeypatch.setenv(data.VARIABLE, str(tmp_path))
    assert data.find(NAME) == cached
    named = write(tmp_path, NAME, CONTENT)
    assert data.find(NAME) == named
    assert server == []


def test_downloads_once_and_leaves_nothing_else(home, server, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv(data.VARIABLE, str(tmp_path))
    path = data.find(NAME)
    assert path == home / ".cache/mixpe" / NAME
    assert path.read_bytes() == CONTENT
    assert data.find(NAME) == path
    assert server == ["/toy.bin"]
    assert [p.name for p in path.parent.iterdir()] == ["toy.bin"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("home")
def test_downloads_of_libraries_are_compressed(server):
    paths = data.find_library("toy")
    assert [path.name for path in paths] == ["toy.lib.gz", "packed.lib.gz"]
    assert [gzip.decompress(path.read_bytes()) for path in paths] == [CONTENT] * 2
    assert server == ["/toy.lib", "/toy.lib.gz"]


@pytest.mark.usefixtures("server")
def test_refuses_a_download_that_is_not_the_known_file(home):
    text = message(data.find, "models/changed.bin")
    assert text.startswith(f"models/changed.bin is not in {home}/.cache/mixpe and cannot be downloaded (")
    assert "another SHA-256" in text
    assert data.VARIABLE in text
    assert list((home / ".cache/mixpe/models").iterdir()) == []


@pytest.mark.usefixtures("home", "server")
def test_says_what_the_public_home_answers():
    assert "/gone.bin: HTTP status 404): set MIXPE_DATA to a folder" in message(data.find, "models/gone.bin")


@pytest.mark.usefixtures("home")
def test_says_so_without_a_network(monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/toy.bin"
        monkeypatch.setattr(data, "KNOWN", {NAME: data.KnownFile(sha256(CONTENT), url)})
        assert f"(no answer from {url}): set MIXPE_DATA to a folder" in message(data.find, NAME)


def test_a_cache_that_cannot_be_written(home, server, tmp_path, monkeypatch):
    """A private folder below the temporary one takes the file, and has it the next time."""
    (home / ".cache").write_bytes(b"a file")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    folders._private.cache_clear()
    for _ in range(2):
        path = data.find(NAME)
        assert path.read_bytes() == CONTENT
        assert path.is_relative_to(tmp_path / "tmp")
        assert len(server) == 1
    folders._private.cache_clear()


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT + b"x"])
def test_refuses_a_damaged_file(home, content):
    path = write(home / ".cache/mixpe", NAME, content)
    assert message(data.find, NAME) == (
        f"{path} is damaged: {len(content)} bytes whose content has SHA-256 {sha256(content)}, "
        f"not {sha256(CONTENT)}: delete it, or fetch it again"
    )


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    "damage", [lambda x: x[:-20], lambda x: x[:20], lambda x: b"no" + x, lambda x: x[:30] * 2]
)
def test_refuses_a_damaged_archive(home, damage):
    path = write(home / ".cache/mixpe", PACKED, damage(gzip.compress(CONTENT)))
    assert message(data.find, PACKED).startswith(f"{path} is damaged")


@pytest.mark.usefixtures("server")
def test_a_file_that_is_mended_is_read_again(home):
    os.utime(write(home / ".cache/mixpe", NAME, CONTENT[::-1]), (1, 1))
    message(data.find, NAME)
    path = write(home / ".cache/mixpe", NAME, CONTENT)
    assert data.find(NAME) == path


def test_unknown_files_are_found_but_not_fetched(home, server):
    path = write(home / ".cache/mixpe", "models/mine.bin", b"anything")
    assert data.find("models/mine.bin") == path
    assert message(data.find, "models/other.bin") == (
        f"models/other.bin is not in {home}/.cache/mixpe: set MIXPE_DATA to a folder that holds it"
    )
    assert server == []


def test_the_variable_must_name_a_folder(home, tmp_path, monkeypatch):
    write(home / ".cache/mixpe", "x", b"")
    for name in (tmp_path / "nothing", write(tmp_path, "file", b"")):
        monkeypatch.setenv(data.VARIABLE, str(name))
        assert message(data.find, "x") == f"MIXPE_DATA must name a folder, not {str(name)!r}"
    monkeypatch.setenv(data.VARIABLE, "")
    assert data.find("x") == home / ".cache/mixpe/x"


@pytest.mark.usefixtures("home", "server")
def test_a_library_may_be_a_file(tmp_path):
    path = write(tmp_path, "my.lib", b"library (my) { }")
    assert data.find_library(str(path)) == [path]
    for name in ("sky131", "", str(tmp_path)):
        assert message(data.find_library, name) == f"library must be toy or a Liberty file, not {name!r}"


def test_the_known_libraries():
    assert set(data.LIBRARIES) == {"sky130hd", "sg13g2", "asap7"}
    assert [len(files) for files in data.LIBRARIES.values()] == [1, 1, 5]
    for name, known in data.KNOWN.items():
        assert name.startswith(("models/", "cells/"))
        assert known.url.startswith("https://")
        assert all(len(digest) in (0, 64) for digest in (known.sha256, known.download_sha256))
        assert known.url.endswith(".gz") == bool(known.download_sha256)
