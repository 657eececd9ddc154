from collections.abc import Callable
from typing import Any, final

from fastwsgi._environ import EnvironBuilder
from fastwsgi._http1 import Connection, Http1

@final
class Entrance:
    def __init__(
        self,
        http: Http1,
        environs: EnvironBuilder,
        endpoint: Any,
        most: int,
        on_full: Callable[[], object],
    ) -> None: ...
    def admit(self, fd: int, address: Any, extra: dict[str, Any] | None = None) -> Connection: ...
    def greet(self) -> None: ...
    def connect(self, fd: int, address: Any, extra: dict[str, Any] | None = None) -> Connection: ...
    def refuse(self, fd: int, address: Any, verdict: int) -> None: ...
