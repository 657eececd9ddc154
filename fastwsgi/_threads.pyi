from collections.abc import Callable
from typing import Any, final

from fastwsgi._clock import Clock
from fastwsgi._elsewhere import Elsewhere, Runner

@final
class Seat(Runner): ...

@final
class Threads(Elsewhere):
    def __init__(
        self,
        app: Callable[..., Any],
        on_error: Callable[[dict[str, Any], BaseException | str], object],
        clock: Clock,
        request_timeout: float,
        on_overdue: Callable[[dict[str, Any], Any, float], object],
        *,
        threads: int,
        max_queue: int,
        queue_timeout: float,
        on_stuck: Callable[[int], object],
    ) -> None: ...
    def sit_down(self, seat: Seat, name: str) -> None: ...
    def work(self, seat: Seat) -> None: ...
