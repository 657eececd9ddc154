from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench import workloads
from bench.load import LoadError, h2load
from bench.running import Running

OUTPUT = """
finished in 1.00s, 23456.78 req/s, 2.53MB/s
requests: 23460 total, 23470 started, 23460 done, 23460 succeeded, 3 failed, 2 errored, 0 timeout
"""


def test_the_words_of_h2load() -> None:
    outcome = h2load.parse(OUTPUT, "", 1, [0.001, 0.002, 0.003])
    assert (outcome.requests, outcome.seconds, outcome.errors) == (23460, 1.0, 5)
    assert (outcome.p50, outcome.p99) == (0.002, 0.003)
    with pytest.raises(LoadError, match="no such host"):
        h2load.parse("", "no such host\n", 1, [])


def test_a_request_is_taken_apart(tmp_path: Path) -> None:
    words = h2load.command(80, workloads.find("post"), 8, 2, 1, tmp_path / "log")
    assert words[-1] == "http://127.0.0.1:80/post"
    assert "Host: bench.example" in words
    assert not any("Content-Length" in word for word in words)
    assert len((tmp_path / "body").read_bytes()) == 1024


@pytest.mark.parametrize(
    ("name", "message"), [("browser", "cannot change"), ("close", "no connection for each")]
)
def test_what_it_cannot_ask_is_said(name: str, message: str) -> None:
    with pytest.raises(LoadError, match=message):
        h2load.run(1, workloads.find(name), 1, 1)


def test_h2load_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LoadError, match="not installed"):
        h2load.run(1, workloads.find("hello"), 1, 1)


@pytest.mark.skipif(shutil.which("h2load") is None, reason="h2load is not installed")
def test_h2load_against_the_limit(limit: Running) -> None:
    outcome = h2load.run(limit.port, workloads.find("hello"), 4, 1)
    assert outcome.requests > 100
    assert outcome.errors == 0
    assert outcome.p99 is not None
