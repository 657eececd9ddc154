"""Who asked, by what proxies wrote down: X-Forwarded-For and its like, and Forwarded (RFC 7239).

Each proxy adds to the right whom it heard from. So the list is read from the right, and only as far
as those who wrote it are trusted: the first address that is not a trusted proxy's is the client.
Where an entry is no address ("unknown", an obfuscated name, garbage) nothing on its left means
anything, and the last address that is known stays, as in nginx (ngx_http_realip_module).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Sequence
from typing import Final

from fastwsgi.net.peers import packed

Client = tuple[str, str | None]
FindClient = Callable[[str, Sequence[str]], Client | None]

# IPv4 with or without a port, IPv6 in brackets with or without one, IPv6 alone.
NODE: Final = re.compile(
    r"(?P<four>[0-9.]{7,15})(?::(?P<port4>[0-9]{1,5}))?"
    r"|\[(?P<six>[0-9A-Fa-f:.]{2,45})\](?::(?P<port6>[0-9]{1,5}))?"
    r"|(?P<bare>[0-9A-Fa-f:.]{2,45})"
)
# One pair of a forwarded-element, or what ends one (RFC 7239, 4).
PAIR: Final = re.compile(
    r"(?:[ \t]*(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)="
    r"(?:(?P<token>[!#$%&'*+.^_`|~0-9A-Za-z-]+)|\"(?P<quoted>(?:[^\"\\]|\\.)*)\"))?"
    r"[ \t]*(?P<end>[;,]|$)"
)


def client_finder(header: str, trusted: Container[str]) -> FindClient:
    """Return what finds the client in the field `header`, by its name in upper case.

    It is called with the address a request came from, "" for a unix socket, and the values of the
    field in their order; it returns the client's address and, where the field has it, port. None:
    nobody better is known.
    """
    split = split_forwarded if header == "FORWARDED" else split_list

    def find(address: str, values: Sequence[str]) -> Client | None:
        client = None
        nodes = [node for value in values for node in split(value)]
        while nodes and (address == "" or address in trusted):
            node = parse_node(nodes.pop())
            if node is None:
                break
            client = node
            address = node[0]
        return client

    return find


def parse_node(text: str) -> Client | None:
    """Address and port of one proxy's entry; None for what is no address."""
    match = NODE.fullmatch(text)
    if match is None:
        return None
    address = match["four"] or match["six"] or match["bare"]
    port = match["port4"] or match["port6"]
    if packed(address) is None or (match["six"] and ":" not in address):
        return None
    if port is not None and int(port) > 65535:
        return None
    return address, port


def split_list(value: str) -> list[str]:
    """The entries of a list such as X-Forwarded-For, from the left."""
    return [entry for part in value.split(",") if (entry := part.strip(" \t"))]


def split_forwarded(value: str) -> list[str]:
    """What `for` says in each element of a Forwarded field, from the left; "" where nothing is said.

    What is malformed makes the whole line say nothing, as its elements cannot be told apart.
    """
    nodes = [""]
    position = 0
    while match := PAIR.match(value, position):
        if match["name"] and match["name"].lower() == "for":
            if nodes[-1]:
                return [""]
            nodes[-1] = match["token"] or re.sub(r"\\(.)", r"\1", match["quoted"] or "")
        position = match.end()
        if not match["end"]:
            return nodes
        if match["end"] == ",":
            nodes.append("")
    return [""]
