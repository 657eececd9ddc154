"""Requests and what can be wrong with them, as hypothesis strategies.

`streams` gives well-formed pipelines of one to three requests. `mutated_streams` damages them at
the level of bytes, with a liking for the bytes that parsers have disagreed about.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import pairwise

from hypothesis import strategies as st

TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
PCHAR = b"abcXYZ019-._~!$&'()*+,;=:@/"
VALUE = bytes(range(0x21, 0x7F)) + b"\x80\xa0\xe9\xff"

# What other servers were led astray by, whole or as a part.
TRAPS = (
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b"\r\r\n", b"\x00", b"\x0b", b"\x0c", b"\x1f"),
    *(b"\x7f", b"\x85", b"\xa0", b"\xff", b" ", b"\t", b"  ", b":", b",", b";", b"_", b"#", b"\\"),
    *(b"0", b"5", b"+", b"-", b"0x", b"_1", b"%00", b"%zz", b"\r\n ", b"\r\n\t", b"=", b'"'),
    *(b"Content-Length: 5\r\n", b"Content-Length:5\r\n", b"content-length: 0\r\n"),
    *(b"Content-Length: +5\r\n", b"Content-Length: 5,5\r\n", b"Content_Length: 5\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n"),
    *(b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding:\x0bchunked\r\n"),
    *(b"Transfer-Encoding : chunked\r\n", b"Transfer-Encoding\t: chunked\r\n"),
    *(b"Host: b\r\n", b"Host:\r\n", b"Host: a, b\r\n", b"Host: u@a\r\n", b"Host: a:99999\r\n"),
    *(b"Connection: close\r\n", b"Connection: keep-alive, host\r\n", b"X\r\n", b": x\r\n"),
    *(b"Expect: 100-continue\r\n", b"Upgrade: h2c\r\n", b"Content-Type: a/b\r\n"),
    *(b"chunked", b", chunked", b"chunked;q=1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0"),
    *(b"http/1.1", b" HTTP/1.1\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n", b"0;x\r\n\r\n", b"00\r\n"),
    *(b";a=b", b';a="b"', b";", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"http://a/", b"http://b/"),
    *(b"FFFFFFFFFFFFFFFF", b"99999999999999999999", b"//", b"*", b"?"),
)


def text_of(alphabet: bytes, least: int, most: int) -> st.SearchStrategy[bytes]:
    characters = st.text(alphabet.decode("latin-1"), min_size=least, max_size=most)
    return characters.map(lambda text: text.encode("latin-1"))


METHODS = st.one_of(
    st.sampled_from((b"GET", b"POST", b"PUT", b"HEAD", b"DELETE", b"OPTIONS", b"PATCH")),
    st.sampled_from((b"PURGE", b"M-SEARCH", b"PROPFIND", b"QUERY", b"ODD", b"X!1")),
)
NAMES = st.one_of(
    st.sampled_from(
        (b"Accept", b"User-Agent", b"Cookie", b"cookie", b"Referer", b"X-Forwarded-For", b"Proxy")
    ),
    st.sampled_from((b"X_Under", b"Via", b"VIA", b"x-a", b"X-A", b"If-None-Match", b"Range")),
    text_of(TOKEN, 1, 12).map(lambda name: b"X-" + name),
)
VALUES = st.one_of(
    st.just(b""),
    text_of(VALUE, 1, 20),
    text_of(VALUE + b" \t", 1, 20).map(lambda value: value.strip(b" \t")),
)
BLANKS = st.sampled_from((b"", b" ", b" ", b" ", b"\t", b"  \t"))
HOSTS = st.sampled_from((b"a", b"a.example:80", b"[::1]:8000", b"127.0.0.1", b"A-b_c"))
BODIES = st.one_of(st.just(b""), st.binary(max_size=30), st.just(b"0\r\n\r\nGET / HTTP/1.1\r\n"))


@st.composite
def targets(draw: st.DrawFn, method: bytes, host: bytes) -> bytes:
    if method == b"OPTIONS" and draw(st.integers(0, 3)) == 0:
        return b"*"
    escapes = st.sampled_from((b"%41", b"%2f", b"%2e%2e", b"%00", b"%zz", b"%", b"%C0%AE", b"\\"))
    pieces = draw(st.lists(st.one_of(text_of(PCHAR, 1, 8), escapes), max_size=4))
    path = b"/" + b"".join(pieces)
    query = draw(st.one_of(st.just(b""), text_of(PCHAR + b"?", 0, 12).map(lambda q: b"?" + q)))
    form = b"http://" + host if draw(st.integers(0, 7)) == 0 else b""
    return form + path + query


@st.composite
def chunked(draw: st.DrawFn, body: bytes) -> bytes:
    """`body` in chunks, now and then with extensions, leading zeros and a trailer section."""
    out = b""
    rest = body
    while rest:
        size = draw(st.integers(1, len(rest)))
        zeros = b"0" * draw(st.integers(0, 2))
        digits = b"%x" % size if draw(st.booleans()) else b"%X" % size
        out += zeros + digits + draw(EXTENSIONS) + b"\r\n" + rest[:size] + b"\r\n"
        rest = rest[size:]
    out += b"0" * draw(st.integers(1, 2)) + draw(EXTENSIONS) + b"\r\n"
    for name in draw(st.lists(st.sampled_from((b"X-Sum", b"X-T")), max_size=2)):
        out += name + b": " + draw(VALUES).strip(b" \t") + b"\r\n"
    return out + b"\r\n"


EXTENSIONS = st.sampled_from((b"", b"", b"", b"", b";a", b";a=b", b';a="b c"', b";a=b;c=d"))


CASES: st.SearchStrategy[Callable[[bytes], bytes]] = st.sampled_from(
    (bytes, bytes, bytes.lower, bytes.upper)
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    method = draw(METHODS)
    host = draw(HOSTS)
    version = b"1.0" if draw(st.integers(0, 9)) == 0 else b"1.1"
    cased = draw(CASES)
    lines = [cased(b"Host:") + draw(BLANKS) + host + draw(BLANKS)]
    for name in draw(st.lists(NAMES, max_size=5)):
        lines.append(name + b":" + draw(BLANKS) + draw(VALUES) + draw(BLANKS))
    body, payload = draw(BODIES), b""
    framing = draw(st.sampled_from(("none", "length", "length", "chunked", "chunked")))
    if framing == "chunked" and version == b"1.1":
        coding = draw(st.sampled_from((b"chunked", b"chunked", b"CHUNKED", b"Chunked")))
        lines.append(cased(b"Transfer-Encoding: ") + coding)
        payload = draw(chunked(body))
    elif framing != "none":
        zeros = b"0" * draw(st.sampled_from((0, 0, 0, 1)))
        lines.append(cased(b"Content-Length: ") + zeros + b"%d" % len(body))
        payload = body
    connection = draw(st.sampled_from((b"", b"", b"", b"keep-alive", b"close", b"x-a, Keep-Alive")))
    if connection:
        lines.append(cased(b"Connection: ") + connection)
    if draw(st.booleans()):
        lines.reverse()
    target = draw(targets(method, host))
    head = method + b" " + target + b" HTTP/" + version + b"\r\n"
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + payload


streams = st.lists(requests(), min_size=1, max_size=3).map(b"".join)


KINDS = ("insert", "insert", "replace", "line", "delete", "repeat", "cut")


@st.composite
def mutated_streams(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(streams))
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3)))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(1, 12))
        trap = draw(st.sampled_from(TRAPS))
        kind = draw(
            st.sampled_from(("insert", "insert", "replace", "line", "delete", "repeat", "cut"))
        )
        damage(data, kind, at, length, trap)
    return bytes(data)


def damage(data: bytearray, kind: str, at: int, length: int, trap: bytes) -> None:
    """Change `data` in one place."""
    if kind == "insert":
        data[at:at] = trap
    elif kind == "replace":
        data[at : at + 1] = trap
    elif kind == "line":
        start = data.find(b"\r\n", at) + 2
        data[start:start] = trap
    elif kind == "delete":
        del data[at : at + length]
    elif kind == "repeat":
        data[at:at] = data[at : at + length]
    else:
        del data[at:]


SEEDS = (
    b"GET /a/b?c=d HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nCookie: e=f\r\nCookie: g=h\r\n\r\n",
    b"GET http://a:80/x HTTP/1.1\r\nHost: a:80\r\nConnection: keep-alive\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Type: a/b\r\n\r\nhello",
    b"PUT /%41%zz HTTP/1.1\r\nhost: [::1]:80\r\ntransfer-encoding: chunked\r\n\r\n"
    b"5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-T: u\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
    b"DELETE / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, upgrade\r\nUpgrade: h2c\r\n\r\n",
)


def damaged(seed: int, count: int) -> Iterator[bytes]:
    """`count` streams of one or two requests, damaged in one to four places."""
    chance = random.Random(seed)
    for _ in range(count):
        data = bytearray(b"".join(chance.choices(SEEDS, k=chance.choice((1, 2)))))
        for _ in range(chance.choice((1, 1, 2, 4))):
            at = chance.randrange(len(data) + 1)
            length = chance.randrange(1, 8)
            trap = chance.choice(TRAPS) if chance.random() < 0.8 else chance.randbytes(1)
            damage(data, chance.choice(KINDS), at, length, trap)
        yield bytes(data)


@st.composite
def segmented(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """`data` cut into up to eight pieces."""
    cuts = sorted(draw(st.sets(st.integers(0, len(data)), max_size=7)))
    edges = [0, *cuts, len(data)]
    return [data[start:stop] for start, stop in pairwise(edges)]
