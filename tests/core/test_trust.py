"""Whom the environ believes: one worker, clients that are trusted proxies and clients that are not."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastwsgi.forwarded import client_finder
from tests.support.builds import LENDS_ENVIRONS, WHY_NOT
from tests.support.loop import SteppedServer

Environ = dict[str, Any]

PROXY = "127.0.0.1"
STRANGER = "127.0.0.2"


class Visitor:
    """A keep-alive connection from an address of one's choice."""

    def __init__(self, server: SteppedServer, seen: list[Environ], source: str) -> None:
        self.server = server
        self.seen = seen
        self.socket = socket.socket()
        self.socket.bind((source, 0))
        self.socket.connect(server.socket.getsockname())

    def ask(self, *fields: str, target: str = "/") -> Environ:
        """The environ of one request; AssertionError where the application was not called."""
        head = [f"GET {target} HTTP/1.1", "Host: a", *fields, "", ""]
        self.socket.sendall("\r\n".join(head).encode("latin-1"))
        self.server.until(lambda: bool(self.seen), "the request")
        return self.seen.pop()


Visit = Callable[[str], Visitor]


@pytest.fixture
def seen() -> list[Environ]:
    return []


@pytest.fixture
def settings() -> dict[str, Any]:
    return {}


@pytest.fixture
def server(
    tmp_path: Path, seen: list[Environ], settings: dict[str, Any]
) -> Iterator[SteppedServer]:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        # Without what stays with the environ: who holds that holds it.
        kept = {key: value for key, value in environ.items() if key != "wsgi.early_hints"}
        seen.append({**kept, "id": id(environ)})
        others.append({})  # takes the address of an environ that was given up
        start_response("204 No Content", [])
        return []

    others: list[Environ] = []
    with SteppedServer(
        app, tmp_path, keepalive_requests=0, **{"forwarded_allow_ips": (PROXY,), **settings}
    ) as server:
        yield server


@pytest.fixture
def visit(server: SteppedServer, seen: list[Environ]) -> Iterator[Visit]:
    visitors: list[Visitor] = []

    def visit(source: str) -> Visitor:
        visitors.append(Visitor(server, seen, source))
        return visitors[-1]

    yield visit
    for visitor in visitors:
        visitor.socket.close()


def test_the_same_bytes_mean_what_their_sender_may_say(visit: Visit) -> None:
    """Heads are kept, and environs lent again; neither passes trust on."""
    proxy, stranger = visit(PROXY), visit(STRANGER)
    heads = [
        (("X-Forwarded-Proto: https",), "https"),
        (("X-Forwarded-Proto: http",), "http"),
        ((), "http"),
        (("User-Agent: a", "X-Forwarded-Ssl: on"), "https"),
        (("User-Agent: a", "X-FORWARDED-SSL: on"), "https"),
        (("X-Forwarded-Proto: https", "X-Forwarded-Proto: https"), "https"),
        (("X-A: b",) * 40 + ("X-Forwarded-Proto: https",), "https"),
    ]
    for turn in range(len(heads) * 7):
        fields, scheme = heads[turn * 3 % len(heads)]
        for _ in range(turn % 3):
            assert stranger.ask(*fields)["wsgi.url_scheme"] == "http"
        assert proxy.ask(*fields)["wsgi.url_scheme"] == scheme
        assert stranger.ask(*fields)["wsgi.url_scheme"] == "http"


@pytest.mark.skipif(not LENDS_ENVIRONS, reason=WHY_NOT)
def test_a_proxys_word_costs_no_environ(visit: Visit) -> None:
    proxy = visit(PROXY)
    fields = ("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https")
    first = proxy.ask(*fields)
    again = [proxy.ask(*fields, target=f"/{number}") for number in range(3)]
    assert {environ["id"] for environ in again} == {first["id"]}
    assert {environ["wsgi.url_scheme"] for environ in again} == {"https"}


def test_a_name_that_no_cache_holds_is_known_as_well(visit: Visit) -> None:
    proxy = visit(PROXY)
    for number in range(400):  # more names than the cache has room for
        proxy.ask(f"X-Filler-{number}: a")
    assert proxy.ask("x-FORWARDED-proto: https")["wsgi.url_scheme"] == "https"
    assert proxy.ask("x-FORWARDED-proto: http")["wsgi.url_scheme"] == "http"


# -- SCRIPT_NAME of the process ----------------------------------------------------------------------------------------


@pytest.fixture
def mounted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIPT_NAME", "/shop/")


