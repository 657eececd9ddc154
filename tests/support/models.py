"""The execution models: what runs everywhere runs under each of them. A new one is a line here."""

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Model:
    """How a worker runs the application: as settings of a server in the test, as options of a process."""

    name: str
    settings: dict[str, Any]
    options: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


INLINE: Final = Model("inline", {}, ())
THREADS: Final = Model("threads", {"execution": "threads", "threads": 4}, ("--threads", "4"))
GEVENT: Final = Model("gevent", {"execution": "gevent"}, ("-k", "gevent"))

MODELS: Final = (INLINE, THREADS, GEVENT)
ELSEWHERE: Final = tuple(model for model in MODELS if model is not INLINE)
