"""The execution models that every scenario runs under: a name and the command line options behind it."""

from typing import Final

MODELS: Final[dict[str, tuple[str, ...]]] = {
    "inline": (),
    "threads": ("--threads", "8"),
    "gevent": ("-k", "gevent"),
}
