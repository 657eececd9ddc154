"""The bundled load generator, for machines without wrk: raw sockets and epoll, a process a core.

`python -m bench.load.python PORT WORKLOAD --connections N --seconds S` is one such process; it prints
one line of JSON. `run` starts them, waits and merges. A Python client cannot saturate a fast server: its
requests per second say little, its requests per server CPU-second still hold.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench import workloads
from bench.answer import MalformedAnswerError, take_answer
from bench.load import GRACE, LoadError, Outcome
from bench.probe import connect
from bench.programs import ROOT
from bench.workloads import Workload

BUCKET = 1e-5  # seconds: the resolution of latencies


@dataclass
class Tally:
    """What one generating process counts; latencies by bucket."""

    requests: int = 0
    errors: int = 0
    seconds: float = 0.0
    latencies: Counter[int] = field(default_factory=Counter)

    def percentile(self, share: float) -> float:
        """The latency that `share` of the payloads did not exceed, in seconds; 0 without any."""
        wanted = share * self.latencies.total()
        for bucket in sorted(self.latencies):
            wanted -= self.latencies[bucket]
            if wanted <= 0:
                return (bucket + 1) * BUCKET
        return 0.0


class Client:
    """One connection: sends a payload, reads all its answers, sends the next."""

    def __init__(
        self, port: int, workload: Workload, payloads: Sequence[bytes], turn: int, tally: Tally
    ) -> None:
        self.port, self.workload, self.tally = port, workload, tally
        self.payloads, self.turn = payloads, turn
        self.received, self.unsent = bytearray(), b""
        self.waiting = 0
        self.started = 0.0
        self.watched = 0  # the events that epoll looks for

    def connect(self) -> None:
        """Opens the connection, anew when it had one, and sends. Raises OSError."""
        self.socket = connect(self.port, self.workload)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.send_next()

    def send_next(self) -> None:
        self.turn = (self.turn + 1) % len(self.payloads)
        self.waiting = self.workload.depth
        self.received.clear()
        self.started = time.perf_counter()
        self.unsent = self.payloads[self.turn]
        self.send()

    def send(self) -> None:
        try:
            self.unsent = self.unsent[self.socket.send(self.unsent) :]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self.unsent = b""  # the next recv tells what became of the connection

    @property
    def awaited(self) -> int:
        """The events that it waits for: a large payload goes out bit by bit."""
        return select.EPOLLIN | (select.EPOLLOUT if self.unsent else 0)

    def on_event(self) -> bool:
        """Reads what has come; False when the connection is over."""
        if self.unsent:
            self.send()
        try:
            data = self.receive()
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            self.tally.errors += 1
            return False
        self.received += data
        return self.take_answers(ended=not data) and bool(data)

    def receive(self) -> bytes:
        data = self.socket.recv(1 << 18)
        if isinstance(self.socket, ssl.SSLSocket):
            while self.socket.pending():  # of which epoll knows nothing
                data += self.socket.recv(1 << 18)
        return data

    def take_answers(self, *, ended: bool) -> bool:
        closes = False
        while self.waiting and not closes:
            answer = take_answer(self.received, ended=ended)
            if answer is None:
                self.tally.errors += ended
                return not ended
            del self.received[: answer.length]
            self.waiting -= 1
            self.tally.requests += 1
            self.tally.errors += answer.status != 200
            closes = answer.closes
        self.tally.latencies[int((time.perf_counter() - self.started) / BUCKET)] += 1
        if not closes:
            self.send_next()
        return not closes


def generate(port: int, workload: Workload, connections: int, seconds: float) -> Tally:
    """Keeps `connections` busy for `seconds`. Raises OSError, MalformedAnswerError."""
    tally, payloads = Tally(), workload.payloads
    clients: dict[int, Client] = {}
    with select.epoll() as poller, ExitStack() as stack:

        def open_client(client: Client) -> None:
            client.connect()
            clients[client.socket.fileno()] = client
            client.watched = client.awaited
            poller.register(client.socket, client.watched)

        def close_clients() -> None:
            for client in clients.values():
                client.socket.close()

        stack.callback(close_clients)
        begun = time.perf_counter()
        for number in range(connections):
            turn = number * len(payloads) // connections
            open_client(Client(port, workload, payloads, turn, tally))
        while time.perf_counter() - begun < seconds:
            for fd, _ in poller.poll(0.1):
                client = clients[fd]
                if not client.on_event():
                    del clients[fd]
                    client.socket.close()
                    open_client(client)
                elif client.watched != client.awaited:
                    client.watched = client.awaited
                    poller.modify(fd, client.watched)
        tally.seconds = time.perf_counter() - begun
    return tally


def run(
    port: int, workload: Workload, connections: int, seconds: int, cpus: Sequence[int] = (0,)
) -> Outcome:
    """One generating process for each of `cpus`. Raises LoadError."""
    shares = [len(range(first, connections, len(cpus))) for first in range(len(cpus))]
    with ExitStack() as stack:
        processes = []
        for share in filter(None, shares):
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "bench.load.python"),
                    str(port),
                    workload.name,
                    f"--connections={share}",
                    f"--seconds={seconds}",
                ],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            processes.append(process)
        total = Tally()
        for process in processes:
            merge(total, *finish(process, seconds + GRACE))
    return Outcome(
        total.requests, total.seconds, total.percentile(0.5), total.percentile(0.99), total.errors
    )


def finish(process: subprocess.Popen[str], timeout: float) -> tuple[str, str]:
    """What the process wrote. Raises LoadError when it is late."""
    try:
        return process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise LoadError(f"no end within {timeout:.0f} s") from None


def merge(total: Tally, output: str, errors: str) -> None:
    """Adds the tally that a generating process printed. Raises LoadError when it printed none."""
    try:
        part = json.loads(output)
    except ValueError:
        lines = errors.strip().splitlines() or ["no result"]
        raise LoadError(lines[-1]) from None
    total.requests += part["requests"]
    total.errors += part["errors"]
    total.seconds = max(total.seconds, part["seconds"])
    total.latencies.update({int(key): count for key, count in part["latencies"].items()})


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="One load generating process; prints JSON.")
    parser.add_argument("port", type=int)
    parser.add_argument("workload", choices=workloads.NAMES)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=3)
    options = parser.parse_args(arguments)
    workload = workloads.find(options.workload)
    try:
        tally = generate(options.port, workload, options.connections, options.seconds)
    except (OSError, MalformedAnswerError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps(vars(tally)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
