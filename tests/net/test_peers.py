"""Addresses and networks: who is among them."""

from __future__ import annotations

import ipaddress

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastwsgi.net.peers import Peers, packed, parse_network


@pytest.mark.parametrize(
    ("allowed", "inside", "outside"),
    [
        (["127.0.0.1", "::1"], ["127.0.0.1", "::1", "0:0::1"], ["127.0.0.2", "::2", "", "*", "a"]),
        (["10.0.0.0/8"], ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"], ["11.0.0.0", "a::1"]),
        (["10.1.0.0/255.255.0.0"], ["10.1.2.3"], ["10.2.0.0"]),
        (["10.1.0.0/0.0.255.255"], ["10.1.2.3"], ["10.2.0.0"]),
        (["2001:db8::/33"], ["2001:db8:7fff::1"], ["2001:db8:8000::", "32.1.13.184"]),
        (["::/0"], ["::1", "fe80::1%eth0"], ["10.0.0.1"]),
        (["0.0.0.0/0"], ["10.0.0.1", "::ffff:10.0.0.1"], ["::1", "::10.0.0.1"]),
        (["::ffff:10.0.0.0/104"], ["10.1.2.3"], ["11.0.0.0", "::1"]),
        (["*"], ["10.0.0.1", "", "anything"], []),
        ([], [], ["127.0.0.1", ""]),
    ],
)
def test_who_is_in_and_who_is_not(
    allowed: list[str], inside: list[str], outside: list[str]
) -> None:
    peers = Peers(allowed)
    assert [address for address in inside if address not in peers] == []
    assert [address for address in outside if address in peers] == []


@pytest.mark.parametrize(
    "text",
    [
        *("", "a", "10.0.0.256", "10.0.0", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1"),
        *("10.0.0.0/8.0.0.8", "::/129", "::1/64", "[::1]", "10.0.0.0/\u0661", "10.0.0.0/a::"),
    ],
)
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(ValueError, match=r"^'"):
        parse_network(text)


@hypothesis.settings(max_examples=300, deadline=None)
@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), st.data())
def test_it_is_as_the_standard_library_says(
    base: ipaddress.IPv4Address | ipaddress.IPv6Address, data: st.DataObject
) -> None:
    length = data.draw(st.integers(0, base.max_prefixlen))
    network = ipaddress.ip_network((base, length), strict=False)
    other = data.draw(st.ip_addresses(v=base.version))
    near = type(base)(int(base) ^ (1 << data.draw(st.integers(0, base.max_prefixlen - 1))))
    for address in (base, other, near):
        if getattr(address, "ipv4_mapped", None) is None:
            assert (str(address) in Peers([str(network)])) == (address in network)


def test_packed() -> None:
    assert packed("1.2.3.4") == packed("::ffff:1.2.3.4") == b"\1\2\3\4"
    assert packed("::1%lo") == bytes(15) + b"\1"
    for text in ("", "1.2.3", "1.2.3.04", "x", "::g", "1.2.3.4\0", "::1\0"):
        assert packed(text) is None
