"""Who is believed: addresses and networks, and what has an address at all.

`ipaddress` is not used: it is slow to import, and of what it knows only "lies in" is wanted here.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

# An IPv4 address as an IPv6 one (RFC 4291, 2.5.5.2), as a socket for both kinds shows it.
MAPPED = b"\0" * 10 + b"\xff\xff"


def packed(address: str) -> bytes | None:
    """The bytes of an IP address, without its zone; IPv4 for what is only mapped into IPv6.

    None for what is no address.
    """
    try:
        if ":" not in address:
            return socket.inet_pton(socket.AF_INET, address)
        found = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except (OSError, ValueError):
        return None
    return found[12:] if found.startswith(MAPPED) else found


def parse_network(text: str) -> tuple[int, int, int]:
    """An address, or a network as `192.0.2.0/24` or `192.0.2.0/255.255.255.0`.

    Returns how many bytes addresses have, the network and its mask. Raises ValueError with a phrase
    that says what is wrong.
    """
    name, slash, length = text.partition("/")
    family, bits = (socket.AF_INET6, 128) if ":" in name else (socket.AF_INET, 32)
    try:
        found = socket.inet_pton(family, name.partition("%")[0])
    except (OSError, ValueError):
        raise ValueError(
            f"{text!r} is neither an IP address nor a network such as 10.0.0.0/8"
        ) from None
    ones = _prefix(length, family, bits) if slash else bits
    if ones is None:
        raise ValueError(f"{text!r} has no length of a prefix from 0 to {bits} behind the slash")
    network, mask = int.from_bytes(found, "big"), (1 << bits) - (1 << bits - ones)
    if network & ~mask:
        raise ValueError(f"{text!r} has bits set behind its prefix")
    if found.startswith(MAPPED) and ones >= 96:
        return 4, network & 0xFFFFFFFF, mask & 0xFFFFFFFF
    return len(found), network, mask


def _prefix(text: str, family: int, bits: int) -> int | None:
    """How many leading bits a network has, which is a number, a mask or its complement."""
    if text.isascii() and text.isdecimal():
        return int(text) if int(text) <= bits else None
    try:
        mask = f"{int.from_bytes(socket.inet_pton(family, text), 'big'):0{bits}b}"
    except (OSError, ValueError):
        return None
    if "01" not in mask:
        return mask.count("1")
    return mask.count("0") if "10" not in mask else None


class Peers:
    """A container of IP addresses in text: of those in `allowed`, addresses and networks.

    `*` among them stands for all. Raises ValueError as `parse_network` does.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        texts = set(allowed)
        self._all = "*" in texts
        self._alone = frozenset(texts)
        self._networks = [parse_network(text) for text in sorted(texts - {"*"})]

    def __contains__(self, address: object) -> bool:
        if self._all or address in self._alone:
            return True
        found = packed(address) if isinstance(address, str) else None
        if found is None:
            return False
        number = int.from_bytes(found, "big")
        return any(
            size == len(found) and number & mask == network
            for size, network, mask in self._networks
        )
