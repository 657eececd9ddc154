"""What makes a value of a setting of what a source gave.

A check takes what any source gives (a string from a command line or the environment, a Python
object from a file or a program) and returns the final typed value. It raises ValueError with a
phrase that continues "the setting NAME ...", or ConfigError with a sentence of its own. It has no
effects.
"""

from __future__ import annotations

import grp
import math
import os
import pwd
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

from fastwsgi.errors import ConfigError
from fastwsgi.net.listener import parse_address
from fastwsgi.observe.access_log import compile_format

MOST_REQUEST_FIELDS: Final = 32768
LARGEST_ID: Final = 2**32 - 2  # of a user or a group; the next one means "unchanged" to the kernel
LOG_LEVELS: Final = ("debug", "info", "warning", "error", "critical")

Execution = Literal["inline", "threads", "gevent"]

# gunicorn's name of a worker class, and how a worker of it runs the application.
WORKER_CLASSES: Final[Mapping[str, Execution]] = {
    "sync": "inline",
    "gthread": "threads",
    "gevent": "gevent",
    "gevent_wsgi": "gevent",
    "gevent_pywsgi": "gevent",
    "eventlet": "gevent",
}
YES: Final = frozenset({"1", "true", "yes", "on", "y"})
NO: Final = frozenset({"0", "false", "no", "off", "n", ""})


def integer(value: object) -> int:
    """A number of something: 0 or more."""
    if isinstance(value, str):
        text = value.strip()
        if not (text.isascii() and text.removeprefix("-").isdecimal()):
            raise ValueError(f"takes a whole number, not {value!r}")
        value = int(text)
    if not isinstance(value, int):
        raise ValueError(f"takes a whole number, not {value!r}")
    if value < 0:
        raise ValueError(f"takes 0 or more, not {value}")
    return int(value)


def positive(value: object) -> int:
    """A number of something of which there must be one."""
    number = integer(value)
    if number == 0:
        raise ValueError("takes 1 or more, and came to 0; look at how the number is computed")
    return number


def seconds(value: object) -> float:
    """A time: 0 or more, with a fraction where one is given."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise ValueError(f"takes a number of seconds, not {value!r}") from None
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"takes a number of seconds, not {value!r}")
    if value < 0:
        raise ValueError(f"takes 0 or more, not {value}")
    return int(value) if value == int(value) else value


def request_fields(value: object) -> int:
    """Gunicorn's bound on the bound: 0 and what is above mean the most there can be."""
    return min(integer(value) or MOST_REQUEST_FIELDS, MOST_REQUEST_FIELDS)


def flag(value: object) -> bool:
    """Yes or no, in the words that environments use for them."""
    if isinstance(value, str):
        word = value.strip().lower()
        if word not in YES | NO:
            raise ValueError(f"takes true or false, not {value!r}")
        return word in YES
    if not isinstance(value, (bool, int)):
        raise ValueError(f"takes True or False, not {value!r}")
    return bool(value)


def string(value: object) -> str:
    """Text, without the space around it."""
    if not isinstance(value, str):
        raise ValueError(f"takes a string, not {value!r}")
    return value.strip()


def optional_string(value: object) -> str | None:
    """Text, or None."""
    return None if value is None else string(value)


