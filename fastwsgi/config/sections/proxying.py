"""Whom in front of the server to believe, and what."""

from __future__ import annotations

from typing import ClassVar


class Proxying:
    """The rows of this section."""

    SECTION: ClassVar = "Proxying"
