import threading
from collections.abc import Callable
from typing import Any, final

from fastwsgi._clock import Clock
from fastwsgi._wsgi import Caller

@final
class Seat: ...

@final
class Threads(Caller):
    def __init__(
        self,
        app: Callable[..., Any],
        on_error: Callable[[dict[str, Any], BaseException | str], object],
        *,
        clock: Clock,
        threads: int,
        max_queue: int,
        queue_timeout: float,
        request_timeout: float,
        on_overdue: Callable[[dict[str, Any], threading.Thread, float, int], object],
    ) -> None: ...
    @property
    def at_rest(self) -> bool: ...
    def sit_down(self, seat: Seat, name: str) -> None: ...
    def work(self, seat: Seat) -> None: ...
    def rouse(self) -> None: ...
    def sweep(self) -> None: ...
    def close(self) -> None: ...
