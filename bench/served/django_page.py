"""The Django example, of which the log-in form is asked: middleware, template, CSRF token, no database."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
os.environ.setdefault("DJANGO_DATA_DIR", str(ROOT / "build" / "bench" / "django"))
sys.path.append(str(ROOT / "examples" / "django_site"))

from demo.wsgi import application as app  # noqa: E402 - it reads the environment

__all__ = ["app"]
