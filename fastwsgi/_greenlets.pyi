from collections.abc import Callable
from typing import Any, final

from fastwsgi._clock import Clock
from fastwsgi._elsewhere import Elsewhere, Runner
from fastwsgi._exchange import Exchange

@final
class Greenlets(Elsewhere):
    def __init__(
        self,
        app: Callable[..., Any],
        on_error: Callable[[dict[str, Any], BaseException | str], object],
        clock: Clock,
        request_timeout: float,
        on_overdue: Callable[[dict[str, Any], Any, float], object],
        *,
        spawn: Callable[..., Any],
        end: Callable[[Any], object],
    ) -> None: ...
    def start(self, runner: Runner, exchange: Exchange) -> None: ...
