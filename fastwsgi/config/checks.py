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
from typing import Final

from fastwsgi.config.cpus import usable_cpus
from fastwsgi.errors import ConfigError
from fastwsgi.net.listener import parse_address
from fastwsgi.observe.access_log import compile_format
from fastwsgi.observe.destinations import (
    FACILITIES,
    Peer,
    parse_statsd_address,
    parse_syslog_address,
)

MOST_REQUEST_FIELDS: Final = 32768
LARGEST_ID: Final = 2**32 - 2  # of a user or a group; the next one means "unchanged" to the kernel
LOG_LEVELS: Final = ("debug", "info", "warning", "error", "critical")

YES: Final = frozenset({"1", "true", "yes", "on", "y"})
NO: Final = frozenset({"0", "false", "no", "off", "n", ""})


class MalformedError(ValueError):
    """What is no number at all: on a command line a mistake in the words, as argparse sees it."""


def integer(value: object) -> int:
    """A number of something: 0 or more."""
    if isinstance(value, str):
        value = parse_number(value)
    if not isinstance(value, int):
        raise MalformedError(f"takes a whole number, not {value!r}")
    if value < 0:
        raise ValueError(f"takes 0 or more, not {value}")
    return int(value)


def parse_number(text: str) -> object:
    """A number as in gunicorn's configuration files: 12, 0x0c or 0b1100; other text as it is."""
    for base in (10, 0):
        try:
            return int(text, base) if text.isascii() else text
        except ValueError:
            pass
    return text


def between(least: int, most: int | None = None) -> Callable[[object], int]:
    """Make a check of a number that has bounds."""

    def check(value: object) -> int:
        number = integer(value)
        if number < least or (most is not None and number > most):
            bounds = f"{least} or more" if most is None else f"{least} to {most}"
            raise ValueError(f"takes {bounds}, not {number}")
        return number

    return check


def permissions(value: object) -> int:
    """Bits such as 0o600; in text a leading 0 makes a number octal, as in gunicorn and in shells."""
    if isinstance(value, str) and re.fullmatch(r"\s*0\d+\s*", value):
        try:
            return int(value, 8)
        except ValueError:
            raise MalformedError(f"takes an octal number such as 022, not {value!r}") from None
    return integer(value)


def size(value: object) -> int:
    """A number of bytes; K, M and G stand for powers of 1024."""
    if isinstance(value, str):
        found = re.fullmatch(r"([0-9]+)([KMG]?)", value.strip().upper())
        if found is None:
            raise MalformedError(f"takes a number of bytes, as in 512M, not {value!r}")
        return int(found[1]) << (10 * " KMG".index(found[2] or " "))
    return integer(value)


def positive(value: object) -> int:
    """A number of something of which there must be one."""
    number = integer(value)
    if number == 0:
        raise ValueError("takes 1 or more, and came to 0; look at how the number is computed")
    return number


def process_count(value: object) -> int:
    """A number of processes, of which there must be one; auto is one for each CPU."""
    if isinstance(value, str) and value.strip().lower() == "auto":
        return usable_cpus()
    number = integer(value)
    if number == 0:
        raise ValueError(
            "takes 1 or more, and came to 0: where it is computed, as by $(( ... )) in a shell, a part"
            " of that is 0 or not set; auto is one for each CPU"
        )
    return number


def thread_count(value: object) -> int:
    """A number of threads; 0 means 1, as for gunicorn's sync workers."""
    return integer(value) or 1


def seconds(value: object) -> float:
    """A time: 0 or more, with a fraction where one is given."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise MalformedError(f"takes a number of seconds, not {value!r}") from None
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        raise MalformedError(f"takes a number of seconds, not {value!r}")
    if value < 0:
        raise ValueError(f"takes 0 or more, not {value}")
    return int(value) if value == int(value) else value


def request_fields(value: object) -> int:
    """Gunicorn's bound on the bound: 0 and what is above mean the most there can be."""
    return min(integer(value) or MOST_REQUEST_FIELDS, MOST_REQUEST_FIELDS)


