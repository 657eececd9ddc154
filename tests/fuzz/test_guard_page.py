"""The parser reads no byte behind its input, and says of every prefix what it says when bytes come one by one.

Over the wire corpus, and every input that fuzzing has found and that is kept in `regressions/`.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterable

import pytest

from tests.fuzz import guarded
from tests.fuzz.results import REGRESSIONS, ROOT
from tests.fuzz.seeds import SEEDS

# Reads one byte too many, as a parser with a fault would.
OVERREAD = """
import ctypes
from tests.fuzz import guarded
page = guarded.Page(10)
ctypes.string_at(page.put(b"0123456789"), 10)
print("alive", flush=True)
ctypes.string_at(page.put(b"0123456789"), 11)
"""


def run(inputs: Iterable[tuple[str, bytes]]) -> subprocess.CompletedProcess[str]:
    asked = json.dumps([(target, given.hex()) for target, given in inputs])
    command = [sys.executable, "-m", "tests.fuzz.guarded"]
    return subprocess.run(
        command, input=asked, cwd=ROOT, capture_output=True, text=True, check=False
    )


def require_nothing(inputs: Iterable[tuple[str, bytes]]) -> None:
    done = run(inputs)
    last = [line for line in done.stderr.splitlines() if line.startswith(tuple(guarded.READERS))]
    assert done.returncode == 0, f"died of {last[-1:]}\n{done.stderr[-2000:]}"
    assert done.stdout.split() == []


@pytest.mark.parametrize("target", guarded.READERS)
def test_no_byte_behind_the_input_is_read(target: str) -> None:
    require_nothing((target, given) for given in SEEDS[target]())


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (target, path.name)
        for target in guarded.READERS
        for path in sorted((REGRESSIONS / target).glob("*"))
    ],
)
def test_what_broke_once_is_read_well(target: str, name: str) -> None:
    require_nothing([(target, (REGRESSIONS / target / name).read_bytes())])


def test_one_byte_too_many_is_noticed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", OVERREAD], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == "alive\n"
    assert done.returncode == -signal.SIGSEGV
