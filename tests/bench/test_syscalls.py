from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.commands import syscalls
from bench.run import Run

MakeRun = Callable[..., Run]

TABLE = """% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 63.11    0.001129           5       200           sendto
 36.89    0.000660           3       210        10 recvfrom
  0.00    0.000000           0         1           epoll_wait
------ ----------- ----------- --------- --------- ----------------
100.00    0.001789           4       411        10 total
"""


def test_the_table_of_strace() -> None:
    assert syscalls.parse(TABLE) == {"sendto": 200, "recvfrom": 210, "epoll_wait": 1}


def test_without_strace(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = make_run("syscalls", "--servers", "limit", "--workloads", "hello")
    monkeypatch.setattr(run.programs.__class__, "ready", lambda *_: "")
    monkeypatch.setenv("PATH", str(tmp_path))
    syscalls.measure(run)
    assert run.record.failure("limit", "hello") == "strace is not installed (Debian: strace)"
    assert syscalls.faults(run.record) == ["no server could be measured"]


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("server", ["limit", "fastwsgi"])
def test_as_many_requests_as_are_usual_on_one_connection(make_run: MakeRun, server: str) -> None:
    """A wait, a receive and a send for each."""
    run = make_run("syscalls", "--servers", server, "--workloads", "hello")
    syscalls.measure(run)
    if "may not attach" in (reason := run.record.failure(server, "hello")):
        pytest.skip(reason)
    assert run.record.median(server, "hello", "calls") == pytest.approx(3, abs=0.05)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_threads_and_reactors_do_not_wait_for_each_other(make_run: MakeRun) -> None:
    """Who waits for a lock of CPython's without the GIL yields the processor, up to forty times before it sleeps."""
    words = ("--servers", "fastwsgi-threads", "--workloads", "threads-hello", "--connections", "16")
    run = make_run("syscalls", *words, "--requests", "200")
    syscalls.measure(run)
    if "may not attach" in (reason := run.record.failure("fastwsgi-threads", "threads-hello")):
        pytest.skip(reason)
    calls = run.record.median("fastwsgi-threads", "threads-hello", "calls")
    assert calls is not None
    assert calls < 6  # two are the request's own
