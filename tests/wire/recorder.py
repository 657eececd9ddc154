"""The application under every wire test: it notes each call and hands it to the fixture application of the case."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

CALL = "tests.call"


@dataclass
class Call:
    """One call of the application. `body` is what it read; `closed` counts calls of the iterable's close()."""

    environ: Environ
    body: bytes = b""
    closed: int = 0
    error: BaseException | None = None


class Recorder:
    """Notes calls; `target` answers them."""

    def __init__(self, target: Application) -> None:
        self.target = target
        self.calls: list[Call] = []

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        call = Call(dict(environ))
        self.calls.append(call)
        environ[CALL] = call
        return self.target(environ, start_response)