def flag(value: object) -> bool:
    """Yes or no, in the words that environments use for them; None is no."""
    if value is None:
        return False
    if isinstance(value, str):
        word = value.strip().lower()
        if word not in YES | NO:
            raise ValueError(f"takes true or false, not {value!r}")
        return word in YES
    if not isinstance(value, (bool, int)):
        raise ValueError(f"takes True or False, not {value!r}")
    return bool(value)


def flag_or_yes(value: object) -> bool:
    """Yes or no, where None is yes."""
    return value is None or flag(value)


def one_of(*words: str, yes: str | None = None) -> Callable[[object], str]:
    """Make a check of a choice: small letters do not matter, None is the first of `words`.

    True and False are `yes` and the first where `yes` is given.
    """

    def check(value: object) -> str:
        if value is None or (yes and value is False):
            return words[0]
        word = yes if yes and value is True else value
        if not isinstance(word, str) or word.strip().lower() not in words:
            raise ValueError(f"takes one of {', '.join(words)}, not {value!r}")
        return word.strip().lower()

    return check


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


def further_addresses(value: object) -> tuple[str, ...]:
    """Addresses to listen on, each once; there may be none."""
    return tuple(dict.fromkeys(addresses(value))) if value else ()


def listed(value: object) -> tuple[str, ...]:
    """A list, or one string for a list of one, in which a comma belongs to what it says."""
    if not value:
        return ()
    return (string(value),) if isinstance(value, str) else strings(value)


def paths_or_patterns(value: object) -> tuple[str, ...]:
    """Files that are there, and patterns for glob, which need not match anything yet."""
    found = tuple(os.path.abspath(entry) for entry in listed(value))
    for path in found:
        if not is_pattern(path) and not os.path.exists(path):
            raise ValueError(f"takes files that are there and patterns, and there is no {path!r}")
    return found


def is_pattern(path: str) -> bool:
    """Whether glob expands it."""
    return any(sign in path for sign in "*?[")


def certificates(value: object) -> tuple[str, ...]:
    """Certificates by the name of a host, each as HOST=CERT,KEY, or HOST=CERT with the key in it."""
    found = listed(value)
    for entry in found:
        if not re.fullmatch(r"(\*\.)?[^*=,\s]+=[^,]+(,[^,]+)?", entry):
            raise ValueError(f"takes HOST=CERT,KEY, the host perhaps *.example.org, not {entry!r}")
    return found


def address_blocks(value: object) -> tuple[str, ...]:
    """IP addresses and networks as in 10.0.0.0/8, with commas between them; * is any."""
    import ipaddress  # noqa: PLC0415

    found = () if value is None else strings(value)
    for block in found:
        try:
            block == "*" or ipaddress.ip_network(block)
        except ValueError as error:
            raise ValueError(f"takes IP addresses, networks or *: {error}") from None
    return found


def protocol_list(value: object) -> tuple[str, ...]:
    """Versions of HTTP, each once: h1, h2."""
    found = tuple(name.lower() for name in strings(value or "")) or ("h1",)
    if len(set(found)) != len(found) or not set(found) <= {"h1", "h2"}:
        raise ValueError(f"takes h1 and h2, each once, with a comma between them, not {value!r}")
    return found


def spoken_protocol(value: object) -> str:
    """Http. Raises ConfigError for uwsgi."""
    name = string(value).lower()
    if name == "uwsgi":
        raise ConfigError(
            "this server does not speak the uwsgi protocol; leave out --protocol and let the server in"
            " front speak HTTP, nginx by proxy_pass instead of uwsgi_pass"
        )
    if name != "http":
        raise ValueError(f"takes http, not {value!r}")
    return name


