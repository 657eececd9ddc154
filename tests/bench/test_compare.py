from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench import servers, workloads
from bench.__main__ import make_parser
from bench.commands import compare
from bench.comparison import Comparison, efficiency
from bench.load import LoadError, Outcome, generators
from bench.machine import Cores
from bench.programs import ROOT
from bench.run import Run
from bench.running import Running
from bench.workloads import Workload

MakeRun = Callable[..., Run]
SHORT = ("--rounds", "2", "--seconds", "1", "--connections", "2", "--load", "python")


def rows(run: Run, workload: str = "hello") -> dict[str, tuple[str, ...]]:
    return {row[0]: row for row in Comparison(run.record).rows(workload)}


@pytest.mark.parametrize(
    "words",
    [
        ["--rounds", "0"],
        ["--seconds", "0.5"],
        ["--workloads", "goodbye"],
        ["--servers", "apache"],
        ["--load", "ab"],
    ],
)
def test_wrong_arguments(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        make_parser().parse_args(["compare", *words])
    assert ending.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_defaults_are_everything() -> None:
    options = make_parser().parse_args(["compare"])
    assert tuple(options.servers) == servers.NAMES
    assert tuple(options.workloads) == workloads.NAMES
    assert options.load in generators.TABLE


def test_cores() -> None:
    assert Cores.split((3, 1, 2)) == Cores((1,), (2, 3))
    assert Cores.split((3, 1, 2), workers=2) == Cores((1, 2), (3,))
    assert Cores.split((1,)) == Cores((), ())
    assert "share" in str(Cores.split((1,)))


def test_orders_rotate() -> None:
    assert [compare.rotated("abc", steps) for steps in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]
    assert compare.rotated("", 1) == []


def test_a_missing_peer_is_a_row(make_run: MakeRun) -> None:
    """A real, short run: the limit is measured, the peer's environment does not exist."""
    run = make_run(
        "compare", *SHORT, "--servers", "limit", "bjoern", "--workloads", "hello", "post"
    )
    compare.measure(run)
    assert rows(run)["bjoern"][-1] == "not installed: run `make bench-peers`"
    assert rows(run, "post")["limit"][-1] == "knows only the hello answer"
    measured = run.record.of("limit", "hello")
    assert len(measured) == 2
    assert all(efficiency(m) > 0 and m["memory"] > 0 for m in measured)


def test_a_server_that_does_not_start_is_a_row(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("compare", *SHORT, "--servers", "fastwsgi", "--workloads", "hello")
    run.programs = replace(run.programs, python=tmp_path / "absent")
    compare.measure(run)
    assert rows(run)["fastwsgi"][-1] == "does not start: No such file or directory"


def test_a_workload_goes_to_the_servers_of_its_model(make_run: MakeRun) -> None:
    """A real, short run: both rows of fastwsgi, where they take part, and another application."""
    run = make_run(
        "compare",
        *(*SHORT, "--servers", "fastwsgi", "fastwsgi-threads", "fastwsgi-gevent"),
        *("--workloads", "threads-hello", "threads-sleep10", "flask", "--rounds", "1"),
    )
    compare.measure(run)
    found = {(measured.server, measured.workload) for measured in run.record.measurements}
    assert found == {
        ("fastwsgi", "threads-hello"),
        ("fastwsgi-threads", "threads-hello"),
        ("fastwsgi-threads", "threads-sleep10"),
        ("fastwsgi", "flask"),
    }
    assert run.record.servers == ["fastwsgi", "fastwsgi-threads"]


@pytest.mark.parametrize("line", [40, 4000])
def test_who_is_to_log_has_to_write_a_line_for_each_request(
    line: int, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real, short run; no line of a log is as long as the second."""
    monkeypatch.setattr(compare, "LINE", line)
    words = ("--servers", "fastwsgi-logged", "--workloads", "logged-hello", "--rounds", "1")
    run = make_run("compare", *SHORT, *words)
    compare.measure(run)
    reason = run.record.failure("fastwsgi-logged", "logged-hello")
    assert reason == ("" if line == 40 else "writes no line of a log for each request")


def test_a_missing_load_generator_is_a_row(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def generate(*anything: object) -> Outcome:
        raise LoadError("wrk is not installed")

    run = make_run("compare", *SHORT, "--servers", "limit", "--workloads", "hello")
    monkeypatch.setitem(generators.TABLE, "python", generate)
    compare.measure(run)
    assert rows(run)["limit"][-1] == "wrk is not installed"


def test_wrong_answers_are_a_row(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit takes everything that ends in CRLF CRLF for one hello."""
    hello = workloads.find("hello")
    other = Workload("hello", hello.about, hello.requests, b"Goodbye", fits_limit=True)
    monkeypatch.setattr(workloads, "TABLE", (other,))
    run = make_run("compare", *SHORT, "--servers", "limit", "--workloads", "hello")
    compare.measure(run)
    assert "wrong body" in rows(run)["limit"][-1]
    assert not run.record.measurements


def test_an_interrupted_run_keeps_what_was_measured(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def generate(
        port: int, workload: Workload, connections: int, seconds: int, cpus: Sequence[int]
    ) -> Outcome:
        calls.append(port)
        if len(calls) == 3:  # the warm-up, the first round, and then
            raise KeyboardInterrupt
        return Outcome(100, 1.0, 0.001, 0.002, 0)

    monkeypatch.setitem(generators.TABLE, "python", generate)
    used = itertools.count()
    monkeypatch.setattr(Running, "cpu_seconds", lambda _: float(next(used)))
    run = make_run("compare", *SHORT, "--servers", "limit", "--workloads", "hello", "browser")
    with pytest.raises(KeyboardInterrupt):
        compare.measure(run)
    assert [measured.workload for measured in run.record.measurements] == ["hello"]
    assert run.record.path is not None
    assert len(json.loads(run.record.path.read_text())["measurements"]) == 1
    with pytest.raises(servers.ServerError, match="accepts nothing"):
        Running("absent", [sys.executable, "-c", "input()"], calls[0], patience=0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_process_reports_and_leaves_none_behind(
    number: signal.Signals, tmp_path: Path
) -> None:
    mark = f"BENCH_MARK={uuid.uuid4().hex}"
    document = tmp_path / "found.json"
    words = ["--servers", "limit", "--workloads", "hello", "--json", str(document)]
    # A job in the background of a shell, as a test run may be, has Ctrl-C ignored, and so its children.
    start = ["env", "--default-signal=INT", sys.executable, "-m", "bench", "compare"]
    command = [*start, *SHORT, "--rounds", "50", *words]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **dict([mark.split("=")])}
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if line.startswith("[1/50"):
                    break
            assert marked(mark)
            # What was measured is on disk before the run is over.
            assert len(json.loads(document.read_text())["measurements"]) == 1
            process.send_signal(number)
            output, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "INTERRUPTED" in output
    assert "\nlimit  " in output
    found = json.loads(document.read_text())
    assert found["interrupted"]
    assert len(found["measurements"]) == 1
    assert marked(mark) == []


def marked(mark: str) -> list[str]:
    """The living processes whose environment holds the mark."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if mark.encode() in (entry / "environ").read_bytes():
                found.append(entry.name)
        except OSError:
            continue
    return found
