"""`gunicorn.app.pasterapp`."""

from __future__ import annotations

from fastwsgi.app.pasterapp import serve

__all__ = ["serve"]
