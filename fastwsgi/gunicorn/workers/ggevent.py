"""`gunicorn.workers.ggevent`."""

from __future__ import annotations

from fastwsgi.process.worker import Worker as GeventWorker

__all__ = ["GeventPyWSGIWorker", "GeventWorker"]

GeventPyWSGIWorker = GeventWorker
