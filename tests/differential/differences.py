"""Where we differ from an oracle on purpose, or an oracle knows less than RFC 9112: as data.

An oracle that refuses a request for a reason listed here has no vote on that request. Nothing else
excuses it: where the oracles that have a vote all refuse what we accept, the test fails.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class Difference(NamedTuple):
    """`oracle` refuses the last request of `example` so; `reason` is why we do not."""

    oracle: str
    message: str
    reason: str
    example: bytes


DIFFERENCES: Final = (
    Difference(
        "llhttp",
        r"HttpParserInvalidMethodError: ",
        "llhttp knows a list of methods; any token is one (RFC 9110 9.1, wire.md 64)",
        b"ODD / HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    Difference(
        "llhttp",
        r"an upgrade",
        "llhttp takes what follows for the other protocol; we ignore Upgrade (wire.md 104)",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    ),
    Difference(
        "h11",
        r"no request line received",
        "one empty line before a request is ignored (RFC 9112 2.2, wire.md 51)",
        b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
)


def has_a_vote(oracle: str, refusal: str) -> bool:
    """Whether this refusal of the oracle says something about the request."""
    return not any(
        difference.oracle == oracle and re.match(difference.message, refusal)
        for difference in DIFFERENCES
    )
