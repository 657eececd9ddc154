"""`gunicorn.workers.gthread`."""

from __future__ import annotations

from fastwsgi.process.worker import Worker as ThreadWorker

__all__ = ["ThreadWorker"]
