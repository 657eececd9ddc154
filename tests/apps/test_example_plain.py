"""The examples that need nothing but the server: hello, streaming, download."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.apps.conftest import unix_path
from tests.apps.examples import EXAMPLES, curl, running
from tests.apps.fixtures.bodies import LARGE
from tests.support.server import ServerProcess


@pytest.fixture(scope="module")
def hello(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running("hello:app", tmp_path_factory.mktemp("hello") / "server.sock") as server:
        yield server


@pytest.fixture(scope="module")
def streaming(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running("streaming:app", tmp_path_factory.mktemp("streaming") / "server.sock") as server:
        yield server


@pytest.fixture(scope="module")
def download(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("download")
    file = folder / "large.bin"
    file.write_bytes(LARGE)
    env = {"DOWNLOAD_FILE": str(file)}
    with running("download:app", folder / "server.sock", env=env) as server:
        yield server


def test_hello_by_requests(hello: ServerProcess) -> None:
    with requests.Session() as session:
        for _ in range(3):
            response = session.get(hello.url, timeout=10)
            assert (response.status_code, response.text) == (200, "Hello, world!\n")
            assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
            assert response.headers["Content-Length"] == "14"


def test_hello_head_by_requests(hello: ServerProcess) -> None:
    response = requests.head(hello.url, timeout=10)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["Content-Length"] == "14"


def test_hello_by_curl(hello: ServerProcess) -> None:
    assert curl(hello.url).stdout == b"Hello, world!\n"
    head = curl("--head", hello.url).stdout
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nContent-Length: 14\r\n" in head


def test_hello_by_curl_over_a_unix_socket(hello: ServerProcess) -> None:
    got = curl("--unix-socket", unix_path(hello), "http://localhost/").stdout
    assert got == b"Hello, world!\n"


def test_curl_keeps_one_connection_for_several_requests(hello: ServerProcess) -> None:
    result = curl("--verbose", hello.url, hello.url, hello.url)
    assert result.stdout == b"Hello, world!\n" * 3
    assert b"re-using" in result.stderr.lower()


def test_hello_by_curl_on_http_1_0(hello: ServerProcess) -> None:
    assert curl("--http1.0", hello.url).stdout == b"Hello, world!\n"


def expected_table(rows: int) -> bytes:
    return b"number,square\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(1, rows + 1))


@pytest.mark.parametrize("rows", [0, 1, 500, 501, 100_000])
def test_streaming_by_requests(streaming: ServerProcess, rows: int) -> None:
    with requests.get(streaming.url, params={"rows": rows}, stream=True, timeout=30) as response:
        assert response.headers["Transfer-Encoding"] == "chunked"
        assert b"".join(response.iter_content(8192)) == expected_table(rows)


def test_streaming_by_curl(streaming: ServerProcess) -> None:
    assert curl(f"{streaming.url}/?rows=20000").stdout == expected_table(20000)
    over_unix = curl("--unix-socket", unix_path(streaming), "http://localhost/?rows=20000")
    assert over_unix.stdout == expected_table(20000)
    assert curl("--http1.0", f"{streaming.url}/?rows=20000").stdout == expected_table(20000)


def test_streaming_refuses_what_is_no_number(streaming: ServerProcess) -> None:
    assert requests.get(streaming.url, params={"rows": "many"}, timeout=10).status_code == 400


def test_download_by_requests(download: ServerProcess) -> None:
    response = requests.get(download.url, timeout=30)
    assert response.content == LARGE
    assert response.headers["Content-Length"] == str(len(LARGE))
    head = requests.head(download.url, timeout=10)
    assert head.headers["Content-Length"] == str(len(LARGE))


def test_download_by_curl(download: ServerProcess, tmp_path: Path) -> None:
    curl("--remote-name", "--remote-header-name", "--output-dir", tmp_path, f"{download.url}/x")
    saved = tmp_path / "large.bin"
    assert hashlib.sha256(saved.read_bytes()).digest() == hashlib.sha256(LARGE).digest()


def test_download_by_curl_over_a_unix_socket(download: ServerProcess) -> None:
    got = curl("--unix-socket", unix_path(download), "http://localhost/").stdout
    assert got == LARGE


def test_download_sends_its_own_source_by_default(tmp_path: Path) -> None:
    with running("download:app", tmp_path / "server.sock") as server:
        assert curl(server.url).stdout == (EXAMPLES / "download.py").read_bytes()


def test_start_from_the_root_with_chdir(tmp_path: Path) -> None:
    """The command of the README."""
    args = ["--chdir", "examples", "hello:app", "-b", "127.0.0.1:0"]
    with ServerProcess.start(args, cwd=EXAMPLES.parent) as server:
        assert server.get("/") == (200, b"Hello, world!\n")
