"""What else a client may send; each row loosens what HTTP asks for."""

from __future__ import annotations

from typing import ClassVar


class Leniency:
    """The rows of this section."""

    SECTION: ClassVar = "Leniency"
