"""New certificates: on HUP and by themselves, under connections that notice nothing of it."""

import os
import signal
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.support.certificates import Pair, authority, replace
from tests.support.server import ServerProcess
from tests.support.visitor import Visitor
from tests.tls.conftest import LOCAL, connection, get, presented

READ_ANEW = "certificates have changed and were read anew"
KEPT = "certificates have changed, going on with those before: "


def renew(site: Path, name: str) -> Pair:
    return authority().issue(site, "localhost", common=name)


def visitors(server: ServerProcess) -> list[Visitor]:
    return [Visitor(server, lambda: connection(server)) for _ in range(4)]


def leave(guests: list[Visitor]) -> None:
    for guest in guests:
        guest.wait_for(b"hello")
        guest.leave()
    assert [guest.failures for guest in guests] == [[]] * len(guests)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_hup_reads_the_certificate_anew(
    serve: Serve, site: Path, pair: Pair, workers: str
) -> None:
    server = serve(*LOCAL, *pair.options, "-w", workers, cwd=site)
    server.wait_for(f"Ready: {workers} workers")
    assert presented(server) == "first"
    guests = visitors(server)
    renew(site, "second")
    server.signal(signal.SIGHUP)
    server.wait_for("Worker exiting", count=int(workers))  # which still took what was queued
    assert presented(server) == "second"
    leave(guests)


def test_a_changed_file_is_read_by_itself_and_no_connection_notices(
    serve: Serve, site: Path, pair: Pair
) -> None:
    server = serve(*LOCAL, *pair.options, "--keep-alive", "60", cwd=site)
    kept = connection(server)
    kept.request("GET", "/")
    assert kept.getresponse().read() == b"hello"
    sock = kept.sock
    guests = visitors(server)
    for round_number, name in enumerate(("second", "third"), 1):
        renew(site, name)
        server.wait_for(READ_ANEW, count=round_number)
        assert presented(server) == name
    kept.request("GET", "/")
    assert kept.getresponse().read() == b"hello"
    assert kept.sock is sock
    kept.close()
    leave(guests)
    assert server.log.count(r"\[(WARNING|ERROR|CRITICAL)\]") == 0, server.log.text()


def test_a_link_that_points_elsewhere_is_a_change(serve: Serve, site: Path) -> None:
    """As Kubernetes renews what it mounts."""
    for name in ("first", "second"):
        (site / name).mkdir()
        renew(site / name, name)
    (site / "now").symlink_to("first")
    options = ("--certfile", site / "now/server.crt", "--keyfile", site / "now/server.key")
    server = serve(*LOCAL, *options, cwd=site)
    assert presented(server) == "first"
    (site / "next").symlink_to("second")
    os.replace(site / "next", site / "now")
    server.wait_for(READ_ANEW)
    assert presented(server) == "second"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("rubbish", "there is no certificate in"),
        ("no key", "cannot read .*server.key.: No such file"),
        ("another's key", "is not the one of the certificate"),
    ],
)
def test_a_broken_one_changes_nothing_but_the_log(
    serve: Serve, site: Path, pair: Pair, fault: str, said: str
) -> None:
    server = serve(*LOCAL, *pair.options, cwd=site)
    guests = visitors(server)
    if fault == "rubbish":
        replace(pair.certfile, b"rubbish")
    elif fault == "no key":
        os.unlink(pair.keyfile)
    else:
        (site / "other").mkdir()
        other = renew(site / "other", "other")
        replace(pair.keyfile, Path(other.keyfile).read_bytes())
    server.wait_for(KEPT + f".*file: .*{said}")
    assert presented(server) == "first"
    server.signal(signal.SIGHUP)
    server.wait_for(f"Not reloaded, going on as before: .*file: .*{said}")
    assert presented(server) == "first"
    renew(site, "second")
    server.wait_for(READ_ANEW)
    assert presented(server) == "second"
    assert server.log.count(KEPT) == 1
    leave(guests)


def test_a_worker_that_is_forked_later_begins_with_what_is_there_then(
    serve: Serve, site: Path, pair: Pair
) -> None:
    server = serve(*LOCAL, *pair.options, cwd=site)
    renew(site, "second")
    server.wait_for(READ_ANEW)
    os.kill(int(get(server, "/pid")), signal.SIGKILL)
    server.wait_for(READ_ANEW, count=2)
    assert presented(server) == "second"


def test_a_reload_may_begin_or_end_tls(serve: Serve, site: Path, pair: Pair) -> None:
    config = site / "gunicorn.conf.py"
    tls = f"certfile, keyfile = {pair.certfile!r}, {pair.keyfile!r}\n"
    config.write_text("")
    server = serve(*LOCAL, cwd=site)
    assert server.url.startswith("http://")
    assert server.get("/") == (200, b"hello")
    config.write_text(tls)
    server.signal(signal.SIGHUP)
    server.wait_for(r"Listening at: https://127.0.0.1")
    server.wait_for("Worker exiting")  # until then the one before may accept
    assert get(server) == b"hello"
    config.write_text("")
    server.signal(signal.SIGHUP)
    server.wait_for(r"Listening at: http://127.0.0.1", count=2)
    server.wait_for("Worker exiting", count=2)
    assert server.get("/") == (200, b"hello")
