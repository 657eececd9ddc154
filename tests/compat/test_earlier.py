"""`fastwsgi.server`, as programs of the earlier project of this name use it."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastwsgi
from fastwsgi.earlier import Server, server
from fastwsgi.errors import ConfigError

from .conftest import Program


@pytest.fixture(autouse=True)
def unset() -> Iterator[None]:
    yield
    vars(server).clear()


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({}, {}),
        ({"host": "::1", "port": 1}, {"host": "::1", "port": 1}),
        ({"backlog": 4096, "num_workers": 2}, {"backlog": 4096, "workers": 2}),
        ({"max_content_length": 5, "loglevel": 6}, {"limit_request_body": 5, "loglevel": 6}),
        ({"max_content_length": None, "allow_keepalive": 0}, {"keepalive": 0}),
        ({"add_header_server": "x", "app": print}, {"server_header": "x"}),
    ],
)
def test_attributes_are_words(attributes: dict[str, object], words: dict[str, object]) -> None:
    for name, value in attributes.items():
        setattr(fastwsgi.server, name, value)
    assert server.words() == words
    assert server.warnings() == []


def test_what_changes_nothing_is_said() -> None:
    fastwsgi.server.tcp_nodelay = 1
    assert server.words() == {}
    assert server.warnings() == ["fastwsgi.server.tcp_nodelay changes nothing here"]


def test_a_loop_of_the_programs_own_is_refused() -> None:
    fastwsgi.server.nowait = 1
    with pytest.raises(ConfigError, match="nowait: the server has a loop of its own"):
        fastwsgi.run(print)


def test_they_have_their_earlier_values_until_they_are_set() -> None:
    assert (Server().host, Server().port, Server().hook_sigint) == ("0.0.0.0", 5000, 2)
    assert not hasattr(fastwsgi, "servers")


def test_run_takes_them_and_its_own_words_go_above(program: Program, site: Path) -> None:
    source = (
        "import fastwsgi\nfrom app import app\nfastwsgi.server.num_workers = 3\n"
        "fastwsgi.server.port = 1\nfastwsgi.server.tcp_nodelay = 1\n"
        "fastwsgi.run(app, '127.0.0.1', 0)\nprint('beyond run')\n"
    )
    with program(source) as served:
        served.wait_for("fastwsgi.server.tcp_nodelay changes nothing here")
        served.wait_for("Ready: 3 workers")
        assert served.get("/") == (200, b"hello")
        served.signal(signal.SIGTERM)
        assert served.wait() == 0
        assert served.out.lines == ["beyond run"]


def test_the_object_serves_by_itself(program: Program) -> None:
    source = (
        "from fastwsgi import server\nfrom app import app\n"
        "assert server.init(app, '127.0.0.1', 0, loglevel=6, workers=1) == 0\n"
        "server.set_allow_keepalive(0)\nassert server.run() == 0\nassert server.close() == 0\n"
    )
    with program(source) as served:
        assert served.get("/") == (200, b"hello")
        served.signal(signal.SIGTERM)
        assert served.wait() == 0
