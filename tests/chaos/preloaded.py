"""An application that is loaded before the fork, with what suffers from that: threads, locks, random streams.

Any path gives a draw of each source, as JSON.
"""

import json
import logging
import os
import random
import secrets
import ssl
import threading
import uuid
from collections.abc import Callable, Iterable
from typing import Any, Final


class Unbuffered(logging.Handler):
    """Has logging's own lock only. That of a buffered file stays taken in a child: CPython frees it for nobody."""

    def emit(self, record: logging.LogRecord) -> None:
        os.write(SINK, self.format(record).encode())


SINK: Final = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
log: Final = logging.getLogger("tests.chaos.preloaded")
log.addHandler(Unbuffered())
log.setLevel("INFO")
log.propagate = False


def chatter() -> None:
    """Hold the locks of logging, and of the random sources, as often as not."""
    while True:
        log.info("%s", random.random())
        secrets.token_hex()
        ssl.RAND_bytes(8)


random.seed(1)
ssl.create_default_context()
threading.Thread(target=chatter, daemon=True).start()


def draws() -> dict[str, str]:
    """One draw of each source."""
    return {
        "random": str(random.random()),
        "ssl": ssl.RAND_bytes(8).hex(),
        "secrets": secrets.token_hex(8),
        "uuid": str(uuid.uuid4()),
    }


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    log.info("the locks are free")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(draws()).encode()]
