from collections.abc import Callable, Iterable, Mapping
from typing import Any, final

from fastwsgi._exchange import EarlyHints

SHARED_VALUES: tuple[str, ...]
OTHER_NAMES: tuple[str, ...]

@final
class Loan(EarlyHints): ...

@final
class EnvironBuilder:
    def __init__(
        self,
        template: Mapping[str, Any],
        *,
        secure_scheme_headers: Mapping[str, str],
        forwarder_headers: Iterable[str],
        header_map: str,
        client_header: str | None,
        find_client: Callable[[str, list[str]], tuple[str, str | None] | None] | None,
    ) -> None: ...
    def learn(self, name: bytes) -> None: ...