def assignments(value: object) -> tuple[str, ...]:
    """Variables of an environment."""
    found = listed(value)
    for pair in found:
        if not pair.partition("=")[0] or "=" not in pair or "\0" in pair:
            raise ValueError(f"takes NAME=VALUE, not {pair!r}")
    return found


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
    """Compiled to be checked."""
    form = string(value)
    compile_format(form)
    return form


def optional_file(value: object) -> str | None:
    """A file, or - for a standard stream; None and nothing for none."""
    return optional_string(value) or None


def dictionary(value: object) -> Mapping[str, object]:
    """Something that only a configuration file can say."""
    if not isinstance(value, Mapping):
        raise ValueError(f"takes a dictionary, in a configuration file, not {value!r}")
    return value


def logger_class(value: object) -> str | type:
    """A class, or the name of one; a function is asked for either."""
    if callable(value) and not isinstance(value, type):
        value = value()
    return value if isinstance(value, type) else string(value)


def syslog_address(value: object) -> str | None:
    """An address of a form that `parse_syslog_address` knows; None for the usual one."""
    address = optional_string(value)
    if address is not None:
        parse_syslog_address(address)
    return address


def syslog_facility(value: object) -> str | None:
    """A facility of syslog by its name; None for the usual one."""
    name = optional_string(value)
    if name is not None and name.lower() not in FACILITIES:
        raise ValueError(f"takes one of {', '.join(FACILITIES)}, not {value!r}")
    return name


def statsd_address(value: object) -> Peer | None:
    """Host and port, or the path of a unix socket; None for none."""
    address = optional_string(value)
    return None if address is None else parse_statsd_address(address)


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


def absolute_folder(value: object) -> str:
    """The path of a folder that is there; relative to the one the server was started in, as "" is."""
    path = os.path.abspath(string(value))
    if not os.path.isdir(path):
        raise ValueError(f"takes a folder, and {value!r} is none")
    return path


def optional_folder(value: object) -> str | None:
    """The absolute path of a folder that is there, or None, which "" is too."""
    return None if value in (None, "") else absolute_folder(value)


def paste_target(value: object) -> str | None:
    """The absolute path of a file that is there, with #NAME where one of its applications is named."""
    if value is None:
        return None
    path, mark, name = string(value).partition("#")
    if not os.path.isfile(path):
        raise ValueError(f"takes a file, or FILE#NAME, and there is no file {path!r}")
    return f"{os.path.abspath(path)}{mark}{name}"


def field_value(value: object) -> str:
    """Text that can stand in a header field (RFC 9110, 5.5), or nothing."""
    text = string(value)
    if not (text.isascii() and text.isprintable()):
        raise ValueError(f"takes printable ASCII text, not {text!r}")
    return text


def comma_separated(value: object) -> tuple[str, ...]:
    """A list in one string, with commas between its parts; given again it is another one."""
    return strings(value or ())


def field_values(value: object) -> dict[str, str]:
    """Header fields (RFC 9110, 5.1) and a value of each."""
    if not isinstance(value, Mapping):
        raise ValueError(f"takes a dict of header fields in a configuration file, not {value!r}")
    return {string(name): string(text) for name, text in value.items()}


def optional_field_name(value: object) -> str | None:
    """The name of a header field without an underscore, or None."""
    if value is None:
        return None
    name = string(value)
    if not re.fullmatch(r"[!#$%&'*+.^`|~0-9A-Za-z-]+", name, re.ASCII):
        raise ValueError(f"takes a header field such as X-Forwarded-For, not {value!r}")
    return name


def proxy_mode(value: object) -> str:
    """Versions of the PROXY protocol, in all the words that gunicorn has for them."""
    words = {"false": "off", "0": "off", "none": "off", "true": "auto", "1": "auto"}
    word = value.strip().lower() if isinstance(value, str) else value
    return one_of("off", "v1", "v2", "auto", yes="auto")(words.get(str(word), word))


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
