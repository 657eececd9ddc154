from collections.abc import Callable, Iterable
from logging import Logger, StreamHandler
from typing import Any, Final, final

KINDS: Final[tuple[str, ...]]

@final
class Line:
    def __new__(cls, pieces: Iterable[tuple[str, object]], *, json: bool = False) -> Line: ...
    def __call__(self, exchange: Any) -> str: ...

def escape(text: str) -> str: ...

@final
class LineLog:
    def __init__(
        self,
        line: Line,
        logger: Logger,
        handler: StreamHandler[Any],
        otherwise: Callable[[Any], object],
    ) -> None: ...
    def __call__(self, exchange: Any) -> None: ...
