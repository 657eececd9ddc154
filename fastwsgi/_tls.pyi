from typing import Any, final

@final
class Transport:
    def __init__(self, endpoint: Any, session: Any, incoming: Any, outgoing: Any) -> None: ...
