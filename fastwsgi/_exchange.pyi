from typing import Any

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

class Dispatcher: ...
