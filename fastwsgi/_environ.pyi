from collections.abc import Mapping
from typing import Any

class EnvironBuilder:
    def __init__(self, template: Mapping[str, Any]) -> None: ...
