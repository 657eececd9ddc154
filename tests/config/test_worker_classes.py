"""Names of worker classes, from gunicorn's own to those of other projects, and classes themselves."""

import pytest

from fastwsgi.config.worker_classes import NAMES, WORKER_CLASSES, known_worker_class, stand_in
from fastwsgi.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "execution"),
    [
        ("sync", "inline"),
        (" gthread ", "threads"),
        ("gevent", "gevent"),
        ("gevent_wsgi", "gevent"),
        ("gevent_pywsgi", "gevent"),
        ("eventlet", "gevent"),
        ("egg:gunicorn#gthread", "threads"),
        ("gunicorn.workers.sync.SyncWorker", "inline"),
        ("gunicorn.workers.gthread.ThreadWorker", "threads"),
        ("gunicorn.workers.ggevent.GeventWorker", "gevent"),
        ("gunicorn.workers.geventlet.EventletWorker", "gevent"),
        ("meinheld.gmeinheld.MeinheldWorker", "inline"),
        ("egg:meinheld#gunicorn_worker", "inline"),
        ("fastwsgi.gunicorn.Worker", "inline"),
    ],
)
def test_names_that_run_here(name: str, execution: str) -> None:
    assert WORKER_CLASSES[known_worker_class(name)] == execution


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("asgi", "ASGI applications"),
        ("egg:gunicorn#asgi", "ASGI applications"),
        ("gunicorn.workers.gasgi.ASGIWorker", "ASGI applications"),
        ("uvicorn.workers.UvicornWorker", "take uvicorn"),
        ("uvicorn_worker.UvicornH11Worker", "take uvicorn"),
        ("tornado", "Tornado's own loop"),
        ("gunicorn.workers.gtornado.TornadoWorker", "Tornado's own loop"),
        ("my.own.Worker", "there is: sync"),
        ("Sync", "there is: sync"),
        ("", "there is: sync"),
    ],
)
def test_names_that_do_not_say_why_and_what_there_is(name: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        known_worker_class(name)
    message = str(caught.value)
    assert repr(name) in message
    assert why in message
    assert message.endswith(f"there is: {', '.join(NAMES)}")
    assert caught.value.exit_code == 1


class SyncWorker:
    """As a program might have imported it."""


class OwnWorker(SyncWorker):
    """With its own ways, which nobody would follow here."""


@pytest.mark.parametrize("module", ["gunicorn.workers.sync", "fastwsgi.gunicorn.workers.sync"])
def test_a_class_counts_by_its_path(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SyncWorker, "__module__", module)
    assert known_worker_class(SyncWorker) == "gunicorn.workers.sync.SyncWorker"
    assert known_worker_class(lambda: SyncWorker) == "gunicorn.workers.sync.SyncWorker"
    assert known_worker_class(lambda: "gthread") == "gthread"
    with pytest.raises(ConfigError, match="OwnWorker"):
        known_worker_class(OwnWorker)


def test_what_stands_in_for_another_says_so() -> None:
    said = {name: stand_in(name) for name in WORKER_CLASSES}
    assert {name for name, sentence in said.items() if sentence} == {
        "eventlet",
        "egg:gunicorn#eventlet",
        "gunicorn.workers.geventlet.EventletWorker",
        "meinheld.gmeinheld.MeinheldWorker",
        "egg:meinheld#gunicorn_worker",
    }
    assert said["eventlet"] == "there is no eventlet here, and gevent takes its place"
    assert "sync takes its place" in said["egg:meinheld#gunicorn_worker"]
