from collections.abc import Callable, Iterator
from typing import Any, Protocol, final

from fastwsgi._exchange import Dispatcher, Exchange

class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...

@final
class StartResponse:
    def call(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]: ...
    def write(self, data: bytes) -> None: ...

@final
class FileWrapper:
    filelike: _Readable
    block_size: int
    def __init__(self, filelike: _Readable, block_size: int = 8192) -> None: ...
    def __iter__(self) -> Iterator[bytes]: ...
    def __next__(self) -> bytes: ...
    def close(self) -> None: ...

class Caller(Dispatcher):
    on_end: Callable[[Exchange, dict[str, Any]], object] | None
    def __init__(
        self,
        app: Callable[..., Any],
        on_error: Callable[[dict[str, Any], BaseException | str], object],
    ) -> None: ...

@final
class Inline(Caller): ...
