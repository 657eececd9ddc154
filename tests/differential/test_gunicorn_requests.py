"""The same bytes to gunicorn's parser and environ, and to ours: for each leniency, each trust, and none.

gunicorn's code runs in this process, on bytes instead of a socket. What an application would see is
compared key by key, and whether a request is refused. `ON_PURPOSE` says where we differ and why; a
difference that is none fails, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import pytest
from gunicorn.config import Config
from gunicorn.http import wsgi
from gunicorn.http.parser import RequestParser

from fastwsgi.net.proxy_protocol import SIGNATURE
from tests.support.loop import SteppedServer

Environ = dict[str, Any]

HOST = b"Host: a\r\n"
GET = b"GET /a/b?c=d HTTP/1.1\r\n" + HOST

NONE: dict[str, Any] = {}
SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "strict": NONE,
    "folding": {"permit_obsolete_folding": True},
    "spaces": {"strip_header_spaces": True},
    "methods": {"permit_unconventional_http_method": True},
    "casefold": {"casefold_http_method": True},
    "methods casefold": {
        "permit_unconventional_http_method": True,
        "casefold_http_method": True,
    },
    "versions": {"permit_unconventional_http_version": True},
    "untrusting": {"forwarded_allow_ips": "192.0.2.1"},
    "network": {"forwarded_allow_ips": "192.0.2.1,127.0.0.0/8"},
    "any forwarder": {"forwarder_headers": "*"},
    "refuse": {"header_map": "refuse"},
    "dangerous": {"header_map": "dangerous"},
    "stranger": {"header_map": "dangerous", "forwarded_allow_ips": "192.0.2.1"},
    "proxy": {"proxy_protocol": "auto"},
    "proxy v1": {"proxy_protocol": "v1"},
    "proxy stranger": {"proxy_protocol": "auto", "proxy_allow_ips": "192.0.2.1"},
    "scheme": {"secure_scheme_headers": {"X-SCHEME": "HTTPS", "X_SECURE": "1"}},
}

HEADS: Final[dict[str, bytes]] = {
    "plain": GET,
    "no fields": b"GET / HTTP/1.0\r\n",
    "percent": b"GET /%41%2f%e2%98%83/%zz?%41 HTTP/1.1\r\n" + HOST,
    "absolute": b"GET http://a/b?c HTTP/1.1\r\n" + HOST,
    "star": b"OPTIONS * HTTP/1.1\r\n" + HOST,
    "repeated": GET + b"X-A: 1\r\nx-a: 2\r\nX-A:\r\n",
    "type": GET + b"Content-Type: a/b\r\n",
    "length": b"POST / HTTP/1.1\r\nContent-Length: 3\r\n" + HOST,
    "latin": GET + b"X-A: \xe9\xa0\r\n",
    # leniency
    "folded": GET + b"X-A: 1\r\n 2\r\n\t 3 \r\nX-B: 4\r\n",
    "folded from nothing": GET + b"X-A:\r\n 1\r\n",
    "folded with nothing": GET + b"X-A: 1\r\n  \r\n 2\r\n \r\n",
    "folded last": GET + b"X-A: 1\r\n 2\r\n",
    "folded cookie": GET + b"Cookie: a=1;\r\n b=2\r\nCookie: c=3\r\n",
    "folded type": GET + b"Content-Type: a/b;\r\n c=d\r\n",
    "folded agent": GET + b"User-Agent: a\r\n b\r\nX-Forwarded-Proto: https\r\n",
    "folded scheme": GET + b"X-Forwarded-Proto:\r\n https\r\n",
    "folded proxy": GET + b"X-A: 1\r\nProxy: 1\r\n 2\r\n",
    "folded underscore": GET + b"X_A: 1\r\n 2\r\nX-B: 1\r\n",
    "folded first": b"GET / HTTP/1.1\r\n X-A: 1\r\n" + HOST,
    "folded colon": GET + b"X-A: 1\r\n X-B: 2\r\n",
    "folded control": GET + b"X-A: 1\r\n \x01\r\n",
    "folded long": GET + b"X-A: 1\r\n" + b" 12345678\r\n" * 819,
    "folded too long": GET + b"X-A: 1\r\n" + b" 12345678\r\n" * 900,
    "folded host": b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n",
    "folded length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n 3\r\n",
    "folded coding": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n",
    "space": GET + b"X-A : 1\r\n",
    "spaces": GET + b"X-A \t : 1\r\nX-B: 2\r\n",
    "space in name": GET + b"X A : 1\r\n",
    "space and no name": GET + b" : 1\r\n",
    "space and length": b"POST / HTTP/1.1\r\nHost : a\r\nContent-Length : 3\r\n",
    "space and underscore": GET + b"X_A : 1\r\n",
    "space and no colon": GET + b"X-A \r\n",
    "lower": b"get / HTTP/1.1\r\n" + HOST,
    "lower head": b"hEaD / HTTP/1.1\r\n" + HOST,
    "lower options": b"options * HTTP/1.1\r\n" + HOST,
    "lower unknown": b"propFind-it / HTTP/1.1\r\n" + HOST,
    "hash": b"GE#T / HTTP/1.1\r\n" + HOST,
    "short": b"AB / HTTP/1.1\r\n" + HOST,
    "long": b"A" * 21 + b" / HTTP/1.1\r\n" + HOST,
    "longer": b"A" * 40 + b" / HTTP/1.1\r\n" + HOST,
    "no token": b"G@T / HTTP/1.1\r\n" + HOST,
    "1.2": b"GET / HTTP/1.2\r\n" + HOST,
    "2.0": b"GET / HTTP/2.0\r\n" + HOST,
    "0.9": b"GET / HTTP/0.9\r\n" + HOST,
    "9.9": b"POST / HTTP/9.9\r\nTransfer-Encoding: chunked\r\n" + HOST,
    "0.9 chunked": b"POST / HTTP/0.9\r\nTransfer-Encoding: chunked\r\n" + HOST,
    "no version": b"GET / HTTP/11\r\n" + HOST,
    "lower version": b"GET / http/1.1\r\n" + HOST,
    # trust
    "proto": GET + b"X-Forwarded-Proto: https\r\n",
    "proto http": GET + b"X-Forwarded-Proto: http\r\n",
    "proto shout": GET + b"X-FORWARDED-PROTO: HTTPS\r\n",
    "protocol": GET + b"x-forwarded-protocol: ssl\r\n",
    "ssl": GET + b"X-Forwarded-Ssl: on\r\n",
    "agreeing": GET + b"X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: on\r\n",
    "contradictory": GET + b"X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off\r\n",
    "repeated proto": GET + b"X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n",
    "own scheme": GET + b"X-Scheme: HTTPS\r\n",
    "own underscore scheme": GET + b"X_Secure: 1\r\n",
    "forwarded": GET + b"X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.1;proto=https\r\n",
    "script": GET + b"SCRIPT_NAME: /a\r\n",
    "script all": GET + b"Script_Name: /a/b\r\n",
    "script elsewhere": GET + b"SCRIPT_NAME: /b\r\n",
    "script segment": b"GET /ab/c HTTP/1.1\r\nHost: a\r\nSCRIPT_NAME: /a\r\n",
    "script slash": GET + b"SCRIPT_NAME: /a/\r\n",
    "script empty": GET + b"SCRIPT_NAME:\r\n",
    "script percent": b"GET /a%20b/%41 HTTP/1.1\r\nHost: a\r\nSCRIPT_NAME: /a%20b\r\n",
    "script twice": GET + b"SCRIPT_NAME: /a\r\nSCRIPT_NAME: /a/b\r\n",
    "script hyphen": GET + b"Script-Name: /a\r\n",
    "path": GET + b"PATH_INFO: /x\r\n",
    "user": GET + b"REMOTE_USER: x\r\n",
    "underscore": GET + b"X_A: 1\r\nX-B: 2\r\n",
    "underscore and hyphen": GET + b"X_A: 1\r\nX-A: 2\r\nx_a: 3\r\n",
    "underscore length": b"POST / HTTP/1.1\r\nContent_Length: 3\r\nContent_Type: a\r\n" + HOST,
    "underscore proto": GET + b"X_Forwarded_Proto: https\r\n",
    "proxy": GET + b"Proxy: http://evil\r\n",
    # PROXY headers
    "PROXY 4": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + GET,
    "PROXY 6": b"PROXY TCP6 2001:db8::1 2001:DB8::2 1 65535\r\n" + GET,
    "PROXY and scheme": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
    + GET
    + b"X-Forwarded-Proto: https\r\n",
    "PROXY unknown": b"PROXY UNKNOWN\r\n" + GET,
    "PROXY zeros": b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n" + GET,
    "PROXY mixed": b"PROXY TCP4 ::1 192.0.2.2 1 2\r\n" + GET,
    "PROXY twice": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" * 2 + GET,
    "PROXY binary 4": SIGNATURE + b"\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\0\1\0\2" + GET,
    "PROXY binary 6": SIGNATURE + b"\x21\x21\0\x24" + bytes(35) + b"\1" + GET,
    "PROXY binary local": SIGNATURE + b"\x20\0\0\0" + GET,
    "PROXY binary short": SIGNATURE + b"\x21\x11\0\x0b" + bytes(11) + GET,
    "PROXY binary datagram": SIGNATURE + b"\x21\x12\0\x0c" + bytes(12) + GET,
    "PROXY binary vectors": SIGNATURE + b"\x21\x11\0\x0d" + bytes(13) + GET,
}
BODIES: Final = {"length": b"abc", "folded length": b"abc", "space and length": b"abc"}
LISTS: Final = ("forwarded_allow_ips", "proxy_allow_ips", "forwarder_headers")
CHUNKED: Final = b"3\r\nabc\r\n0\r\n\r\n"


@dataclass(frozen=True)
class Difference:
    """Heads whose names match, under settings whose names match, and what differs there."""

    heads: str
    reason: str
    settings: str
    keys: frozenset[str]
    """Of the environ; or "refused" where it is whether the request is."""


def differs(heads: str, reason: str, *keys: str, settings: str = ".*") -> Difference:
    return Difference(heads, reason, settings, frozenset(keys or {"refused"}))


ON_PURPOSE: Final = (
    differs(".*", "the name of the server", "SERVER_SOFTWARE"),
    differs(
        ".*",
        "a socket that the application could write to; every request would pay for the object",
        "gunicorn.socket",
    ),
    differs("hash|short|long", "any token is a method (RFC 9110 9.1)", settings="(?!methods)"),
    differs("1[.]2", "served as 1.1 (RFC 9110 2.5)", "SERVER_PROTOCOL"),
    differs(
        "folded host|folded coding|space and no name",
        "what routes or frames is never taken folded",
        settings="folding",
    ),
    differs("proxy|folded proxy", "HTTP_PROXY is what httpoxy abuses", "HTTP_PROXY"),
    differs("folded cookie", "cookies are joined by '; ' (RFC 6265 5.4)", "HTTP_COOKIE"),
    differs("script segment", "/ab does not lie under /a"),
    differs("script slash", "PATH_INFO begins with a slash", "SCRIPT_NAME", "PATH_INFO"),
    differs("script twice", "two are no answer to where the application is mounted"),
    differs("9[.]9", "the length of a decoded body is known", "CONTENT_LENGTH"),
    differs("9[.]9", "the body is decoded (RFC 9112 7.1.3)", "HTTP_TRANSFER_ENCODING"),
    differs(
        "script( .*)?",
        "a stranger has no say over SCRIPT_NAME; gunicorn listens to anybody there",
        *("SCRIPT_NAME", "PATH_INFO", "refused"),
        settings="stranger",
    ),
    differs("PROXY unknown", "haproxy sends it for its own health checks", settings="proxy"),
    differs("PROXY zeros", "a port is written in one way", settings="proxy"),
    differs(
        "PROXY binary local",
        "the connection's own address counts; gunicorn has None and 'None' there",
        *("REMOTE_ADDR", "REMOTE_PORT", "PROXY_ADDR", "PROXY_PORT"),
        settings="proxy",
    ),
    differs("PROXY binary vectors", "what is no vector is no header", settings="proxy"),
)


def explains(difference: Difference, settings: str, head: str) -> bool:
    return bool(re.fullmatch(difference.heads, head) and re.match(difference.settings, settings))


# -- the two servers


@dataclass
class Reading:
    """What became of one stream: the environs, with bodies; and whether it ended in a refusal."""

    environs: list[Environ]
    refused: bool


class Silent:
    """A socket that nobody listens to."""

    def send(self, data: bytes) -> None:
        """Send nothing."""


def read_by_gunicorn(data: bytes, config: Config, peer: Any, server: Any) -> Reading:
    reading = Reading([], False)
    try:
        for request in RequestParser(config, iter([data]), peer):
            _, environ = wsgi.create(request, Silent(), peer, server, config)
            reading.environs.append({**environ, "body": request.body.read()})
    except StopIteration:
        pass
    except Exception:
        reading.refused = True
    return reading


class Application:
    """Keeps what it sees."""

    def __init__(self) -> None:
        self.environs: list[Environ] = []

    def __call__(self, environ: Environ, start_response: Callable[..., object]) -> Iterable[bytes]:
        self.environs.append({**environ, "body": environ["wsgi.input"].read()})
        start_response("204 No Content", [])
        return []


def read_by_us(data: bytes, server: SteppedServer, app: Application) -> tuple[Reading, Any]:
    app.environs.clear()
    with server.connection() as client:
        peer = client.socket.getsockname()
        client.put(data)
        client.half_close()
        client.await_end()
    return Reading([*app.environs], any(status >= 400 for status in client.statuses)), peer


def comparable(value: object) -> object:
    """Objects of the server's own are compared by being there."""
    return value if isinstance(value, (str, bytes, bool, tuple)) else "an object"


