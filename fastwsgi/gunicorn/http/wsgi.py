"""`gunicorn.http.wsgi`: a response as hooks and loggers get it."""

from __future__ import annotations

from fastwsgi.observe.faces import Response

__all__ = ["Response"]
