"""Parser, environ and writer by themselves: `make bench-micro`. Times, so no part of the test command."""

from __future__ import annotations

import socket
import time
from types import ModuleType

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench import workloads
from fastwsgi._writer import HeadWriter
from fastwsgi.config.settings import Settings
from fastwsgi.wiring import environ_builder

TIMES = 1000  # in each round, so figures are to be divided by it
HEADS = {name: workloads.find(name).requests[0] for name in ("hello", "browser")}
HEADERS = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", "5120")]


@pytest.mark.parametrize("name", HEADS)
def test_parser(name: str, loops: ModuleType, benchmark: BenchmarkFixture) -> None:
    benchmark(loops.parse, HEADS[name], TIMES)


@pytest.mark.parametrize("name", HEADS)
def test_environ(name: str, loops: ModuleType, benchmark: BenchmarkFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        builder = environ_builder(listener, Settings([]))
    benchmark(loops.lend, builder, HEADS[name], TIMES)


def test_writer(benchmark: BenchmarkFixture) -> None:
    writer, now = HeadWriter("fastwsgi"), int(time.time())

    def serialise() -> None:
        for _ in range(TIMES):
            writer.serialise("200 OK", HEADERS, now)

    benchmark(serialise)
