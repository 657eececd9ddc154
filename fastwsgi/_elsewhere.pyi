from collections.abc import Callable
from typing import Any

from fastwsgi._clock import Clock
from fastwsgi._epoll import Poller
from fastwsgi._wsgi import Caller

class Runner: ...

class Elsewhere(Caller):
    def __init__(
        self,
        app: Callable[..., Any],
        on_error: Callable[[dict[str, Any], BaseException | str], object],
        clock: Clock,
        request_timeout: float,
        on_overdue: Callable[[dict[str, Any], Any, float], object],
    ) -> None: ...
    def rouse(self, poller: Poller) -> None: ...
    @property
    def at_rest(self) -> bool: ...
    def sweep(self) -> None: ...
    def close(self) -> None: ...
