"""`gunicorn.http.message`: a request as hooks and loggers get it."""

from __future__ import annotations

from fastwsgi.observe.faces import Request

__all__ = ["Request"]
