"""Metrics by the protocol of statsd: names, types and bytes are those of gunicorn's `Statsd`.

Imported only where `statsd_host` is set. A packet that cannot be sent at once is dropped.
"""

from __future__ import annotations

import contextlib
import logging
import re
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from fastwsgi.observe.access_log import Finished
from fastwsgi.observe.destinations import Peer
from fastwsgi.observe.logger import Logger

if TYPE_CHECKING:
    from datetime import timedelta

METRIC_VAR: Final = "metric"
VALUE_VAR: Final = "value"
MTYPE_VAR: Final = "mtype"
GAUGE_TYPE: Final = "gauge"
COUNTER_TYPE: Final = "counter"
HISTOGRAM_TYPE: Final = "histogram"
TIMER_TYPE: Final = "timer"


class Statsd(Logger):
    """A logger that counts what it logs, and measures requests.

    What is logged with `extra={"metric": NAME, "value": VALUE, "mtype": TYPE}`, the type being
    gauge, counter, histogram or timer, is a metric; without a message it is nothing else.
    """

    sock: socket.socket | None = None

    def setup(self, cfg: Any) -> None:
        """Log, and send, as the settings `cfg` say from now on."""
        super().setup(cfg)
        self._hang_up()
        self.prefix = re.sub(r"^(.+[^.]+)\.*$", r"\g<1>.", cfg.statsd_prefix or "")
        self.dogstatsd_tags: str | None = cfg.dogstatsd_tags
        self._tail = f"|#{self.dogstatsd_tags}" if self.dogstatsd_tags else ""
        self.sock = self._find(cfg.statsd_host)

    def close(self) -> None:
        """Write and send nothing more."""
        super().close()
        self._hang_up()

    def critical(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log, and count."""
        super().critical(msg, *args, **kwargs)
        self.increment("gunicorn.log.critical", 1)

    def error(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log, and count."""
        super().error(msg, *args, **kwargs)
        self.increment("gunicorn.log.error", 1)

    def warning(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log, and count."""
        super().warning(msg, *args, **kwargs)
        self.increment("gunicorn.log.warning", 1)

    def exception(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log, and count."""
        super().exception(msg, *args, **kwargs)
        self.increment("gunicorn.log.exception", 1)

    def info(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.log(logging.INFO, msg, *args, **kwargs)

    def debug(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.log(logging.DEBUG, msg, *args, **kwargs)

    def log(self, lvl: int | str, msg: object, *args: object, **kwargs: Any) -> None:
        """Send the metric that `extra` has, and log the message where there is one."""
        extra = kwargs.get("extra") or {}
        metric, value = extra.get(METRIC_VAR), extra.get(VALUE_VAR)
        send = {
            GAUGE_TYPE: self.gauge,
            COUNTER_TYPE: self.increment,
            HISTOGRAM_TYPE: self.histogram,
            TIMER_TYPE: self.timer,
        }.get(extra.get(MTYPE_VAR, ""))
        if metric and value is not None and send is not None:
            send(metric, value)
        if msg:
            super().log(lvl, msg, *args, **kwargs)

    def access(
        self, resp: Any, req: Any, environ: Mapping[str, Any], request_time: timedelta
    ) -> None:
        """Log a request, and measure it."""
        super().access(resp, req, environ, request_time)
        self._measure(resp.status, request_time.seconds, request_time.microseconds)

    def measured(self, exchange: Finished) -> None:
        """Measure a request whose line is not our business."""
        self._measure(exchange.status, *divmod(round(exchange.duration * 1_000_000), 1_000_000))

    def _measure(self, status: str | None, seconds: int, microseconds: int) -> None:
        if status is None:
            return
        self.timer("gunicorn.request.duration", seconds * 1000 + microseconds / 1000)
        self.increment("gunicorn.requests", 1)
        self.increment(f"gunicorn.request.status.{int(status[:3])}", 1)

    def gauge(self, name: str, value: object) -> None:
        self._send(f"{name}:{value}|g")

    def increment(self, name: str, value: object, sampling_rate: float = 1.0) -> None:
        self._send(f"{name}:{value}|c|@{sampling_rate}")

    def decrement(self, name: str, value: object, sampling_rate: float = 1.0) -> None:
        self._send(f"{name}:-{value}|c|@{sampling_rate}")

    def timer(self, name: str, value: object) -> None:
        """In milliseconds."""
        self._send(f"{name}:{value}|ms")

    def histogram(self, name: str, value: object) -> None:
        self._send(f"{name}:{value}|h")

    def _send(self, metric: str) -> None:
        if self.sock is not None:
            packet = f"{self.prefix}{metric}{self._tail}".encode("ascii", "replace")
            with contextlib.suppress(OSError):
                self.sock.sendto(packet, socket.MSG_DONTWAIT, self._peer)

    def _hang_up(self) -> None:
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def _find(self, host: Peer | None) -> socket.socket | None:
        """A socket for packets to `host`; None, with a warning, where there is no such host, or none is wanted.

        It is not connected: so who listens at a unix socket may come later, and go and come again.
        """
        self._peer: Any = host
        if host is None:
            return None
        if isinstance(host, str):
            return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        family = socket.AF_INET6 if ":" in host[0] else socket.AF_INET
        try:
            self._peer = socket.getaddrinfo(*host, family, socket.SOCK_DGRAM)[0][4]
        except OSError as error:
            Logger.warning(self, "statsd_host %s: %s; no metrics are sent", host[0], error.strerror)
            return None
        return socket.socket(family, socket.SOCK_DGRAM)
