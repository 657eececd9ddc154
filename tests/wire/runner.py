"""Feeds a case to a stepped server in one way and tells everything that is not as the case says."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Protocol

from tests.support.loop import Client, SteppedServer
from tests.support.responses import Ending, Response, ResponseReader
from tests.wire import apps
from tests.wire.bench import Bench
from tests.wire.corpus import Case, ExpectedAnswer, Outcome, decode
from tests.wire.recorder import Call

PROBE = b"GET /probe HTTP/1.1\r\nHost: a\r\n\r\n"
AFTERTHOUGHT = b"GET /after HTTP/1.1\r\nHost: a\r\n\r\n"
CASE_PATIENCE = 5.0  # seconds of wall time until an outcome that does not come is a failure


class Received(Protocol):
    """What a client has received of its connection, whatever kind of client it is."""

    @property
    def received(self) -> bytes | bytearray: ...
    @property
    def ending(self) -> Ending | None: ...
    @property
    def reader(self) -> ResponseReader: ...
    @property
    def responses(self) -> list[Response]: ...


def finals(client: Received) -> list[Response]:
    return [response for response in client.responses if response.status >= 200]


def as_expected(response: Response, answer: ExpectedAnswer) -> bool:
    return response.status in answer.statuses and response.complete != answer.cut


def text(escaped: str) -> str:
    return decode(escaped).decode("latin-1")


def matches(client: Received, outcome: Outcome) -> bool:
    """Whether the responses so far and the state of the stream are exactly the outcome."""
    responses = list(client.responses)
    for answer in outcome.answers:
        if responses and as_expected(responses[0], answer):
            responses.pop(0)
        elif not answer.optional:
            return False
    if responses or (client.reader.partial and outcome.fate != "X"):
        return False
    match outcome.fate:
        case "C":
            return client.ending == "eof"
        case "X":
            return client.ending is not None
        case "K":
            return client.ending is None
        case _:
            return True


def describe(client: Received) -> str:
    state = {None: "open", "eof": "closed", "reset": "reset"}[client.ending]
    words = [
        f"{response.status}{'' if response.complete else '!'}" for response in client.responses
    ]
    return f"{' '.join(words) or '-'} {state}; raw {bytes(client.received[:300])!r}"


def run(bench: Bench, case: Case, pieces: list[bytes]) -> Iterator[str]:
    """Yields what is wrong; nothing when the case holds."""
    bench.reset(case)
    client = bench.server.connect(*case.methods, accepted=len(pieces) > 1, handshake=case.handshake)
    try:
        yield from converse(bench, case, pieces, client)
    finally:
        if len(pieces) == 2:
            client.reset()
        else:
            client.close()
        bench.server.until(
            lambda: bench.server.server.connections == 0, "the connection to be forgotten"
        )


def converse(bench: Bench, case: Case, pieces: list[bytes], client: Client) -> Iterator[str]:
    yield from feed(client, pieces, case.half_close)
    outcome = await_outcome(bench.server, case, client)
    if outcome is None:
        wanted = " or ".join(
            " ".join(["|".join(map(str, sorted(a.statuses))) for a in o.answers] + [o.fate])
            for o in case.outcomes
        )
        yield f"wanted {wanted}, got {describe(client)}; calls {len(bench.recorder.calls)}"
        return
    yield from client.reader.violations
    yield from check_calls(bench.recorder.calls, case, client)
    yield from check_answers(case, client)
    yield from check_farewell(client, outcome)
    yield from (f"on the wire: {evil!r}" for evil in case.never if evil in client.received)
    if case.records is not None and len(bench.log.messages) != case.records:
        yield f"{len(bench.log.messages)} log records, not {case.records}: {bench.log.messages}"
    for words in case.logged:
        if not any(words.lower() in message.lower() for message in bench.log.messages):
            yield f"no log record with {words!r} in {bench.log.messages}"
    yield from check_sequel(bench, case, client)


def feed(client: Client, pieces: list[bytes], half_close: bool) -> Iterator[str]:
    """Sends piece by piece; a single one that ends the stream arrives together with its end."""
    if half_close and len(pieces) == 1 and client.put(pieces[0]) == len(pieces[0]):
        client.half_close()
        return
    sent = 0
    for piece in pieces:
        if not client.send(piece):
            yield f"the server did not look at the bytes from {sent}"
        sent += len(piece)
    if half_close:
        client.half_close()


def await_outcome(server: SteppedServer, case: Case, client: Client) -> Outcome | None:
    """The outcome that came about, once nothing more comes."""

    def came() -> Outcome | None:
        client.receive()
        return next((outcome for outcome in case.outcomes if matches(client, outcome)), None)

    try:
        server.until(lambda: came() is not None, "an outcome", CASE_PATIENCE)
    except AssertionError:
        return None
    server.settle()
    return came()


def check_calls(calls: Sequence[Call], case: Case, client: Received) -> Iterator[str]:
    """What is wrong with how the application was called."""
    wanted = (
        case.calls
        if case.calls is not None
        else sum(response.status < 400 for response in finals(client))
    )
    if len(calls) != wanted:
        yield f"the application was called {len(calls)} times, not {wanted}"
        return
    for fact in case.saw:
        name, value = text(fact.name), text(fact.value)
        if fact.nth <= len(calls) and calls[fact.nth - 1].environ.get(name) != value:
            yield f"call {fact.nth} saw {name} = {calls[fact.nth - 1].environ.get(name)!r}, not {value!r}"
    for fact in case.unseen:
        if fact.nth <= len(calls) and fact.name in calls[fact.nth - 1].environ:
            yield f"call {fact.nth} saw {fact.name} = {calls[fact.nth - 1].environ[fact.name]!r}"
    if case.app == "echo":  # which reads all there is: no fact means no body
        bodies = {fact.nth: decode(fact.value) for fact in case.bodies}
        for nth, call in enumerate(calls, 1):
            if call.body != bodies.get(nth, b""):
                yield f"call {nth} read {call.body[:100]!r}, not {bodies.get(nth, b'')[:100]!r}"
    for fact in case.closed:
        if fact.nth <= len(calls) and calls[fact.nth - 1].closed != int(fact.value):
            yield f"close() came {calls[fact.nth - 1].closed} times after call {fact.nth}"


def check_answers(case: Case, client: Received) -> Iterator[str]:
    """What the case says of the answers and is not so."""
    answers = finals(client)
    for fact in case.answers:
        if fact.nth <= len(answers) and answers[fact.nth - 1].all(fact.name) != [
            decode(fact.value).decode("latin-1")
        ]:
            yield f"answer {fact.nth} has {fact.name} {answers[fact.nth - 1].all(fact.name)}"
    for fact in case.unanswered:
        if fact.nth <= len(answers) and answers[fact.nth - 1].all(fact.name):
            yield f"answer {fact.nth} has {fact.name} {answers[fact.nth - 1].all(fact.name)}"
    for fact in case.contents:
        if fact.nth <= len(answers) and answers[fact.nth - 1].body != decode(fact.value):
            yield f"answer {fact.nth} has the body {answers[fact.nth - 1].body[:100]!r}"


def check_farewell(client: Received, outcome: Outcome) -> Iterator[str]:
    """Whether the end of the connection was announced, by the last answer alone."""
    answers = finals(client)
    for before, _after in pairwise(answers):
        if before.all("connection") == ["close"]:
            yield "an answer follows one that announced the close"
    last = answers[-1] if answers else None
    if last and outcome.fate == "C" and last.status >= 400 and last.all("connection") != ["close"]:
        yield f"the last answer has Connection {last.all('connection')}, not close"


def check_sequel(bench: Bench, case: Case, client: Client) -> Iterator[str]:
    """A connection that stayed open must answer a further request; one that closed must not look at it."""
    calls, answers = len(bench.recorder.calls), len(client.responses)
    if client.ending is not None or case.half_close:
        client.put(AFTERTHOUGHT)
        bench.server.settle()
        if len(bench.recorder.calls) != calls:
            yield "a request after the end of the connection reached the application"
        return
    bench.recorder.target = apps.echo
    client.send(PROBE)
    try:
        client.await_responses(answers + 1)
    except AssertionError:
        yield f"no answer to a further request: {describe(client)}"
        return
    probe, seen = (
        client.responses[-1],
        [call.environ["PATH_INFO"] for call in bench.recorder.calls[calls:]],
    )
    if (
        len(client.responses) != answers + 1
        or probe.status != 200
        or probe.body != b"/probe"
        or seen != ["/probe"]
    ):
        yield f"a further request was misunderstood: {describe(client)}; calls {seen}"
