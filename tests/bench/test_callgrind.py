from __future__ import annotations

from pathlib import Path

import pytest

from bench import callgrind, servers, workloads
from bench.probe import ProbeError
from bench.programs import Programs
from bench.servers import ServerError

DUMP = """# callgrind format
part: {part}
desc: Trigger: {trigger}
events: Ir
summary: {total}

fl=(1) socket.c
fn=(1) recv
10 100
+2 20
cfn=(2) memcpy
calls=3 7
* 600
-1 5

fn=(2)
7 600
"""


def test_counts_in_the_order_of_the_marks(tmp_path: Path) -> None:
    for part in (10, 9):
        text = DUMP.format(part=part, trigger="--dump-before=getsid", total=part * 100)
        (tmp_path / f"out.7.{part}").write_text(text)
    end = DUMP.format(part=11, trigger="Program termination", total=1)
    (tmp_path / "out.7").write_text(end)
    assert callgrind.dumps(tmp_path) == [
        (900, tmp_path / "out.7.9"),
        (1000, tmp_path / "out.7.10"),
    ]


def test_costs_of_callees_are_not_those_of_the_caller() -> None:
    costs = callgrind.self_costs(DUMP.splitlines())
    assert costs == {"recv": 125, "memcpy": 600}


def test_a_connection_that_ends_is_an_error() -> None:
    class Closing:
        sent = 0

        def sendall(self, data: bytes) -> None:
            self.sent += 1

        def recv(self, size: int) -> bytes:
            head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 13\r\n\r\n"
            return head + b"Hello, World!"

    with pytest.raises(ProbeError, match="does not keep"):
        callgrind.ask([Closing()], workloads.find("hello"), 2)  # type: ignore[list-item]


def test_all_connections_ask_before_the_first_answer_is_read() -> None:
    said: list[str] = []

    class Answering:
        def sendall(self, data: bytes) -> None:
            said.append("asks")

        def recv(self, size: int) -> bytes:
            said.append("hears")
            return b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!"

    clients = [Answering(), Answering()]
    assert callgrind.ask(clients, workloads.find("hello"), 3) == 4  # type: ignore[arg-type]
    assert said == ["asks", "asks", "hears", "hears"] * 2


def test_without_valgrind(
    programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerError, match="valgrind is not installed"):
        callgrind.count(servers.find("fastwsgi"), programs, [], requests=1, functions=0)
