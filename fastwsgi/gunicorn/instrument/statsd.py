"""`gunicorn.instrument.statsd`: the logger that measures as well."""

from __future__ import annotations

from fastwsgi.observe.statsd import Statsd

__all__ = ["Statsd"]
