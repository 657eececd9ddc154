"""Other people's clients: curl and openssl, over TCP and unix sockets, in each model of execution."""

import ast
import hashlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.support.certificates import Pair, authority
from tests.support.models import MODELS, Model
from tests.support.server import PATIENCE, Lines, ServerProcess
from tests.tls.conftest import LOCAL, connection, get, run

REQUEST = b"GET /environ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def curl(server: ServerProcess, site: Path, path: str, *options: str | Path) -> bytes:
    url = f"https://localhost:{server.port or 443}{path}"
    done = run("curl", "-sS", "--fail", "--cacert", site / "ca.pem", *options, url)
    assert done.returncode == 0, done.stderr
    return done.stdout


def s_client(server: ServerProcess, given: bytes, *options: str) -> bytes:
    address = f"127.0.0.1:{server.port}"
    done = run("openssl", "s_client", "-connect", address, *options, given=given)
    return done.stdout + done.stderr


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_large_bodies_go_both_ways_byte_for_byte(
    serve: Serve, site: Path, pair: Pair, model: Model
) -> None:
    path = site / "s"
    server = serve(*LOCAL, "-b", f"unix:{path}", *pair.options, *model.options, cwd=site)
    assert server.addresses == [f"https://127.0.0.1:{server.port}", f"unix:{path}"]
    content = os.urandom(5_000_000)
    (site / "content").write_bytes(content)
    sent = ("-T", site / "content", "-X", "POST")
    digest = hashlib.sha1(content).digest()
    for options in ((), ("--tls-max", "1.2"), ("--unix-socket", path)):
        answer = curl(server, site, "/echo", *sent, *options)
        assert hashlib.sha1(answer).digest() == digest
    environ = ast.literal_eval(curl(server, site, "/environ", "--unix-socket", path).decode())
    assert (environ["wsgi.url_scheme"], environ["SERVER_PORT"]) == ("https", "443")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert server.log.count(r"\[(WARNING|ERROR|CRITICAL)\]") == 0, server.log.text()


def test_keys_are_updated_amid_a_connection(serve: Serve, site: Path, pair: Pair) -> None:
    """openssl takes a line with K as the order to ask for new keys (RFC 8446, 4.6.3)."""
    server = serve(*LOCAL, *pair.options, cwd=site)
    words = ("openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_3")
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        lines = Lines(client.stdout)
        for say, hear in (
            (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "Content-Length: 5"),
            (b"K\n", "KEYUPDATE"),
            (REQUEST, "'SSL_PROTOCOL': 'TLSv1.3'"),
        ):
            client.stdin.write(say)
            client.stdin.flush()
            lines.wait_for(hear)
        lines.join()
        assert client.wait(PATIENCE) == 0


def test_a_client_cannot_renegotiate(serve: Serve, site: Path, pair: Pair) -> None:
    server = serve(*LOCAL, *pair.options, cwd=site)
    answer = s_client(server, b"R\n" + REQUEST, "-tls1_2")
    assert b"RENEGOTIATING" in answer
    assert b"no renegotiation" in answer
    assert b"SSL_PROTOCOL" not in answer
    assert get(server) == b"hello"


def test_openssl_verifies_and_leaves_in_peace(serve: Serve, site: Path, pair: Pair) -> None:
    server = serve(*LOCAL, *pair.options, cwd=site)
    options = ("-CAfile", str(site / "ca.pem"), "-verify_return_error", "-ign_eof")
    answer = s_client(server, REQUEST, *options, "-servername", "localhost", "-alpn", "http/1.1")
    assert b"Verify return code: 0 (ok)" in answer
    assert b"ALPN protocol: http/1.1" in answer
    assert b"HTTP/1.1 200 OK" in answer
    assert b"unexpected eof" not in answer  # what OpenSSL 3 says where close_notify is missing


def test_sessions_are_resumed_at_any_worker(serve: Serve, site: Path, pair: Pair) -> None:
    server = serve(*LOCAL, *pair.options, "-w", "2", "--reuse-port", cwd=site)
    server.wait_for("Ready: 2 workers")
    session = site / "session"
    s_client(server, REQUEST, "-sess_out", str(session), "-ign_eof")
    for _ in range(8):
        assert b"Reused, TLSv1.3" in s_client(server, REQUEST, "-sess_in", str(session), "-ign_eof")
    pids = {get(server, "/pid") for _ in range(40)}
    assert len(pids) == 2, "the kernel spread no connections, so nothing was shown"


def test_the_ssl_context_hook_makes_the_context(serve: Serve, site: Path, pair: Pair) -> None:
    (site / "gunicorn.conf.py").write_text(
        f"certfile, keyfile = {pair.certfile!r}, {pair.keyfile!r}\n"
        "def ssl_context(config, default_factory):\n"
        "    import ssl\n"
        "    assert config.certfile.endswith('server.crt')\n"
        "    context = default_factory()\n"
        "    context.minimum_version = ssl.TLSVersion.TLSv1_3\n"
        "    return context\n"
    )
    server = serve(*LOCAL, cwd=site)
    assert get(server) == b"hello"
    assert b"alert protocol version" in s_client(server, b"", "-tls1_2")


def test_gunicorn_serves_the_same_command_line(site: Path, pair: Pair) -> None:
    """The words are its own: what it serves with them, so do we."""
    words = [*LOCAL, *pair.options, "--ca-certs", str(site / "ca.pem"), "--cert-reqs", "1"]
    words += ["--ciphers", "ECDHE+AESGCM", "--suppress-ragged-eofs", "--do-handshake-on-connect"]
    for module in ("gunicorn", "fastwsgi"):
        command = (sys.executable, "-m", module)
        with ServerProcess.start(words, site, command=command) as server:
            assert server.addresses[0].startswith("https://127.0.0.1:")
            client = connection(server, authority().context())
            client.request("GET", "/environ")
            environ = client.getresponse().read().decode()
            assert re.search("'wsgi.url_scheme': 'https'", environ)
            client.close()
