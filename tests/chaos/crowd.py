"""Many good clients at once, each on a connection that it keeps; none tries again, every byte is checked.

They are a process of their own, a thread for each. Each asks at an easy pace and marks its requests,
so an answer that is somebody else's shows. A connection is left where the server announced its end,
and where it ended between two answers; an end after a request was sent is a failure.

    with Crowd(port, 64) as crowd:     # all of them have had an answer
        ...
        found = crowd.report()         # of the time since the last report
"""

import json
import re
import select
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any, Final

from tests.chaos.arena import request
from tests.chaos.strict_client import summary
from tests.package.checkout import ROOT
from tests.support.server import PATIENCE, environment

PAUSE: Final = 0.04  # seconds a client waits after an answer: the machine is not to be saturated
MOST_FAULTS: Final = 5  # that are told in words

ANSWER: Final = re.compile(
    rb"HTTP/1\.1 200 OK\r\n"
    rb"Date: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r\n"
    rb"Server: fastwsgi\r\n"
    rb"Content-Type: text/plain\r\n"
    rb"Content-Length: (?P<length>\d+)\r\n"
    rb"(?P<last>Connection: close\r\n)?"
    rb"\r\n"
    rb"(?P<body>(?P<pid>\d+) (?P<mark>\S+))"
)


@dataclass
class Report:
    """What came of a time; latencies in milliseconds, moments on the monotonic clock."""

    answers: int
    p99: float
    faults: list[str]
    """Some of what went wrong, in words."""
    failed_of: dict[int, int]
    """Failed requests by the worker of the connection; 0 where that had not answered yet."""
    first_seen: dict[int, float]
    """When each worker gave its first answer."""

    @property
    def failed(self) -> int:
        return sum(self.failed_of.values())


class Crowd:
    """The clients' process as its starter sees it."""

    def __init__(self, port: int, clients: int, pause: float = PAUSE) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.crowd", f"{port}", f"{clients}", f"{pause}"],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def report(self) -> Report:
        """What came since the last time; requests under way belong to the next."""
        return self._read_after("report")

    def await_answers(self) -> None:
        """Return when each client has made another request, and it was answered or has failed."""
        self._read_after("wait")

    def end(self) -> Report:
        """Have them leave, when they have their answers; what came since the last time."""
        return self._read_after("end")

    def _read_after(self, word: str) -> Report:
        """Say a word to the process; the report that it gives at once, or when it has waited."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Report:
        assert self._process.stdout is not None
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        for name in ("failed_of", "first_seen"):
            found[name] = {int(pid): value for pid, value in found[name].items()}
        return Report(**found)

    def __enter__(self) -> "Crowd":
        self._read()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._process:  # closes its input, which is its end
            if error is not None:
                self._process.kill()


@dataclass
class Records:
    """What all clients note, until it is taken."""

    latencies: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    failed_of: dict[int, int] = field(default_factory=dict)
    first_seen: dict[int, float] = field(default_factory=dict)

    def report(self) -> Report:
        sample = summary(self.latencies, self.faults[:MOST_FAULTS])
        return Report(sample.answers, sample.p99, sample.faults, self.failed_of, self.first_seen)


class Gathering:
    """The clients, and the records they are at."""

    def __init__(self, port: int, clients: int, pause: float) -> None:
        self.address = ("127.0.0.1", port)
        self.pause = pause
        self.over = threading.Event()
        self._lock = threading.Lock()
        self._records = Records()
        self._turns = [0] * clients
        self._turned = threading.Condition()
        self._threads = [threading.Thread(target=self._live, args=(n,)) for n in range(clients)]

    def __enter__(self) -> "Gathering":
        """Return when each has had an answer, or has failed to."""
        for thread in self._threads:
            thread.start()
        self.await_turn()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Return when all have had their answers and have gone."""
        self.over.set()
        for thread in self._threads:
            thread.join()

    def report(self) -> Report:
        with self._lock:
            records, self._records = self._records, Records()
        return records.report()

    def await_turn(self) -> None:
        """Return when each client has made a request that begins from now on."""
        with self._turned:
            wanted = [turns + 1 + (turns > 0) for turns in self._turns]
            self._turned.wait_for(
                lambda: all(
                    turns >= least for turns, least in zip(self._turns, wanted, strict=True)
                ),
                PATIENCE,
            )

    def _live(self, number: int) -> None:
        client = Client(number, self.address)
        while not self.over.is_set():
            self._attempt(client)
            with self._turned:
                self._turns[number] += 1
                self._turned.notify_all()
            self.over.wait(self.pause)
        client.leave()

    def _attempt(self, client: "Client") -> None:
        """One request of a client, noted."""
        begin = time.monotonic()
        try:
            worker = client.ask()
        except (OSError, AssertionError) as error:
            with self._lock:
                self._records.faults.append(f"{time.monotonic():.3f} {client.worker} {error!r}")
                failed_of = self._records.failed_of
                failed_of[client.worker] = failed_of.get(client.worker, 0) + 1
            client.leave()
            return
        end = time.monotonic()
        with self._lock:
            self._records.latencies.append(end - begin)
            self._records.first_seen.setdefault(worker, end)


class Client:
    """One of them. `worker` is the pid of its connection's, 0 where that has not answered."""

    def __init__(self, number: int, address: tuple[str, int]) -> None:
        self._number = number
        self._address = address
        self._asked = 0
        self._socket: socket.socket | None = None
        self.worker = 0

    def ask(self) -> int:
        """One request and its answer; the pid of the worker that gave it. OSError, AssertionError."""
        self._asked += 1
        mark = f"{self._number}-{self._asked}"
        if self._socket is not None and select.select([self._socket], [], [], 0)[0]:
            assert not self._socket.recv(1), "something came that was not asked for"
            self.leave()
        if self._socket is None:
            self._socket = socket.create_connection(self._address, PATIENCE)
        self._socket.sendall(request(f"/whoami?{mark}"))
        received = b""
        while not received.endswith(f" {mark}".encode()):
            data = self._socket.recv(65536)
            assert data, f"the connection ended after {received!r}"
            received += data
        answer = ANSWER.fullmatch(received)
        assert answer is not None, received
        assert int(answer["length"]) == len(answer["body"]), received
        assert answer["mark"] == mark.encode(), received
        worker = self.worker = int(answer["pid"])
        if answer["last"]:
            self.leave()
        return worker

    def leave(self) -> None:
        """Give the connection up, where there is one."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self.worker = None, 0


def main(port: int, clients: int, pause: float) -> None:
    """Live as so many clients; an empty report when they are there, and one for each word on standard input."""
    with Gathering(port, clients, pause) as gathering:
        print(json.dumps(asdict(Records().report())), flush=True)
        for line in sys.stdin:
            word = line.strip()
            if word == "end":
                gathering.leave()
            elif word == "wait":
                gathering.await_turn()
            report = Records().report() if word == "wait" else gathering.report()
            print(json.dumps(asdict(report)), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
