"""`gunicorn.workers.base`."""

from __future__ import annotations

from fastwsgi.process.worker import Worker

__all__ = ["Worker"]
