"""`gunicorn.app.wsgiapp`."""

from __future__ import annotations

from fastwsgi.app.wsgiapp import WSGIApplication, run

__all__ = ["WSGIApplication", "run"]
