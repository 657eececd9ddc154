"""What a request costs in user-space instructions, counted by callgrind: it may not creep up.

The budget is bench/budget.json; `python -m bench instructions --record` renews it.
"""

from __future__ import annotations

import os
import shutil
import sys

import pytest

from bench import budget, callgrind, servers, workloads
from bench.programs import default_programs

REQUESTS = 300

pytestmark = [
    pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed"),
    pytest.mark.skipif(
        "libasan" in os.environ.get("LD_PRELOAD", ""), reason="no valgrind over ASan"
    ),
    pytest.mark.skipif(hasattr(sys, "gettotalrefcount"), reason="a debug build of CPython"),
]


@pytest.fixture(scope="module")
def counted() -> dict[str, float]:
    """Instructions per request by workload."""
    chosen = [workloads.find(name) for name in budget.PROMISED]
    found = callgrind.count(
        servers.find("fastwsgi"), default_programs(), chosen, requests=REQUESTS, functions=0
    )
    return {figure.workload: figure.instructions for figure in found}


@pytest.mark.parametrize("workload", budget.PROMISED)
def test_a_request_stays_within_its_budget(workload: str, counted: dict[str, float]) -> None:
    limit = budget.limits(budget.this_build())[workload]
    assert not (complaint := limit.complaint(workload, counted[workload])), complaint


def test_the_count_is_that_of_requests(counted: dict[str, float]) -> None:
    """A server that is not under valgrind, or marks that are missed, would count nothing."""
    assert 1_000 < counted["hello"] < counted["browser"]
