from collections.abc import Mapping
from typing import Any, final

from fastwsgi._exchange import EarlyHints

SHARED_VALUES: tuple[str, ...]
OTHER_NAMES: tuple[str, ...]

@final
class Loan(EarlyHints): ...

@final
class EnvironBuilder:
    def __init__(self, template: Mapping[str, Any]) -> None: ...
    def learn(self, name: bytes) -> None: ...
