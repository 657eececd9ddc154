"""`gunicorn.app.base`."""

from __future__ import annotations

from fastwsgi.app.base import Application, BaseApplication

__all__ = ["Application", "BaseApplication"]
