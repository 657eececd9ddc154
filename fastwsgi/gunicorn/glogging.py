"""`gunicorn.glogging`: the logger, which configuration files subclass, and what logging begins with."""

from __future__ import annotations

from fastwsgi.observe.logger import CONFIG_DEFAULTS, SYSLOG_FACILITIES, Logger, SafeAtoms

__all__ = ["CONFIG_DEFAULTS", "SYSLOG_FACILITIES", "Logger", "SafeAtoms"]
