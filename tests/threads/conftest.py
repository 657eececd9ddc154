"""A stepped server with threads, over each transport."""

from collections.abc import Iterator
from typing import Any, cast

import pytest

from tests.support.loop import SteppedServer, Transport
from tests.threads.gates import Application, ServerWithClients, Serving


@pytest.fixture(params=["tcp", "unix", "tls"])
def transport(request: pytest.FixtureRequest) -> Transport:
    return cast(Transport, request.param)


@pytest.fixture
def serving(transport: Transport, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Builds a stepped server with threads for an application."""
    servers: list[SteppedServer] = []

    def start(app: Application, threads: int = 2, **settings: Any) -> SteppedServer:
        folder = tmp_path_factory.mktemp("s")
        settings |= {"execution": "threads", "threads": threads}
        servers.append(ServerWithClients(app, folder, transport, **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
