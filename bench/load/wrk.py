"""Load by wrk, where it is installed: the plain command with replay.lua, no bindings."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.load import GRACE, LoadError, Outcome
from bench.workloads import Workload

SCRIPT = Path(__file__).with_name("replay.lua")
RESULT = re.compile(r"^result (\{.*\})$", re.MULTILINE)


def present() -> bool:
    return shutil.which("wrk") is not None


def run(
    port: int, workload: Workload, connections: int, seconds: int, cpus: Sequence[int] = (0,)
) -> Outcome:
    """One wrk with a thread for each of `cpus`. Raises LoadError."""
    threads = min(len(cpus), connections)
    with tempfile.NamedTemporaryFile(prefix="bench-", suffix=".requests") as requests:
        for payload in workload.payloads:
            requests.write(b"%d\n%s" % (len(payload), payload))
        requests.flush()
        command = [
            "wrk",
            f"--threads={threads}",
            f"--connections={connections}",
            f"--duration={seconds}s",
            "--timeout=5s",
            f"--script={SCRIPT}",
            f"{workload.scheme}://127.0.0.1:{port}/",
            "--",
            requests.name,
        ]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=seconds + GRACE, check=False
            )
        except FileNotFoundError:
            raise LoadError("wrk is not installed") from None
        except subprocess.TimeoutExpired:
            raise LoadError(f"wrk did not end within {seconds + GRACE:.0f} s") from None
    outcome = parse(done.stdout, done.stderr)
    if workload.depth > 1:  # wrk corrects latencies by an interval that is wrong for batches
        return replace(outcome, p50=None, p99=None)
    return outcome


def parse(output: str, errors: str = "") -> Outcome:
    """The line that replay.lua prints at the end. Raises LoadError when there is none."""
    result = RESULT.search(output)
    if result is None:
        lines = (errors + output).strip().splitlines() or ["wrk printed nothing"]
        raise LoadError(lines[-1])
    return Outcome(**json.loads(result[1]))
