"""Workers that are replaced because they are too large or too old."""

import signal
from pathlib import Path

import pytest

from fastwsgi.config.settings import Settings
from fastwsgi.errors import ConfigError, UsageError
from fastwsgi.process import wear
from fastwsgi.process.wear import Wear
from tests.conftest import Serve
from tests.support.server import ServerProcess

LOCAL = ("-b", "127.0.0.1:0")

APP = """
import os

eaten = []

def app(environ, start_response):
    if environ["PATH_INFO"] == "/eat":
        eaten.append(b"x" * (200 << 20))
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def replaced(server: ServerProcess, why: str) -> None:
    """The first worker says why it goes, its successor is there before it does."""
    server.wait_for("Ready")
    server.wait_for(rf"\[INFO\] Worker \(pid: {server.worker(0)}\) is to be replaced: {why}$")
    server.wait_for(rf"Worker exiting \(pid: {server.worker(0)}\)")
    assert len(server.workers) >= 2
    booted = server.log.text().index(f"Booting worker with pid: {server.worker(1)}")
    assert booted < server.log.text().index(f"Worker exiting (pid: {server.worker(0)})")


@pytest.mark.parametrize("model", [(), ("--threads", "2")])
def test_a_worker_that_grew_is_replaced(model: tuple[str, ...], serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "--max-rss", "150M", *model, cwd=site)
    first = server.get("/")[1]
    assert server.get("/eat") == (200, first)
    replaced(server, r"it has 2\d\d MiB of memory \(max_rss\)")
    assert server.get("/")[1] == str(server.worker(1)).encode()
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert len(server.workers) == 2


def test_a_worker_that_is_old_is_replaced(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "--max-lifetime", "0.5", cwd=site)
    replaced(server, r"it is \d seconds old \(max_lifetime\)")
    assert server.get("/")[0] == 200


def test_a_bound_that_no_worker_can_keep_is_warned_of(serve: Serve, site: Path) -> None:
    server = serve("app:app", *LOCAL, "--max-rss", "1M", "--max-lifetime", "0.5", cwd=site)
    server.wait_for(r"\[WARNING\] max_rss does nothing: a worker that is ready has \d+ MiB")
    replaced(server, r"it is \d seconds old \(max_lifetime\)")


def test_the_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    now, used = 1000.0, 100 << 20
    monkeypatch.setattr(wear.time, "monotonic", lambda: now)
    monkeypatch.setattr(wear, "resident", lambda: used)
    found = Wear(Settings([("file", {"max_rss": "200M", "max_lifetime": 50})]))
    assert found.why() == ""
    used = 201 << 20
    assert found.why() == "it has 201 MiB of memory (max_rss)"
    now = 1049.0
    used = 1
    assert found.why() == ""
    now = 1055.1  # a tenth more at most
    assert found.why() == "it is 55 seconds old (max_lifetime)"


def test_a_worker_is_not_replaced_for_what_it_had_from_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wear, "resident", lambda: 300 << 20)
    assert Wear(Settings([("file", {"max_rss": "200M"})])).why() == ""


def test_lifetimes_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(wear.time, "monotonic", lambda: now)
    settings = Settings([("file", {"max_lifetime": 1000})])
    workers = [Wear(settings) for _ in range(50)]
    now = 1050.0
    assert {bool(worker.why()) for worker in workers} == {True, False}


@pytest.mark.parametrize(
    ("given", "bytes_"),
    [("0", 0), (5, 5), ("300", 300), ("512M", 512 << 20), (" 1g ", 1 << 30), ("10k", 10240)],
)
def test_sizes_have_suffixes(given: object, bytes_: int) -> None:
    assert Settings([("file", {"max_rss": given})]).max_rss == bytes_


@pytest.mark.parametrize("given", ["M", "1T", "1.5G", "-1M", -1, None, "much"])
def test_what_is_no_size_is_refused(given: object) -> None:
    with pytest.raises(ConfigError, match=r"the setting max_rss takes .* \(file\)$"):
        Settings([("file", {"max_rss": given})])
    if isinstance(given, str):
        with pytest.raises(
            UsageError, match=r"^--max-rss takes a number of bytes, as in 512M, not"
        ):
            Settings([("command line", {"max_rss": given})])
