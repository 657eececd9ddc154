"""The Flask example: a page from a template, with a signed session cookie."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "examples"))

from flask_app import app

__all__ = ["app"]
