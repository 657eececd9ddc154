from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench import workloads
from bench.load import LoadError, Outcome, wrk
from bench.running import Running

OUTPUT = """Running 1s test @ http://127.0.0.1:40221/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   284.93us   99.86us   2.50ms   89.69%
Requests/sec: 118499.40

result {"requests":101817,"seconds":1.002785,"p50":0.0003120,"p99":0.0008990,"errors":2}
"""


def test_result_line_of_the_script() -> None:
    assert wrk.parse(OUTPUT) == Outcome(101817, 1.002785, 0.000312, 0.000899, 2)


@pytest.mark.parametrize(
    ("output", "errors", "message"),
    [
        ("", "unable to connect to 127.0.0.1:1 Connection refused\n", "Connection refused"),
        ("", "", "printed nothing"),
    ],
)
def test_no_result(output: str, errors: str, message: str) -> None:
    with pytest.raises(LoadError, match=message):
        wrk.parse(output, errors)


def test_wrk_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not wrk.present()
    with pytest.raises(LoadError, match="not installed"):
        wrk.run(1, workloads.find("hello"), 1, 1)


@pytest.mark.skipif(not wrk.present(), reason="wrk is not installed")
@pytest.mark.parametrize("name", ["hello", "browser", "pipeline"])
def test_wrk_against_the_limit(name: str, limit: Running) -> None:
    outcome = wrk.run(limit.port, workloads.find(name), 8, 1)
    assert outcome.requests > 100
    assert outcome.errors == 0
    assert (outcome.p50 is None) == (name == "pipeline")


@pytest.mark.skipif(not wrk.present(), reason="wrk is not installed")
def test_script_sends_the_payloads_in_turn() -> None:
    code = (
        "import socket, sys\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "print(server.getsockname()[1], flush=True)\n"
        "answer = b'HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n'\n"
        "seen = b''\n"
        "while not seen:\n"  # wrk opens an empty connection first
        "    client, _ = server.accept()\n"
        "    try:\n"
        "        while data := client.recv(65536):\n"
        "            seen += data\n"
        "            client.sendall(answer)\n"
        "    except ConnectionError:\n"  # wrk does not wait for the last answer
        "        pass\n"
        "sys.stdout.buffer.write(seen)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            workload = workloads.find("browser")
            wrk.run(int(server.stdout.readline()), workload, 1, 1)
            seen = server.stdout.read()
        finally:
            server.kill()
    first, second, third = workload.requests[:3]
    assert second + third in seen
    assert seen.count(first) == pytest.approx(seen.count(second), abs=1)
