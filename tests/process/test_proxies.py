"""A running server behind proxies: what it says at its start, whom it believes, what it reads before a request."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import ServerProcess

APP = """
import json

def app(environ, start_response):
    shown = {key: environ.get(key) for key in ("REMOTE_ADDR", "SCRIPT_NAME", "wsgi.url_scheme")}
    body = json.dumps(shown).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
ADDRESS = ["app:app", "-b", "127.0.0.1:0"]
PROXY_LINE = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
SAID = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.3"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def seen(server: ServerProcess) -> Any:
    status, body = server.get("/", SAID)
    assert status == 200
    return json.loads(body)


@pytest.mark.parametrize("model", ["sync", "gthread", "gevent"])
def test_a_header_before_the_request_in_each_model(folder: Path, model: str) -> None:
    options = ["-k", model, "--threads", "2" if model == "gthread" else "1", "--proxy-protocol"]
    with ServerProcess.start([*ADDRESS, *options], folder) as server:
        with server.connect() as client:
            client.sendall(PROXY_LINE[:20])
            client.sendall(PROXY_LINE[20:] + b"GET / HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: client.recv(65536), b""))
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["REMOTE_ADDR"] == "192.0.2.1"
        with server.connect() as silent:  # it holds up no end
            silent.sendall(PROXY_LINE[:20])
            server.signal(signal.SIGTERM)
            assert server.wait() == 0


@pytest.mark.parametrize(
    ("believed", "scheme", "address"),
    [
        (None, "https", "192.0.2.3"),
        ("", "http", "127.0.0.1"),
        ("10.0.0.0/8", "http", "127.0.0.1"),
        ("127.0.0.0/8", "https", "192.0.2.3"),
    ],
)
def test_the_environment_says_who_is_believed(
    folder: Path, believed: str | None, scheme: str, address: str
) -> None:
    env = {} if believed is None else {"FORWARDED_ALLOW_IPS": believed}
    options = ["--real-ip", "x-forwarded-for"]
    with ServerProcess.start([*ADDRESS, *options], folder, {**env, "SCRIPT_NAME": ""}) as server:
        assert seen(server) == {
            "REMOTE_ADDR": address,
            "SCRIPT_NAME": "",
            "wsgi.url_scheme": scheme,
        }


def test_what_loosens_is_told(folder: Path) -> None:
    (folder / "gunicorn.conf.py").write_text(
        "permit_obsolete_folding = True\n"
        "forwarded_allow_ips = '*'\n"
        "secure_scheme_headers = {'X-FORWARDED-PROTO': 'http'}\n"
    )
    with ServerProcess.start([*ADDRESS, "--strip-header-spaces"], folder) as server:
        assert seen(server)["wsgi.url_scheme"] == "http"
        for setting in ("permit_obsolete_folding", "forwarded_allow_ips", "strip_header_spaces"):
            server.wait_for(f"{setting} = .*: loosens")
        assert server.log.count("loosens") == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--forwarded-allow-ips", "10.0.0.1/8"], "--forwarded-allow-ips takes .*10.0.0.1/8"),
        (["--proxy-allow-from", "localhost"], "--proxy-allow-from takes .*localhost"),
        (["--proxy-protocol", "v3"], "--proxy-protocol takes one of off, v1, v2, auto"),
        (["--header-map", "keep"], "--header-map takes one of drop, refuse, dangerous"),
        (["--real-ip", "X_Real_IP"], "--real-ip takes .*X_Real_IP"),
    ],
)
def test_a_bad_value_is_told_from_the_start(folder: Path, options: list[str], words: str) -> None:
    with ServerProcess([*ADDRESS, *options], folder) as server:
        assert server.wait() in (1, 2)
        server.wait_for(words)