def strings(value: object) -> tuple[str, ...]:
    """A list, or one string with commas between its parts."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if not isinstance(value, Iterable):
        raise ValueError(f"takes a list of strings, not {value!r}")
    return tuple(string(part) for part in value)


def addresses(value: object) -> tuple[str, ...]:
    """Addresses to listen on, each of a form that `parse_address` knows."""
    found = strings(value)
    if not found:
        raise ValueError("takes one address or more, as in '127.0.0.1:8000'")
    for address in found:
        parse_address(address)
    return found


def assignments(value: object) -> tuple[str, ...]:
    """Variables of an environment."""
    found = strings(value)
    for pair in found:
        if not pair.partition("=")[0] or "=" not in pair or "\0" in pair:
            raise ValueError(f"takes NAME=VALUE, not {pair!r}")
    return found


def known_worker_class(value: object) -> str:
    """The name of an execution model that is there. Raises ConfigError for any other."""
    name = string(value)
    if name not in WORKER_CLASSES:
        raise ConfigError(
            f"there is no worker class {name!r}; there is: {', '.join(WORKER_CLASSES)}"
        )
    return name


def optional_path(value: object) -> str | None:
    """A path that a request may name (RFC 3986, 3.3), or None."""
    if value is None:
        return None
    path = string(value)
    if not re.fullmatch(r"/[!-\"$->@-~]*", path):
        raise ValueError(f"takes a path such as '/healthz', not {path!r}")
    return path


def log_level(value: object) -> str:
    """A level of logging, in small letters and by its full name."""
    level = string(value).lower()
    level = {"warn": "warning", "fatal": "critical"}.get(level, level)
    if level not in LOG_LEVELS:
        raise ValueError(f"takes one of {', '.join(LOG_LEVELS)}, not {value!r}")
    return level


def log_format(value: object) -> str:
    """Compiled to be checked; leading and trailing space belongs to it."""
    if not isinstance(value, str):
        raise ValueError(f"takes a string, not {value!r}")
    compile_format(value)
    return value


def present_folder() -> str:
    """The folder the process is in, by the name the shell has for it.

    Where that is a symbolic link, a deployment may point it elsewhere, and a reload then follows.
    Raises ConfigError where the folder is gone.
    """
    name = os.environ.get("PWD", "")
    try:
        return name if os.path.isabs(name) and os.path.samefile(name, ".") else os.getcwd()
    except OSError:
        pass
    try:
        return os.getcwd()
    except OSError:
        raise ConfigError("the folder to start in is gone; change to one that is there") from None


def folder(value: object) -> str:
    """The path of a folder that is there."""
    path = string(value)
    if not os.path.isdir(path):
        raise ValueError(f"takes a folder, and {path!r} is none")
    return path


def absolute_folder(value: object) -> str:
    """What is relative is so to the folder the server was started in."""
    return os.path.abspath(folder(value))


def optional_folder(value: object) -> str | None:
    """The absolute path of a folder that is there, or None."""
    return None if value is None else absolute_folder(value)


def field_value(value: object) -> str:
    """Text that can stand in a header field (RFC 9110, 5.5), or nothing."""
    text = string(value)
    if not (text.isascii() and text.isprintable()):
        raise ValueError(f"takes printable ASCII text, not {text!r}")
    return text


def mode_mask(value: object) -> int:
    """A mask of permissions; what begins with 0 is octal, as in a shell."""
    if isinstance(value, str):
        text = value.strip()
        try:
            value = int(re.sub("^0(?=[0-9])", "0o", text), 0)
        except ValueError:
            raise ValueError(f"takes a mask such as 022, not {text!r}") from None
    return integer(value)


def user_id(value: object) -> int:
    """The id of a user named or numbered; None is who runs the server. ConfigError if unknown."""
    try:
        return (
            os.geteuid()
            if value is None
            else numbered(value, lambda name: pwd.getpwnam(name).pw_uid)
        )
    except KeyError:
        raise ConfigError(f"there is no user {value!r} on this system") from None


def group_id(value: object) -> int:
    """The id of a group named or numbered; None is the server's. ConfigError if unknown."""
    try:
        return (
            os.getegid()
            if value is None
            else numbered(value, lambda name: grp.getgrnam(name).gr_gid)
        )
    except KeyError:
        raise ConfigError(f"there is no group {value!r} on this system") from None


def numbered(value: object, look_up: Callable[[str], int]) -> int:
    """A number as it is; a name by `look_up`, which raises KeyError."""
    if isinstance(value, str) and not value.strip().isdecimal():
        return look_up(value.strip())
    number = integer(value)
    if number > LARGEST_ID:
        raise ValueError(f"takes a name or a number up to {LARGEST_ID}, not {number}")
    return number
