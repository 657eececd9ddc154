"""The Flask example by `requests` and by curl: pages, session, JSON, upload, streaming."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
import requests

from tests.apps.conftest import unix_path
from tests.apps.examples import curl
from tests.apps.fixtures.bodies import LARGE
from tests.support.server import ServerProcess

EXAMPLE = "flask_app:app"


def visits(page: str) -> int:
    found = re.search(r'<b id="visits">(\d+)</b>', page)
    assert found is not None
    return int(found[1])


def test_form_and_session_by_requests(example: ServerProcess) -> None:
    with requests.Session() as session:
        assert "Hello, stranger!" in session.get(example.url, timeout=10).text
        response = session.post(f"{example.url}/greet", data={"name": "Zoë & co"}, timeout=10)
        assert [r.status_code for r in response.history] == [302]
        assert "Hello, Zoë &amp; co!" in response.text
        assert visits(response.text) == 2
        assert visits(session.get(example.url, timeout=10).text) == 3
    assert visits(requests.get(example.url, timeout=10).text) == 1  # a session of its own


def test_form_and_session_by_curl(example: ServerProcess, tmp_path: Path) -> None:
    jar = tmp_path / "jar"
    cookies = ["--cookie", jar, "--cookie-jar", jar]
    curl(*cookies, example.url)
    page = curl(*cookies, "--location", "--data", "name=Ada", f"{example.url}/greet").stdout
    assert b"Hello, Ada!" in page
    assert visits(page.decode()) == 2


def test_json_by_requests(example: ServerProcess) -> None:
    url = f"{example.url}/api/sum"
    assert requests.post(url, json={"numbers": [1, 2, 3.5]}, timeout=10).json() == {"sum": 6.5}
    assert requests.post(url, json={"numbers": "12"}, timeout=10).status_code == 400
    broken = {"Content-Type": "application/json"}
    assert requests.post(url, data="{", headers=broken, timeout=10).status_code == 400


def test_json_by_curl(example: ServerProcess) -> None:
    sent = ["--header", "Content-Type: application/json", "--data", '{"numbers": [1, 2]}']
    assert json.loads(curl(*sent, f"{example.url}/api/sum").stdout) == {"sum": 3}


@pytest.mark.parametrize("size", [0, 10, 70_000, len(LARGE)])
def test_upload_by_requests(example: ServerProcess, size: int) -> None:
    content = LARGE[:size]
    files = {"file": ("some file.bin", content)}
    assert requests.post(f"{example.url}/upload", files=files, timeout=30).json() == {
        "name": "some file.bin",
        "bytes": size,
        "sha256": hashlib.sha256(content).hexdigest(),
    }


@pytest.mark.parametrize("over", ["tcp", "unix"])
def test_upload_by_curl(example: ServerProcess, tmp_path: Path, over: str) -> None:
    """curl asks for `100 Continue` before a body of this size."""
    file = tmp_path / "large.bin"
    file.write_bytes(LARGE)
    if over == "tcp":
        where: list[str] = [f"{example.url}/upload"]
    else:
        where = ["--unix-socket", unix_path(example), "http://localhost/upload"]
    sent = ["--header", "Expect: 100-continue", "--form", f"file=@{file}"]
    result = curl("--verbose", *sent, *where)
    assert json.loads(result.stdout)["sha256"] == hashlib.sha256(LARGE).hexdigest()
    assert b"HTTP/1.1 100 Continue" in result.stderr


def test_chunked_upload_by_curl(example: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "large.bin"
    file.write_bytes(LARGE)
    sent = ["--header", "Transfer-Encoding: chunked", "--form", f"file=@{file}"]
    got = json.loads(curl(*sent, f"{example.url}/upload").stdout)
    assert got["sha256"] == hashlib.sha256(LARGE).hexdigest()


def test_streaming(example: ServerProcess) -> None:
    expected = "".join(f"{n}\n" for n in range(1, 101))
    assert requests.get(f"{example.url}/count", timeout=10).text == expected
    over_unix = curl("--unix-socket", unix_path(example), "http://localhost/count")
    assert over_unix.stdout.decode() == expected


def test_errors_are_flasks_own(example: ServerProcess) -> None:
    assert requests.get(f"{example.url}/none", timeout=10).status_code == 404
    assert requests.put(f"{example.url}/greet", timeout=10).status_code == 405
    assert requests.options(f"{example.url}/greet", timeout=10).headers["Allow"]
    head = requests.head(example.url, timeout=10)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["Content-Length"]) > 0


def test_access_log(example: ServerProcess) -> None:
    requests.get(f"{example.url}/none?for=log", timeout=10)
    example.out.wait_for(
        r'^127\.0\.0\.1 - - \[.+\] "GET /none\?for=log HTTP/1\.1" 404 \d+ "-" ".+"$'
    )
