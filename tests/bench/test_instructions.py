from __future__ import annotations

from pathlib import Path

import instructions
import pytest
import workloads
from probe import ProbeError
from servers import Programs

DUMP = "version: 1\ncmd: python\ndesc: Trigger: dump {label}\nevents: Ir\n\nsummary: {total}\n"


def test_busiest_is_the_worker_of_that_label(tmp_path: Path) -> None:
    dumps = [("hello-before", 9_000), ("hello-after", 500), ("hello-after", 4_000)]
    for number, (label, total) in enumerate(dumps):
        (tmp_path / f"out.{number}").write_text(DUMP.format(label=label, total=total))
    (tmp_path / "out.9").write_text("desc: Trigger: Program termination\nsummary: 99999\n")
    assert instructions.busiest(tmp_path, "hello-after") == (4_000, tmp_path / "out.2")


def test_a_connection_that_ends_is_an_error() -> None:
    class Closing:
        sent = 0

        def sendall(self, data: bytes) -> None:
            self.sent += 1

        def recv(self, size: int) -> bytes:
            head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 13\r\n\r\n"
            return head + b"Hello, World!"

    with pytest.raises(ProbeError, match="does not keep"):
        instructions.ask(Closing(), workloads.find("hello"), 2)  # type: ignore[arg-type]


@pytest.mark.skipif(instructions.shutil.which("valgrind") is None, reason="no valgrind")
def test_the_limit_needs_few_instructions(programs: Programs) -> None:
    server = instructions.servers.find("limit")
    chosen = [workloads.find("hello"), workloads.find("browser")]
    figures = instructions.count(server, programs, chosen, requests=50, functions=3)
    (hello, costs), (browser, _) = figures["hello"], figures["browser"]
    assert 50 < hello < browser < 3_000
    assert any("main" in line for line in costs)


def test_without_valgrind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert instructions.main([]) == 2
    assert "valgrind is not installed" in capsys.readouterr().err
