"""Certificates, and what a TLS handshake must bring."""

from __future__ import annotations

from typing import ClassVar


class Tls:
    """The rows of this section."""

    SECTION: ClassVar = "SSL"
