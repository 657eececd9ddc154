from collections.abc import Iterable
from typing import Any, final

class Exchange:
    remote_addr: str
    status: str
    headers: list[tuple[str, str]]
    body_bytes: int
    waited: int
    @property
    def environ(self) -> dict[str, Any]: ...
    @property
    def duration(self) -> float: ...

@final
class OpenFile: ...

class EarlyHints:
    def __call__(self, headers: Iterable[tuple[str, str]]) -> None: ...

class Dispatcher: ...
