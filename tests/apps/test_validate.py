"""`wsgiref.validate` stands between the server and each example: both must keep PEP 3333."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.apps.conftest import ROOT, unix_path
from tests.apps.examples import DJANGO, EXAMPLES, curl, django_environment
from tests.support.server import ServerProcess

TROUBLE = "AssertionError|WSGIWarning|Traceback|without being closed|Exception ignored"

WALKS = {
    "hello:app": [("GET", "/"), ("HEAD", "/"), ("POST", "/")],
    "streaming:app": [("GET", "/?rows=2000"), ("HEAD", "/?rows=2000"), ("GET", "/?rows=x")],
    "download:app": [("GET", "/"), ("HEAD", "/")],
    "flask_app:app": [
        ("GET", "/"),
        ("HEAD", "/"),
        ("POST", "/greet"),
        ("POST", "/upload"),
        ("OPTIONS", "/greet"),
        ("GET", "/count"),
        ("GET", "/caf%C3%A9"),
    ],
    "falcon_app:app": [
        ("GET", "/time"),
        ("HEAD", "/time"),
        ("GET", "/greetings/%E2%98%83"),
        ("PUT", "/digest"),
        ("DELETE", "/digest"),
    ],
    "demo.wsgi:application": [
        ("GET", "/"),
        ("HEAD", "/"),
        ("POST", "/"),
        ("GET", "/admin/"),
        ("GET", "/static/admin/css/base.css"),
    ],
}


@pytest.fixture(params=WALKS)
def validated(
    request: pytest.FixtureRequest, django_data: Path, tmp_path: Path
) -> Iterator[tuple[str, ServerProcess]]:
    spec = request.param
    folder = DJANGO if spec.startswith("demo") else EXAMPLES
    args = ["tests.apps.fixtures.validated:app", "-b", "127.0.0.1:0"]
    args += ["-b", f"unix:{tmp_path / 'server.sock'}", "--pythonpath", str(folder)]
    env = {"VALIDATED": spec, **django_environment(django_data)}
    with ServerProcess.start(args, cwd=ROOT, env=env) as server:
        yield spec, server


def test_validator_finds_nothing(validated: tuple[str, ServerProcess]) -> None:
    spec, server = validated
    for method, target in WALKS[spec]:
        body = b"file=text" if method in ("POST", "PUT") else None
        response = requests.request(
            method, server.url + target, data=body, allow_redirects=False, timeout=10
        )
        assert response.status_code < 500, server.log.text()
        sent = [] if body is None else ["--data-binary", body.decode()]
        how = ["--head"] if method == "HEAD" else ["--request", method]
        over_unix = ["--unix-socket", unix_path(server), "--write-out", "%{http_code}"]
        code = curl(*how, *sent, *over_unix, "--output", "/dev/null", f"http://localhost{target}")
        assert int(code.stdout) == response.status_code
    assert server.log.count(TROUBLE) == 0, server.log.text()