@pytest.mark.usefixtures("mounted")
def test_the_process_says_where_the_application_is_mounted(visit: Visit) -> None:
    stranger = visit(STRANGER)
    for target, path in [
        ("/shop", ""),
        ("/shop/", "/"),
        ("/shop/a?b", "/a"),
        ("/shop/%41", "/A"),
        ("/shop?b", ""),
        ("http://a/shop/b", "/b"),
    ] * 2:
        environ = stranger.ask(target=target)
        assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/shop", path)
        assert environ["RAW_URI"] == target


@pytest.mark.usefixtures("mounted")
@pytest.mark.parametrize("settings", [{"health_path": "/healthz"}])
def test_what_is_not_there_is_not_asked_of_the_application(server: SteppedServer) -> None:
    for target, status in [
        ("/", 500),
        ("/shopping", 500),
        ("/sho%70", 500),
        ("http://a", 500),
        ("/healthz", 200),
        ("/shop", 204),
        ("/", 500),
        ("/", 500),
    ]:
        with server.connection() as client:
            request = f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
            assert client.exchange(request).status == status, target


@pytest.mark.usefixtures("mounted")
def test_a_proxy_knows_better(visit: Visit) -> None:
    proxy = visit(PROXY)
    for name, target, path in [("/a", "/a/b", "/b"), ("", "/shop/b", "/shop/b"), ("/", "/c", "/c")]:
        environ = proxy.ask(f"SCRIPT_NAME: {name}", target=target)
        assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == (name.rstrip("/"), path)
    assert proxy.ask(target="/shop/b")["PATH_INFO"] == "/b"


# -- the client's address ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{"real_ip": "X-Forwarded-For"}])
def test_the_address_of_the_client_by_its_proxy(visit: Visit) -> None:
    proxy, stranger = visit(PROXY), visit(STRANGER)
    for _ in range(3):
        environ = proxy.ask("X-Forwarded-For: 192.0.2.1:80")
        assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("192.0.2.1", "80")
        environ = proxy.ask("X-Forwarded-For: 192.0.2.1")
        assert environ["REMOTE_ADDR"] == "192.0.2.1"
        assert "REMOTE_PORT" not in environ  # that of the proxy would be no answer
        environ = stranger.ask("X-Forwarded-For: 192.0.2.1")
        assert environ["REMOTE_ADDR"] == STRANGER
        assert environ["REMOTE_PORT"] == str(stranger.socket.getsockname()[1])
        environ = proxy.ask()
        assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == (
            PROXY,
            str(proxy.socket.getsockname()[1]),
        )
        environ = proxy.ask("X-Forwarded-For: a", "X-Forwarded-Proto: https")
        assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == (PROXY, "https")
        environ = proxy.ask("X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2, 127.0.0.1")
        assert environ["REMOTE_ADDR"] == "192.0.2.2"
        assert environ["HTTP_X_FORWARDED_FOR"] == "192.0.2.1,192.0.2.2, 127.0.0.1"


@pytest.mark.parametrize("settings", [{"real_ip": "X-Forwarded-For"}])
def test_the_log_knows_the_client_as_well(
    server: SteppedServer, caplog: pytest.LogCaptureFixture
) -> None:
    head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
    with server.connection() as client:
        client.exchange(f"{head}X-Forwarded-For: 192.0.2.1\r\n\r\n0\r\n\r\n".encode())
        client.exchange(f"{head}\r\nnone\r\n".encode())
    server.advance(2)  # else the two would be one line
    with server.connection() as client:
        client.exchange(f"{head}X-Forwarded-For: 192.0.2.1\r\n\r\nnone\r\n".encode())
    assert re.findall(r"ip=(\S+):", caplog.text) == [PROXY, "192.0.2.1"]


@pytest.mark.parametrize("settings", [{"real_ip": "X-Forwarded-For", "header_map": "dangerous"}])
def test_a_name_that_only_looks_the_same_is_no_proxys(visit: Visit) -> None:
    environ = visit(PROXY).ask("X-Forwarded-For: 192.0.2.1", "X_Forwarded_For: 192.0.2.2")
    assert environ["REMOTE_ADDR"] == "192.0.2.1"


@pytest.mark.parametrize("settings", [{"real_ip": "X-Forwarded-For", "proxy_protocol": "v1"}])
def test_behind_a_proxy_header_the_list_goes_on_from_its_address(visit: Visit) -> None:
    """Who the PROXY header names wrote the list, and is believed only where it is trusted, too."""
    for named, found in [(PROXY, "192.0.2.1"), ("192.0.2.9", "192.0.2.9")]:
        proxy = visit(PROXY)
        proxy.socket.sendall(f"PROXY TCP4 {named} 192.0.2.8 1 2\r\n".encode())
        assert proxy.ask("X-Forwarded-For: 192.0.2.1")["REMOTE_ADDR"] == found


