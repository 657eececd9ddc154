"""A site behind TLS, in a process of its own."""

import http.client
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.support.certificates import Pair, authority
from tests.support.server import PATIENCE, ServerProcess, foreign_environment

APP = """
import os

def app(environ, start_response):
    path = environ["PATH_INFO"]
    body = b"hello"
    if path == "/pid":
        body = b"%d" % os.getpid()
    elif path == "/echo":
        body = environ["wsgi.input"].read()
    elif path == "/environ":
        body = repr({k: v for k, v in environ.items() if isinstance(v, (str, bool))}).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

LOCAL = ("app:app", "-b", "127.0.0.1:0")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with `app.py`, the certificate of localhost, and ca.pem."""
    (tmp_path / "app.py").write_text(APP)
    authority().write(tmp_path)
    return tmp_path


@pytest.fixture
def pair(site: Path) -> Pair:
    return authority().issue(site, "localhost", common="first")


def connection(
    server: ServerProcess, context: ssl.SSLContext | None = None
) -> http.client.HTTPSConnection:
    context = context or authority().context()
    return http.client.HTTPSConnection("localhost", server.port, context=context, timeout=PATIENCE)


def get(server: ServerProcess, path: str = "/") -> bytes:
    """The body of an answer on a connection of its own."""
    client = connection(server)
    try:
        client.request("GET", path, headers={"Connection": "close"})
        response = client.getresponse()
        assert response.status == 200
        return response.read()
    finally:
        client.close()


def common_name(certificate: object) -> str:
    """Who a certificate is of, as `SSLSocket.getpeercert` shows it."""
    assert isinstance(certificate, dict)
    parts = dict(part[0] for part in certificate["subject"])
    return str(parts["commonName"])


def presented(server: ServerProcess) -> str:
    """Whose certificate a new connection is shown."""
    client = connection(server)
    try:
        client.connect()
        assert isinstance(client.sock, ssl.SSLSocket)
        return common_name(client.sock.getpeercert())
    finally:
        client.close()


def run(*words: str | Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a program that is a client."""
    return subprocess.run(
        words,
        input=given,
        env=foreign_environment(),
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
