from typing import final

@final
class HeadWriter:
    def __init__(self, server: str) -> None: ...
    def serialise(
        self, status: str, headers: list[tuple[str, str]], wall: int
    ) -> tuple[bytes, int, int]: ...
