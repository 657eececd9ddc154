"""`gunicorn.arbiter`: the master."""

from __future__ import annotations

from fastwsgi.process.arbiter import Arbiter

__all__ = ["Arbiter"]
