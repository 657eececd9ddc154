"""What we accept, httptools (llhttp) or h11 accepts too, and all who accept it read the same.

The examples are the same in every run: hypothesis is derandomised and the number is fixed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from .agreement import check, check_segmentation, compare
from .differences import DIFFERENCES, Difference, has_a_vote
from .grammar import damaged, mutated_streams, segmented, streams
from .reading import Reading, Request, Subject, read_by_h11, read_by_llhttp

bounded = partial(
    hypothesis.settings,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large],
)


@bounded(max_examples=250)
@given(streams)
def test_well_formed_streams_are_read_alike(subject: Subject, data: bytes) -> None:
    outcome = check(subject, data)
    assert outcome.requests
    assert set(outcome.statuses) == {200}


@bounded(max_examples=400)
@given(mutated_streams())
def test_damaged_streams_are_never_read_in_a_way_of_our_own(subject: Subject, data: bytes) -> None:
    check(subject, data)


@bounded(max_examples=200)
@given(st.data())
def test_segmentation_changes_nothing(subject: Subject, data: st.DataObject) -> None:
    stream = data.draw(st.one_of(streams, mutated_streams()))
    pieces = data.draw(segmented(stream))
    check_segmentation(subject, pieces)


def test_damaged_streams_in_bulk(subject: Subject) -> None:
    """The same by the thousand: a plain generator makes a stream in a hundredth of the time."""
    for data in damaged(seed=20_260_101, count=8000):
        check(subject, data)


CANONICAL = (
    b"POST /a?b HTTP/1.1\r\nHost: a\r\nX-Y: z\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;e=f\r\nabc\r\n0\r\nT: u\r\n\r\n"
    b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
)
SINGLE = (
    *(b"\r", b"\n", b"\x00", b"\t", b" ", b":", b",", b";", b"0", b"_", b"+", b"\x0b", b"\x7f"),
    *(b"\x80", b"\xa0", b"#", b"/", b"\r\n"),
)


def single_faults() -> Iterator[bytes]:
    """The canonical stream with every byte left out, and replaced or preceded by each trap."""
    for at in range(len(CANONICAL) + 1):
        yield CANONICAL[:at] + CANONICAL[at + 1 :]
        for trap in SINGLE:
            yield CANONICAL[:at] + trap + CANONICAL[at:]
            yield CANONICAL[:at] + trap + CANONICAL[at + 1 :]


def test_single_faults_are_never_read_in_a_way_of_our_own(subject: Subject) -> None:
    for data in single_faults():
        check(subject, data)


FLOOD = 3000


def test_what_was_seen_before_changes_nothing(subject: Subject) -> None:
    """The caches of names and values are full of a stranger's; repeated fields are still joined."""
    pairs = [(b"X-Twice-%d" % number, b"x-tWICE-%d" % number) for number in range(40)]
    probes = [
        b"GET / HTTP/1.1\r\nHost: a\r\n%s: one\r\n%s: two\r\nCookie: a=b\r\ncookie: c=d\r\n\r\n"
        % names
        for first, second in pairs
        for names in ((first, second), (second, first))
    ]
    head = b"GET / HTTP/1.1\r\nHost: a\r\n%s: x\r\n\r\n"
    for start in range(0, FLOOD, 100):
        subject.read(b"".join(head % (b"X-Flood-%d" % n) for n in range(start, start + 100)))
        check(subject, b"".join(probes))


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.reason[:30])
def test_every_listed_difference_exists(subject: Subject, difference: Difference) -> None:
    """A difference that the oracle no longer has would excuse something else some day."""
    read = {"h11": read_by_h11, "llhttp": read_by_llhttp}[difference.oracle]
    reading = read(difference.example)
    assert not has_a_vote(difference.oracle, reading.refused)
    assert len(subject.read(difference.example).requests) == len(reading.requests) + 1


def request(**changes: object) -> Request:
    made = Request("GET", "/", {"HOST": "a"}, b"")
    for name, value in changes.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    "wrong",
    [
        request(method="PUT"),
        request(target="/x"),
        request(fields={"HOST": "b"}),
        request(fields={}),
        request(body=b"x"),
    ],
)
def test_a_reading_of_our_own_is_noticed(wrong: Request) -> None:
    oracles = {"h11": Reading([request()]), "llhttp": Reading([], "HttpParserError: bad")}
    compare(b"", [request()], oracles)
    with pytest.raises(AssertionError, match="differently"):
        compare(b"", [wrong], oracles)


def test_accepting_alone_is_noticed() -> None:
    refusing = {"h11": Reading([], "illegal"), "llhttp": Reading([], "HttpParserError: bad")}
    with pytest.raises(AssertionError, match="nobody else does"):
        compare(b"", [request()], refusing)
    incomplete = {"h11": Reading([request()]), "llhttp": Reading([request()])}
    with pytest.raises(AssertionError, match="nobody else does"):
        compare(b"", [request(), request()], incomplete)
    excused = {
        "h11": Reading([], "illegal"),
        "llhttp": Reading([], "HttpParserInvalidMethodError: Invalid method encountered"),
    }
    with pytest.raises(AssertionError, match="nobody else does"):
        compare(b"", [request()], excused)
