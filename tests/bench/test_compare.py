from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

import compare
import pytest
import servers
import workloads
from compare import Comparison, Cores
from load import LoadError, Outcome
from servers import Programs
from workloads import Workload

SCRIPT = compare.__file__


def arguments(*words: str) -> list[str]:
    return ["--rounds", "2", "--seconds", "1", "--connections", "2", "--load", "python", *words]


def comparison(programs: Programs, *words: str) -> Comparison:
    return compare.build(compare.parse_arguments(arguments(*words)), programs)


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
        compare.parse_arguments(words)
    assert ending.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_defaults_are_everything(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wrk.present", lambda: False)
    chosen = compare.build(compare.parse_arguments([]), programs)
    assert tuple(server.name for server in chosen.servers) == servers.NAMES
    assert tuple(workload.name for workload in chosen.workloads) == workloads.NAMES
    assert chosen.generate is compare.load.run


def test_cores() -> None:
    assert Cores.split((3, 1, 2)) == Cores((1,), (2, 3))
    assert Cores.split((1,)) == Cores((), ())
    assert "together" in str(Cores.split((1,)))


def test_orders_rotate() -> None:
    assert [compare.rotated("abc", steps) for steps in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]
    assert compare.rotated("", 1) == []


def test_a_missing_peer_is_a_row(programs: Programs) -> None:
    """A real, short run: the limit is measured, the peer's environment does not exist."""
    run = comparison(programs, "--servers", "limit", "bjoern", "--workloads", "hello", "post")
    run.run()
    rows = {row[0]: row for row in run.report.rows("hello")}
    assert rows["bjoern"][-1] == "not installed: run `make bench-peers`"
    assert len(run.report.of("limit", "hello")) == 2
    assert all(measured.efficiency > 0 for measured in run.report.measurements)
    assert run.report.rows("post")[0][-1] == "knows only the hello answer"


def test_a_server_that_does_not_start_is_a_row(tmp_path: Path, programs: Programs) -> None:
    broken = Programs(tmp_path / "absent", programs.peers, programs.limit)
    run = comparison(broken, "--servers", "fastwsgi", "--workloads", "hello")
    run.run()
    assert run.report.rows("hello")[0][-1] == "does not start: No such file or directory"


def test_a_workload_goes_to_the_servers_of_its_model(programs: Programs) -> None:
    """A real, short run: both rows of fastwsgi, where they take part."""
    run = comparison(
        programs,
        *("--servers", "fastwsgi", "fastwsgi-threads", "bjoern"),
        *("--workloads", "threads-hello", "threads-sleep10", "--rounds", "1"),
    )
    assert [server.name for server in run.servers] == ["fastwsgi", "fastwsgi-threads"]
    run.run()
    found = {(measured.server, measured.workload) for measured in run.report.measurements}
    assert found == {
        ("fastwsgi", "threads-hello"),
        ("fastwsgi-threads", "threads-hello"),
        ("fastwsgi-threads", "threads-sleep10"),
    }


def test_a_missing_load_generator_is_a_row(programs: Programs) -> None:
    def generate(*anything: object) -> Outcome:
        raise LoadError("wrk is not installed")

    run = comparison(programs, "--servers", "limit", "--workloads", "hello")
    run.generate = generate
    run.run()
    assert run.report.rows("hello")[0][-1] == "wrk is not installed"


def test_wrong_answers_are_a_row(programs: Programs) -> None:
    """The limit takes everything that ends in CRLF CRLF for one hello."""
    run = comparison(programs, "--servers", "limit", "--workloads", "hello")
    (hello,) = run.workloads
    run.workloads = [Workload("hello", hello.about, hello.requests, b"Goodbye", fits_limit=True)]
    run.run()
    assert "wrong body" in run.report.rows("hello")[0][-1]
    assert not run.report.measurements


def test_an_interrupted_run_keeps_what_was_measured(programs: Programs) -> None:
    calls: list[int] = []

    def generate(
        port: int, workload: Workload, connections: int, seconds: int, cpus: Sequence[int]
    ) -> Outcome:
        calls.append(port)
        if len(calls) == 3:  # the warm-up, the first round, and then
            raise KeyboardInterrupt
        compare.load.generate(port, workload, connections, 0.1)
        return Outcome(100, 1.0, 0.001, 0.002, 0)

    run = comparison(programs, "--servers", "limit", "--workloads", "hello", "browser")
    run.generate = generate
    with pytest.raises(KeyboardInterrupt):
        run.run()
    assert [measured.workload for measured in run.report.measurements] == ["hello"]
    with pytest.raises(servers.ServerError, match="accepts nothing"):
        servers.Running("absent", [sys.executable, "-c", "input()"], calls[0], patience=0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_process_reports_and_leaves_none_behind(
    number: signal.Signals, tmp_path: Path
) -> None:
    mark = f"BENCH_MARK={uuid.uuid4().hex}"
    document = tmp_path / "found.json"
    words = ["--servers", "limit", "--workloads", "hello", "--rounds", "50", "--json", document]
    command = [sys.executable, SCRIPT, *arguments(*map(str, words))]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **dict([mark.split("=")])}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if "starting limit" in line and "round 2" in line:
                    break
            assert marked(mark)
            process.send_signal(number)
            output, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "INTERRUPTED" in output
    assert "\nlimit  " in output
    assert len(json.loads(document.read_text())["measurements"]) == 1
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
