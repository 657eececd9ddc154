"""The Falcon example by `requests` and by curl."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from tests.apps.conftest import unix_path
from tests.apps.examples import curl
from tests.apps.fixtures.bodies import LARGE
from tests.support.server import ServerProcess

EXAMPLE = "falcon_app:app"


def test_time(example: ServerProcess) -> None:
    now = requests.get(f"{example.url}/time", timeout=10).json()["now"]
    assert datetime.fromisoformat(now).tzinfo is not None


@pytest.mark.parametrize("name", ["Ada", "Zoë", "\N{SNOWMAN}", "a b"])
def test_unicode_path(example: ServerProcess, name: str) -> None:
    expected = {"greeting": f"Hello, {name}!"}
    assert requests.get(f"{example.url}/greetings/{name}", timeout=10).json() == expected
    target = f"http://localhost/greetings/{quote(name)}"
    got = curl("--unix-socket", unix_path(example), target).stdout
    assert json.loads(got) == expected


def test_query(example: ServerProcess) -> None:
    got = requests.get(f"{example.url}/greetings/Ada", params={"shout": "true"}, timeout=10)
    assert got.json() == {"greeting": "Hello, ADA!"}


def test_json(example: ServerProcess) -> None:
    url = f"{example.url}/words"
    assert requests.post(url, json={"text": "one two"}, timeout=10).json() == {"words": 2}
    assert requests.post(url, json=["one"], timeout=10).status_code == 400
    assert requests.post(url, timeout=10).status_code == 400
    sent = ["--header", "Content-Type: application/json", "--data", '{"text": "a b c"}']
    assert json.loads(curl(*sent, url).stdout) == {"words": 3}


def expected_digest() -> dict[str, object]:
    return {"bytes": len(LARGE), "sha256": hashlib.sha256(LARGE).hexdigest()}


def test_upload_by_requests(example: ServerProcess) -> None:
    def blocks() -> Iterator[bytes]:  # requests sends an iterator chunked
        for start in range(0, len(LARGE), 99_991):
            yield LARGE[start : start + 99_991]

    url = f"{example.url}/digest"
    assert requests.put(url, data=LARGE, timeout=30).json() == expected_digest()
    assert requests.put(url, data=blocks(), timeout=30).json() == expected_digest()


def test_upload_by_curl(example: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "large.bin"
    file.write_bytes(LARGE)
    url = f"{example.url}/digest"
    assert json.loads(curl("--upload-file", file, url).stdout) == expected_digest()
    chunked = ["--header", "Transfer-Encoding: chunked", "--upload-file", file]
    assert json.loads(curl(*chunked, url).stdout) == expected_digest()
    over_unix = ["--unix-socket", unix_path(example), "http://localhost/digest"]
    assert json.loads(curl("--upload-file", file, *over_unix).stdout) == expected_digest()


def test_unknown_path(example: ServerProcess) -> None:
    response = requests.get(f"{example.url}/none", timeout=10)
    assert response.status_code == 404
    assert response.json()["title"] == "404 Not Found"
