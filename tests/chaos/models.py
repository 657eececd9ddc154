"""The execution models that every scenario runs under: a name and the command line options behind it."""

from typing import Final

# A model is switched on by its line here. Threads and gevent go below:
#     "threads": ("--threads", "8"),
#     "gevent": ("-k", "gevent"),
MODELS: Final[dict[str, tuple[str, ...]]] = {
    "inline": (),
}
