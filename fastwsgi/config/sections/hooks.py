"""Functions of a configuration file that are called when something happens."""

from __future__ import annotations

from typing import ClassVar


class Hooks:
    """The rows of this section."""

    SECTION: ClassVar = "Server hooks"
