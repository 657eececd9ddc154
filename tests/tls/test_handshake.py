"""The handshake: what is agreed on, what is refused, and that nobody's waiting is another's."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from fastwsgi.net.tls import Endpoint
from tests.support.certificates import Pair, TlsSocket, authority, client_context, make_endpoint
from tests.support.loop import SteppedServer

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
SECONDS = 10  # for a head, and so for a handshake

Environ = dict[str, Any]


class Noting:
    """An application that keeps the environs it was called with."""

    def __init__(self) -> None:
        self.environs: list[Environ] = []

    def __call__(self, environ: Environ, start_response: Any) -> list[bytes]:
        self.environs.append(dict(environ))
        start_response("200 OK", [])
        return [b"hello"]


class Served(SteppedServer):
    """A server that speaks TLS and notes environs."""

    def __init__(self, endpoint: Endpoint | None = None, **settings: Any) -> None:
        self.noting = Noting()
        settings |= {"header_timeout": SECONDS, "keepalive": 5}
        super().__init__(self.noting, Path(), "tls", endpoint=endpoint, **settings)

    @property
    def environ(self) -> Environ:
        return self.noting.environs[-1]


@pytest.fixture
def server() -> Iterator[Served]:
    with Served() as server:
        yield server


class Slow:
    """A socket that sends byte by byte, and each is seen alone."""

    def __init__(self, client: socket.socket, server: Served) -> None:
        self.client = client
        self.server = server

    def recv(self, size: int) -> bytes:
        return self.client.recv(size)

    def send(self, data: bytes) -> int:
        for byte in data:
            self.client.send(bytes([byte]))
            assert self.server.turn(1)
        return len(data)


def raw(server: Served) -> socket.socket:
    """A client without TLS that the server has accepted."""
    before = server.server.connections
    client = socket.create_connection(server.socket.getsockname())
    server.until(lambda: server.server.connections > before, "the connection")
    client.setblocking(False)
    return client


def received(server: Served, client: socket.socket) -> bytes:
    """All that the server sends before it ends the connection."""
    parts: list[bytes] = []

    def ended() -> bool:
        try:
            parts.append(client.recv(65536))
        except BlockingIOError:
            return False
        return parts[-1] == b""

    server.until(ended, "the end")
    return b"".join(parts)


def refusal(server: Served, context: ssl.SSLContext) -> str:
    """What the server says when it refuses the handshake."""
    client = raw(server)
    try:
        tls = TlsSocket(client, context)
        with pytest.raises(ssl.SSLError) as caught:
            server.until(tls.shake_hands, "the handshake")
        return str(caught.value)
    finally:
        client.close()


def hello(context: ssl.SSLContext | None = None) -> bytes:
    """The first bytes of a client."""
    outgoing = ssl.MemoryBIO()
    session = (context or client_context()).wrap_bio(
        ssl.MemoryBIO(), outgoing, server_hostname="localhost"
    )
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


def client_of(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = authority().context()
    context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize(
    ("version", "name"),
    [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")],
)
def test_the_environ_says_what_was_agreed_on(
    server: Served, version: ssl.TLSVersion, name: str
) -> None:
    client = server.connect(context=client_of(version))
    assert client.exchange(GET).body == b"hello"
    assert client.exchange(GET).body == b"hello"
    cipher = client.socket.session.cipher()
    for environ in server.noting.environs:
        assert environ["wsgi.url_scheme"] == "https"
        assert environ["SERVER_PORT"] == str(server.socket.getsockname()[1])
        assert environ["SSL_PROTOCOL"] == name
        assert environ["SSL_CIPHER"] == cipher[0]
        assert environ["SSL_SERVER_NAME"] == "localhost"
        assert "SSL_CLIENT_VERIFY" not in environ  # nobody asked for a certificate
    client.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_tls_1_1_is_refused(server: Served) -> None:
    context = client_of(ssl.TLSVersion.TLSv1_1)
    context.set_ciphers("ALL:@SECLEVEL=0")
    assert "PROTOCOL_VERSION" in refusal(server, context)
    server.until(lambda: server.server.connections == 0, "the end")


def test_http_1_1_is_what_is_spoken(server: Served) -> None:
    context = authority().context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    client = server.connect(context=context)
    assert client.socket.session.selected_alpn_protocol() == "http/1.1"
    client.close()


def test_only_the_ciphers_that_were_named() -> None:
    name = "ECDHE-ECDSA-CHACHA20-POLY1305"
    with Served(make_endpoint(ciphers=name)) as server:
        context = client_of(ssl.TLSVersion.TLSv1_2)
        client = server.connect(context=context)
        client.exchange(GET)
        assert server.environ["SSL_CIPHER"] == name
        client.close()
        server.until(lambda: server.server.connections == 0, "the end")
        context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        assert "HANDSHAKE_FAILURE" in refusal(server, context)


def test_a_handshake_may_come_byte_by_byte(server: Served) -> None:
    client = raw(server)
    tls = TlsSocket(cast(Any, Slow(client, server)), client_context())
    server.until(tls.shake_hands, "the handshake")
    tls.send(GET)
    server.until(lambda: len(server.noting.environs) == 1, "the request")
    client.close()


def test_a_half_open_handshake_keeps_nobody_waiting_and_ends_in_time(server: Served) -> None:
    idle = raw(server)
    halves = [raw(server) for _ in range(3)]
    for half in halves:
        half.send(hello()[:100])
    silent = raw(server)  # had its hello answered, and says no more
    silent.send(hello())
    server.settle()
    assert server.server.connections == 5
    client = server.connect()
    assert client.exchange(GET).status == 200
    client.close()
    server.advance(SECONDS - 2)
    assert server.server.connections == 5
    server.advance(4)
    server.until(lambda: server.server.connections == 0, "their end")
    for one in (idle, *halves, silent):
        one.close()


def test_a_worker_that_drains_waits_for_handshakes_a_moment(server: Served) -> None:
    silent = raw(server)
    silent.send(hello())
    server.settle()
    server.server._http.drain()
    client_left = server.server.connections
    server.advance(3)
    assert (client_left, server.server.connections) == (1, 0)
    silent.close()


@pytest.mark.parametrize("garbage", [b"\0" * 100, b"SSH-2.0-x\r\n", b"\x16\x03\x01\0\5hello"])
def test_garbage_ends_the_connection_and_is_not_worth_a_line(
    server: Served, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    client = raw(server)
    client.send(garbage)
    assert not received(server, client).startswith(b"HTTP")
    client.close()
    assert [record for record in caplog.records if record.levelname != "DEBUG"] == []
    other = server.connect()
    assert other.exchange(GET).status == 200
    other.close()


@pytest.mark.parametrize("method", [b"GET", b"POST", b"HEAD", b"PUT"])
def test_062_plain_http_is_told_that_this_port_speaks_tls(
    server: Served, method: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    client = raw(server)
    client.send(method + b" / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    answer = received(server, client)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\nConnection: close\r\n" in answer
    assert b"speaks TLS" in answer
    assert server.noting.environs == []
    assert "speaks TLS" in caplog.text
    client.close()


def test_a_session_is_resumed(server: Served) -> None:
    context = client_of(ssl.TLSVersion.TLSv1_3)
    first = server.connect(context=context)
    first.exchange(GET)
    session = first.socket.session.session
    assert session.has_ticket
    first.close()
    server.until(lambda: server.server.connections == 0, "the end")
    second = raw(server)
    tls = TlsSocket(second, context)
    tls.session.session = session
    server.until(tls.shake_hands, "the handshake")
    assert tls.session.session_reused
    tls.close()


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    folder = tmp_path_factory.mktemp("certificates")
    return {
        "localhost": authority().issue(folder, "localhost", name="localhost"),
        "a.example.org": authority().issue(folder, "a.example.org", name="a"),
        "*.example.org": authority().issue(folder, "*.example.org", name="wildcard"),
    }


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("a.example.org", "a.example.org"),
        ("A.Example.ORG", "a.example.org"),
        ("b.example.org", "*.example.org"),
        ("b.a.example.org", "localhost"),  # a wildcard is one label (RFC 9525, 6.3)
        ("example.org", "localhost"),
        ("elsewhere.test", "localhost"),
        (None, "localhost"),
    ],
)
def test_a_name_gets_its_certificate(pairs: dict[str, Pair], asked: str | None, given: str) -> None:
    names = {name: pair for name, pair in pairs.items() if name != "localhost"}
    context = authority().context()
    context.check_hostname = False
    with Served(make_endpoint(pairs["localhost"], names)) as server:
        client = raw(server)
        tls = TlsSocket(client, context, asked)
        server.until(tls.shake_hands, "the handshake")
        (((_, common),),) = [
            part for part in tls.session.getpeercert()["subject"] if part[0][0] == "commonName"
        ]
        assert common == given
        tls.send(GET)
        server.until(lambda: bool(server.noting.environs), "the request")
        assert server.environ.get("SSL_SERVER_NAME") == (asked and asked.lower())
        tls.close()


# -- certificates of clients -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("client")
    return authority().issue(folder, "c@example.org", common='Ann, "A"', name="client")


def serving_clients(tmp_path: Path, cert_reqs: int) -> Served:
    return Served(make_endpoint(ca_certs=authority().write(tmp_path), cert_reqs=cert_reqs))


@pytest.mark.parametrize("cert_reqs", [1, 2])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_clients_certificate_is_in_the_environ(
    tmp_path: Path, known: Pair, cert_reqs: int, version: ssl.TLSVersion
) -> None:
    with serving_clients(tmp_path, cert_reqs) as server:
        context = authority().context(known)
        context.maximum_version = version
        client = server.connect(context=context)
        client.exchange(GET)
        environ = server.environ
        assert environ["SSL_CLIENT_VERIFY"] == "SUCCESS"
        assert environ["SSL_CLIENT_S_DN"].startswith('CN=Ann\\, \\"A\\",OU=Testing cert')
        assert environ["SSL_CLIENT_I_DN"].startswith("OU=Testing CA")
        leaf = Path(known.certfile).read_text().partition("-----END")[0]
        assert environ["SSL_CLIENT_CERT"].startswith(leaf)
        client.close()


def test_a_certificate_may_be_optional(tmp_path: Path) -> None:
    with serving_clients(tmp_path, 1) as server:
        client = server.connect()
        client.exchange(GET)
        assert server.environ["SSL_CLIENT_VERIFY"] == "NONE"
        assert "SSL_CLIENT_CERT" not in server.environ
        client.close()


@pytest.mark.parametrize("cert_reqs", [1, 2])
def test_a_certificate_of_somebody_elses_is_refused(tmp_path: Path, cert_reqs: int) -> None:
    stranger = type(authority())()
    context = authority().context(stranger.issue(tmp_path, "c@example.org", common="Eve"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # where the handshake ends with the verdict
    with serving_clients(tmp_path, cert_reqs) as server:
        assert "UNKNOWN_CA" in refusal(server, context)
        assert server.noting.environs == []


def test_a_certificate_may_be_needed(tmp_path: Path) -> None:
    with serving_clients(tmp_path, 2) as server:
        assert "HANDSHAKE_FAILURE" in refusal(server, client_of(ssl.TLSVersion.TLSv1_2))
        late = server.connect(context=client_of(ssl.TLSVersion.TLSv1_3))  # which hears of it later
        late.put(GET)
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            late.await_end()
        assert server.noting.environs == []
        late.close()


# -- the end of a connection -------------------------------------------------------------------------------------------


def test_an_idle_connection_ends_with_notice(server: Served) -> None:
    client = server.connect()
    client.exchange(GET)
    server.advance(7)
    assert client.await_end() == "eof"  # only close_notify counts as one
    client.close()


def test_a_client_that_says_it_will_send_no_more_gets_its_answer_and_an_end(
    server: Served,
) -> None:
    client = server.connect()
    client.socket.session.write(GET)
    with pytest.raises(ssl.SSLWantReadError):
        client.socket.session.unwrap()
    client.socket.flush()  # request and close_notify in one piece, and TCP stays open
    client.await_responses(1)
    assert client.await_end() == "eof"
    client.close()


@pytest.mark.parametrize("notice", [True, False])
def test_a_body_that_is_cut_off_never_reaches_the_application(server: Served, notice: bool) -> None:
    client = server.connect("POST")
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
    if notice:
        client.half_close()
    else:
        client.socket.raw.shutdown(socket.SHUT_WR)
    (answer,) = client.await_responses(1)
    assert answer.status == 400
    assert server.noting.environs == []
    client.close()


def test_a_client_that_leaves_without_notice_is_forgotten(server: Served) -> None:
    client = server.connect()
    client.exchange(GET)
    client.socket.raw.shutdown(socket.SHUT_WR)
    server.until(lambda: server.server.connections == 0, "the end")
    client.close()


def test_what_is_no_record_amid_a_connection_ends_it(server: Served) -> None:
    client = server.connect()
    client.exchange(GET)
    client.socket.raw.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    with pytest.raises(ssl.SSLError, match="ALERT"):
        client.await_end()
    assert len(server.noting.environs) == 1
    client.close()
