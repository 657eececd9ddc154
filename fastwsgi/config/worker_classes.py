"""The names of gunicorn's worker classes, and how a worker of each runs the application here.

A class itself is never loaded: the execution models of this server are its own. What has no model
here is refused with what to use instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from fastwsgi.config.checks import string
from fastwsgi.errors import ConfigError

Execution = Literal["inline", "threads", "gevent"]

NAMES: Final[Mapping[str, Execution]] = {
    "sync": "inline",
    "gthread": "threads",
    "gevent": "gevent",
    "gevent_wsgi": "gevent",
    "gevent_pywsgi": "gevent",
    "eventlet": "gevent",
}
WORKER_CLASSES: Final[Mapping[str, Execution]] = {
    **NAMES,
    **{f"egg:gunicorn#{name}": how for name, how in NAMES.items()},
    "gunicorn.workers.sync.SyncWorker": "inline",
    "gunicorn.workers.gthread.ThreadWorker": "threads",
    "gunicorn.workers.ggevent.GeventWorker": "gevent",
    "gunicorn.workers.ggevent.GeventPyWSGIWorker": "gevent",
    "gunicorn.workers.geventlet.EventletWorker": "gevent",
    "fastwsgi.gunicorn.Worker": "inline",
    "meinheld.gmeinheld.MeinheldWorker": "inline",
    "egg:meinheld#gunicorn_worker": "inline",
}

# A word in the name of a class, and the name of what takes its place.
STAND_INS: Final[Mapping[str, str]] = {"eventlet": "gevent", "meinheld": "sync"}

ASGI: Final = "it runs ASGI applications, and this server WSGI ones; take uvicorn for those"

# What the name of a class begins with, and why there is none.
REFUSED: Final[Mapping[str, str]] = {
    "asgi": ASGI,
    "egg:gunicorn#asgi": ASGI,
    "gunicorn.workers.gasgi.": ASGI,
    "uvicorn": ASGI,
    "hypercorn": ASGI,
    "tornado": "it runs Tornado's own loop; a Tornado application serves itself",
    "egg:gunicorn#tornado": "it runs Tornado's own loop; a Tornado application serves itself",
    "gunicorn.workers.gtornado.": "it runs Tornado's own loop; a Tornado application serves itself",
}


def known_worker_class(value: object) -> str:
    """The name of a worker class that there is, or the path of a class of gunicorn's.

    As in gunicorn it may be given as the class, or as a function that returns the class or its
    name. Raises ConfigError for any other.
    """
    if callable(value) and not isinstance(value, type):
        value = value()
    if isinstance(value, type):
        # Where gunicorn is not installed, its modules are those of fastwsgi.gunicorn.
        module = value.__module__.replace("fastwsgi.gunicorn.workers", "gunicorn.workers")
        value = f"{module}.{value.__qualname__}"
    name = string(value)
    if name not in WORKER_CLASSES:
        why = next((why for start, why in REFUSED.items() if name.startswith(start)), "")
        raise ConfigError(
            f"there is no worker class {name!r}{why and ': '}{why}; there is: {', '.join(NAMES)}"
        )
    return name


def stand_in(name: str) -> str:
    """A remark on a class that another takes the place of, or nothing."""
    return next(
        (
            f"there is no {word} here, and {other} takes its place"
            for word, other in STAND_INS.items()
            if word in name.lower()
        ),
        "",
    )
