"""`gunicorn.workers.sync`."""

from __future__ import annotations

from fastwsgi.process.worker import Worker as SyncWorker

__all__ = ["SyncWorker"]
