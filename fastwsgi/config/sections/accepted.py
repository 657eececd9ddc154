"""Settings of gunicorn's that are checked and change nothing here."""

from __future__ import annotations

from typing import ClassVar


class Accepted:
    """The rows of this section."""

    SECTION: ClassVar = "Accepted"
