"""What must be true of a stream of requests that our server and the oracles have read."""

from __future__ import annotations

from collections.abc import Sequence

from .differences import has_a_vote
from .reading import Outcome, Reading, Request, Subject, read_by_h11, read_by_llhttp

REFUSALS = {400, 413, 414, 417, 431, 501, 505}


def check_answers(outcome: Outcome) -> None:
    """A 200 for each request the application saw, then at most one refusal; nothing malformed."""
    accepted = len(outcome.requests)
    assert outcome.violations == []
    assert outcome.statuses[:accepted] == [200] * accepted
    rest = outcome.statuses[accepted:]
    assert len(rest) <= 1
    assert set(rest) <= REFUSALS
    assert all(response.complete for response in outcome.responses)


def compare(data: bytes, ours: list[Request], oracles: dict[str, Reading]) -> None:
    for number, request in enumerate(ours):
        votes = []
        for name, reading in oracles.items():
            if number < len(reading.requests):
                theirs = reading.requests[number]
                assert request == theirs, f"{name} reads request {number} of {data!r} differently"
                votes.append(True)
            elif number == len(reading.requests) and has_a_vote(name, reading.refused):
                votes.append(False)
        assert any(votes) or not votes, (
            f"we accept request {number} of {data!r}: {request}; "
            f"nobody else does: { {name: reading.refused for name, reading in oracles.items()} }"
        )


def check(subject: Subject, data: bytes) -> Outcome:
    outcome = subject.read(data)
    check_answers(outcome)
    compare(data, outcome.requests, {"h11": read_by_h11(data), "llhttp": read_by_llhttp(data)})
    return outcome


def check_segmentation(subject: Subject, pieces: Sequence[bytes]) -> None:
    """In pieces the stream is read as it is when it comes at once."""
    whole, cut = subject.read(b"".join(pieces)), subject.read(*pieces)
    assert cut.requests == whole.requests
    assert cut.without_date == whole.without_date
    assert cut.violations == whole.violations == []
