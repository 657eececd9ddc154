"""One case with one server over real sockets: what was sent, what came, and what is to be said of it.

What a case expects stands in its file and nowhere else; the checks are those of the wire tests. `judge` adds what is
fair to a server that is not this one. It is allowed to

- do what the case's `allowed` says, which is what the RFCs leave open;
- refuse with another status, or without a word, what is to be refused, as long as it closes the connection;
- close a connection that it could have kept, where its answer says so or is one of HTTP/1.0;
- call the application before the body is there, if then it could not read it;
- have no Date, but for the number that is about it; and no key in an environ that need not be there.
"""

import enum
import http.client
import json
import select
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.conformance.application import BEGIN, CALLS, PROBE
from tests.support.responses import Ending, Response, ResponseReader, read_responses
from tests.wire.corpus import Case, Fact, Outcome
from tests.wire.recorder import Call
from tests.wire.runner import as_expected, check_answers, check_calls, finals, matches

HOST = "127.0.0.1"
QUIET = 0.03  # seconds without a byte after which nothing more is expected
GRACE = 0.25  # the same where what came is not what was expected
PATIENCE = 1.0  # seconds until an outcome that does not come is none
BYTES_A_SECOND = 500_000  # that any server takes: more patience with long requests
CONTROL_PATIENCE = 5.0  # seconds for the question whether a server is still there

FURTHER = f"GET {PROBE} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
ALERT = b"\x15\x03"  # how an alert of TLS begins
DATE = 140  # the number about it
# gunicorn's own, and CONTENT_LENGTH, which a chunked body need not have.
OPTIONAL = {
    "RAW_URI",
    "REMOTE_PORT",
    "PROXY_PROTOCOL",
    "PROXY_ADDR",
    "PROXY_PORT",
    "CONTENT_LENGTH",
}


class Verdict(enum.Enum):
    """What is to be said of one case; the worst comes last."""

    NOT_ASKED = "-"
    PASS = "pass"
    ALLOWED = "c"
    FAIL = "fail"
    HANG = "hang"
    CRASH = "crash"


class Transcript:
    """What came on a connection whose requests had the given methods."""

    def __init__(
        self, methods: tuple[str, ...], received: bytes = b"", ending: Ending | None = None
    ) -> None:
        self.methods = methods
        self.received = received
        self.ending = ending

    @property
    def reader(self) -> ResponseReader:
        return read_responses(self.received, self.methods, self.ending)

    @property
    def responses(self) -> list[Response]:
        return self.reader.responses


class Wire(Transcript):
    """A client socket and everything it has received."""

    def __init__(self, port: int, methods: tuple[str, ...] = ()) -> None:
        super().__init__(methods)
        self.socket = socket.create_connection((HOST, port), CONTROL_PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *exception: object) -> None:
        self.socket.close()

    def send(self, data: bytes, deadline: float) -> None:
        """Sends all of it, receiving meanwhile, unless the server ends the connection."""
        view = memoryview(data)
        while view and self.ending is None and time.monotonic() < deadline:
            readable, writable, _ = select.select([self.socket], [self.socket], [], QUIET)
            if readable:
                self.receive()
            if writable:
                try:
                    view = view[self.socket.send(view) :]
                except (BrokenPipeError, ConnectionResetError):
                    return
                except BlockingIOError:
                    continue

    def half_close(self) -> None:
        if self.ending is None:
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:  # reset meanwhile, as `receive` will tell
                return

    def receive(self, seconds: float = 0.0) -> bool:
        """Takes what comes within that time; whether anything did."""
        if self.ending is not None or not select.select([self.socket], [], [], seconds)[0]:
            return False
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return False
        except OSError:
            self.ending = "reset"
        else:
            self.received += data
            if not data:
                self.ending = "eof"
        if self.ending == "reset" and not self.reader.partial:
            self.ending = "eof"  # all that was to come had come
        return True

    def so_far(self) -> Transcript:
        return Transcript(self.methods, self.received, self.ending)


class Control:
    """Speaks with the application behind the server at `port`, which speaks TLS or does not.

    Raises TimeoutError where nothing is answered, and another OSError or HTTPException where what is
    answered is none.
    """

    def __init__(self, port: int, tls: bool) -> None:
        self.port = port
        self._tls = tls

    def begin(self, app: str) -> int:
        """Has the application `app` answer what follows; the pid of the process that will."""
        pid: int = self._ask(f"{BEGIN}?{app}")
        return pid

    def calls(self) -> tuple[int, list[Call]]:
        """The pid of the process now, and its calls since the beginning."""
        pid, found = self._ask(CALLS)
        return pid, [
            Call(environ, body.encode("latin-1"), closed) for environ, body, closed in found
        ]

    def _ask(self, target: str) -> Any:
        client = self._connect()
        try:
            client.putrequest("GET", target, skip_accept_encoding=True)
            client.putheader("Connection", "close")
            client.endheaders()
            return json.loads(client.getresponse().read())
        finally:
            client.close()

    def _connect(self) -> http.client.HTTPConnection:
        if not self._tls:
            return http.client.HTTPConnection(HOST, self.port, timeout=CONTROL_PATIENCE)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return http.client.HTTPSConnection(
            HOST, self.port, timeout=CONTROL_PATIENCE, context=context
        )