def differences(ours: Reading, theirs: Reading) -> set[str]:
    """The keys that differ; "refused" where one of the two refuses what the other takes."""
    if ours.refused != theirs.refused or len(ours.environs) != len(theirs.environs):
        return {"refused"}
    return {
        key
        for a, b in zip(ours.environs, theirs.environs, strict=True)
        for key in a.keys() | b.keys()
        if key not in a or key not in b or comparable(a[key]) != comparable(b[key])
    }


def of_server(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as a Settings object has them, of what gunicorn is given."""
    return {
        name: tuple(value.split(",")) if name in LISTS else value
        for name, value in settings.items()
    }


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], set[str]]:
    """What differs, by the names of settings and head."""
    found: dict[tuple[str, str], set[str]] = {}
    for name, settings in SETTINGS.items():
        config, app = Config(), Application()
        for setting, value in settings.items():
            config.set(setting, value)
        with SteppedServer(app, tmp_path_factory.mktemp("s"), **of_server(settings)) as server:
            for head, data in HEADS.items():
                body = CHUNKED if b"Transfer-Encoding" in data else BODIES.get(head, b"")
                ours, peer = read_by_us(data + b"\r\n" + body, server, app)
                address = server.socket.getsockname()
                theirs = read_by_gunicorn(data + b"\r\n" + body, config, peer, address)
                found[name, head] = differences(ours, theirs)
    return found


def test_an_application_sees_what_it_would_see_under_gunicorn(
    found: dict[tuple[str, str], set[str]],
) -> None:
    unexplained = {
        names: keys - {key for one in ON_PURPOSE if explains(one, *names) for key in one.keys}
        for names, keys in found.items()
    }
    assert {names: keys for names, keys in unexplained.items() if keys} == {}


@pytest.mark.parametrize("difference", ON_PURPOSE, ids=lambda difference: difference.reason)
def test_each_difference_is_one(
    difference: Difference, found: dict[tuple[str, str], set[str]]
) -> None:
    shown = [keys for names, keys in found.items() if explains(difference, *names)]
    assert difference.keys <= set().union(*shown)
