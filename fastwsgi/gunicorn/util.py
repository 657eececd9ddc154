"""`gunicorn.util`: what programs use of it."""

from __future__ import annotations

from fastwsgi.config.application import load as import_app

__all__ = ["import_app"]
