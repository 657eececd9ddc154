"""`gunicorn.config`: settings in the making."""

from __future__ import annotations

from fastwsgi.app.config import Config

__all__ = ["Config"]
