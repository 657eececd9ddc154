"""The execution models that every scenario runs under: a name and the command line options behind it."""

from typing import Final

# A model is switched on by its line here; "gevent": ("-k", "gevent") goes last.
MODELS: Final[dict[str, tuple[str, ...]]] = {
    "inline": (),
    "threads": ("--threads", "8"),
}