def converse(port: int, case: Case) -> tuple[Transcript, bool]:
    """Sends a case and receives until it is decided; what came, and whether a further request is answered, too.

    A further one is sent where the connection is to be kept and everything before was as it should be.
    """
    with Wire(port, case.methods) as wire:
        deadline = time.monotonic() + PATIENCE + 2 * len(case.request) / BYTES_A_SECOND
        wire.send(case.request, deadline)
        if case.half_close:
            wire.half_close()
        outcomes = [*case.outcomes, *case.allowed]
        wait = QUIET
        while time.monotonic() < deadline and wire.ending is None:
            if wire.receive(wait):
                expected = any(is_possible(wire, one) for one in outcomes)
                wait = QUIET if expected else GRACE
            elif wait == GRACE or (wire.responses and any(settled(wire, one) for one in outcomes)):
                break
        if wire.received.startswith(ALERT):  # no response
            wire.received = b""
        came_of_it = wire.so_far()
        kept = wire.ending is None and not case.half_close
        wanted = any(one.fate == "K" and matches(came_of_it, one) for one in outcomes)
        return came_of_it, kept and wanted and goes_on(wire, len(came_of_it.responses))


def is_possible(wire: Transcript, outcome: Outcome) -> bool:
    """Whether what came so far may yet become the outcome."""
    answers = list(outcome.answers)
    for response in wire.responses:
        while answers and answers[0].optional and response.status not in answers[0].statuses:
            answers.pop(0)
        if not answers or response.status not in answers.pop(0).statuses:
            return False
    return True


def settled(wire: Wire, outcome: Outcome) -> bool:
    """Whether the outcome has come about and leaves the connection open."""
    return outcome.fate in "K?" and matches(wire, outcome)


def goes_on(wire: Wire, answers: int) -> bool:
    """Whether the connection, which has had so many answers, answers a further request, and that alone."""
    deadline = time.monotonic() + PATIENCE
    wire.send(FURTHER, deadline)
    while wire.ending is None and time.monotonic() < deadline:
        if not wire.receive(QUIET) and len(wire.responses) > answers:
            break
    further = [(one.status, one.body, one.complete) for one in wire.responses[answers:]]
    return further == [(200, json.dumps(PROBE).encode(), True)]


def judge(case: Case, wire: Transcript, further: bool, called: list[Call]) -> Verdict:
    """What is to be said of the conversation."""
    if outcome_of(wire, case.outcomes, further) and not list(faults(case, wire, called)):
        return Verdict.PASS
    if case.anything_allowed:
        return Verdict.ALLOWED
    if list(violations(case, wire)) or list(forbidden(case, wire)):
        return Verdict.FAIL
    if outcome_of(wire, case.allowed, further):
        return Verdict.ALLOWED
    if any(refuses(wire, one) for one in case.outcomes):
        served = sum(response.status < 400 for response in finals(wire))
        unread = all(call.body == b"" for call in called[served:])
        return (
            Verdict.ALLOWED
            if unread and not list(checked(case, wire, called[:served]))
            else Verdict.FAIL
        )
    if takes_leave(case, wire) and not list(checked(case, wire, called)):
        return Verdict.ALLOWED
    return Verdict.FAIL


def outcome_of(wire: Transcript, outcomes: tuple[Outcome, ...], further: bool) -> bool:
    return any(matches(wire, one) and (further or one.fate != "K") for one in outcomes)


def faults(case: Case, wire: Transcript, called: list[Call]) -> Iterator[str]:
    """Everything that is not as the case says, for an outcome that it expects."""
    yield from violations(case, wire)
    yield from forbidden(case, wire)
    yield from checked(case, wire, called)


def violations(case: Case, wire: Transcript) -> Iterator[str]:
    """What no response may be like."""
    for violation in wire.reader.violations:
        if DATE in case.numbers or not violation.startswith("Date "):
            yield violation


def forbidden(case: Case, wire: Transcript) -> Iterator[str]:
    yield from (f"on the wire: {evil!r}" for evil in case.never if evil in wire.received)


def checked(case: Case, wire: Transcript, called: list[Call]) -> Iterator[str]:
    """What is wrong with calls and answers, as far as there are any."""
    yield from check_calls(called, held(case, called), wire)
    yield from check_answers(case, wire)


def held(case: Case, called: list[Call]) -> Case:
    """The case without what it says of keys that an environ need not have, or may have in another form."""

    def is_held(fact: Fact) -> bool:
        if fact.nth > len(called):
            return True
        found = called[fact.nth - 1].environ.get(fact.name)
        if found is None:
            return fact.name not in OPTIONAL
        # Lines are joined with a comma, and white space if one likes (RFC 9110, 5.3).
        return "," not in fact.value or found.replace(", ", ",") != fact.value.replace(", ", ",")

    copy = replace(case)
    copy.saw = [fact for fact in case.saw if is_held(fact)]
    return copy


def refuses(wire: Transcript, outcome: Outcome) -> bool:
    """Whether the outcome is a refusal, and this another one of the same request."""
    *before, last = outcome.answers or (None,)
    if last is None or min(last.statuses) < 400 or last.statuses == {500} or wire.ending is None:
        return False
    answers = finals(wire)
    first, rest = answers[: len(before)], answers[len(before) :]
    if len(first) < len(before) or wire.reader.partial:
        return False
    served = all(
        as_expected(one, wanted) for one, wanted in zip(first, before, strict=True) if wanted
    )
    return served and len(rest) <= 1 and all(one.status >= 400 for one in rest)


def takes_leave(case: Case, wire: Transcript) -> bool:
    """Whether the connection was closed, and that announced, after answers that are right."""
    answers = finals(wire)
    if wire.ending != "eof" or not answers or wire.reader.partial:
        return False
    last = answers[-1]
    announced = "close" in ",".join(last.all("connection")).lower() or last.version == "1.0"
    return announced and any(
        outcome.fate == "K"
        and len(answers) <= len(outcome.answers)
        and all(map(as_expected, answers, (one for one in outcome.answers if not one.optional)))
        for outcome in case.outcomes
    )