TRUSTED = {"10.0.0.1", "10.0.0.2", "::1"}


@pytest.mark.parametrize(
    ("values", "client"),
    [
        (["192.0.2.1"], ("192.0.2.1", None)),
        (["192.0.2.1:80"], ("192.0.2.1", "80")),
        (["2001:db8::1"], ("2001:db8::1", None)),
        (["[2001:db8::1]"], ("2001:db8::1", None)),
        (["[2001:db8::1]:80"], ("2001:db8::1", "80")),
        (["1.1.1.1, 192.0.2.1"], ("192.0.2.1", None)),
        (["1.1.1.1,192.0.2.1,10.0.0.2"], ("192.0.2.1", None)),
        (["1.1.1.1", "192.0.2.1\t, [::1]:5"], ("192.0.2.1", None)),
        (["10.0.0.2,10.0.0.1"], ("10.0.0.2", None)),
        ([" , 192.0.2.1,,"], ("192.0.2.1", None)),
        (["garbage, 192.0.2.1"], ("192.0.2.1", None)),
        (["192.0.2.1, garbage, 10.0.0.2"], ("10.0.0.2", None)),
        *(
            ([text], None)
            for text in [
                *("", ",", "unknown", "_hidden", "garbage", "1.2.3", "1.2.3.4.5", "256.1.1.1"),
                *("1.2.3.04", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:65536", "[1.2.3.4]", "[::1"),
                *("::1]", ":::1", "fe80::1%lo", "1.2.3.4 5.6.7.8", "\xb2.2.3.4", "a" * 5000),
            ]
        ),
    ],
)
def test_a_list_is_read_from_the_right(
    values: list[str], client: tuple[str, str | None] | None
) -> None:
    find = client_finder("X-FORWARDED-FOR", TRUSTED)
    assert find("10.0.0.1", values) == client
    assert find("", values) == client
    assert find("192.0.2.7", values) is None


@pytest.mark.parametrize(
    "value", [" ", "for=1.1.1.1 ", "for=", 'for="', 'for="\\', ",", "a=b;", "a"]
)
def test_no_value_takes_long_to_read(value: str) -> None:
    """Of so many bytes, anything but a linear pattern would make hours."""
    for header in ("FORWARDED", "X-FORWARDED-FOR"):
        find = client_finder(header, TRUSTED)
        assert find("10.0.0.1", [value + value[-1] * 1_000_000 + "\0"]) is None


@pytest.mark.parametrize(
    ("values", "client"),
    [
        (["for=192.0.2.1"], ("192.0.2.1", None)),
        (["FOR=192.0.2.1;proto=https;by=10.0.0.1"], ("192.0.2.1", None)),
        (['for="192.0.2.1:80"'], ("192.0.2.1", "80")),
        (['for="[2001:db8::1]:80"'], ("2001:db8::1", "80")),
        (['for="192.0.\\2.1"'], ("192.0.2.1", None)),
        (["for=1.1.1.1, for=192.0.2.1 , for=10.0.0.2"], ("192.0.2.1", None)),
        (['for=1.1.1.1;x="a,for=9.9.9.9;", for=192.0.2.1'], ("192.0.2.1", None)),
        (['for="evil', "for=192.0.2.1"], ("192.0.2.1", None)),
        (["for=192.0.2.1, by=10.0.0.1, for=10.0.0.2"], ("10.0.0.2", None)),
        (["for=192.0.2.1, for=unknown, for=10.0.0.2"], ("10.0.0.2", None)),
        (["for=192.0.2.1;"], ("192.0.2.1", None)),
        *(
            ([text], None)
            for text in [
                *(
                    "",
                    ",",
                    "for",
                    "for=",
                    "for=_hidden",
                    "for=unknown",
                    'for="_gazonk"',
                    "by=1.1.1.1",
                ),
                *("for=1.1.1.1;for=2.2.2.2", "for=1.1.1.1 x", "for =1.1.1.1", "for=[::1]"),
                *('for="1.1.1.1', 'for=1.1.1.1"', 'x="for=1.1.1.1', "192.0.2.1", "a" * 5000 + "="),
            ]
        ),
    ],
)
def test_forwarded_is_read_by_its_grammar(
    values: list[str], client: tuple[str, str | None] | None
) -> None:
    find = client_finder("FORWARDED", TRUSTED)
    assert find("10.0.0.1", values) == client
    assert find("192.0.2.7", values) is None
