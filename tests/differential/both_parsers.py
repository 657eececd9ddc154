"""Settings as gunicorn's own parser makes them, and as ours does: a program that reads cases and tells both.

`python -m tests.differential.both_parsers` reads JSON from its standard input and writes JSON: a list
of cases of command lines (folder, words, environ), each of which runs in two forked children, as
both parsers change their process; the names of applications, loaded in children too; and a list of
single values of settings.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import gunicorn.app.wsgiapp
import gunicorn.config

from fastwsgi.config.application import load
from fastwsgi.config.settings import Settings, check
from fastwsgi.config.sources import Sources
from fastwsgi.errors import ConfigError
from fastwsgi.net.listener import parse_address

# What of gunicorn looks at the environment while it is imported, or holds what does.
READ_AT_IMPORT = ("gunicorn.config", "gunicorn.app.base", "gunicorn.app.wsgiapp")


class Outcome(NamedTuple):
    """`code` is the exit code of one that failed; `settings` and `derived` are empty then."""

    code: int | None
    settings: dict[str, Any]
    derived: dict[str, Any]
    said: str
    printed: dict[str, str]


class Made(NamedTuple):
    """What is right about a command line: `printed` are the lines of --print-config, by setting."""

    settings: dict[str, Any]
    derived: dict[str, Any]
    printed: dict[str, str]


def by_gunicorn(words: list[str]) -> Made:
    for name in READ_AT_IMPORT:
        del sys.modules[name]
    sys.argv = ["gunicorn", *words]
    app = importlib.import_module("gunicorn.app.wsgiapp").WSGIApplication(prog="gunicorn")
    values = {name: plain(setting.get()) for name, setting in app.cfg.settings.items()}
    derived = {
        "app": app.app_uri,
        "addresses": [address(*one) for one in map(listed, app.cfg.address)],
        "class": app.cfg.worker_class_str,
        "sendfile": app.cfg.sendfile,
        "env": app.cfg.env,
        "name": app.cfg.proc_name,
    }
    return Made(values, derived, lines(str(app.cfg)))


def by_us(words: list[str]) -> Made:
    settings = Sources.of_command_line(words, os.environ, "fastwsgi").read()
    app = settings.wsgi_app or (settings.paste and os.path.abspath(settings.paste))
    if app is None:
        raise ConfigError("no application is named")
    values = {name: plain(getattr(settings, name)) for name in Settings.ROWS}
    derived = {
        "app": app,
        "addresses": [address(*listed(parse_address(one))) for one in settings.bind],
        "class": settings.effective_class,
        "sendfile": settings.sendfile,
        "env": dict(pair.split("=", 1) for pair in settings.raw_env),
        "name": settings.proc_name or settings.default_proc_name or settings.wsgi_app,
    }
    return Made(
        values, derived, lines(re.sub(r" *  # [^#]*$", "", str(settings), flags=re.MULTILINE))
    )


def lines(text: str) -> dict[str, str]:
    found = (line.partition("=") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in found}


def loaded_by_gunicorn(names: list[str]) -> Made:
    return Made({}, {"says": gunicorn.util.import_app(*names)({}, None)}, {})


def loaded_by_us(names: list[str]) -> Made:
    return Made({}, {"says": load(*names)({}, None)}, {})


def listed(found: object) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (found,)


def address(host: object, *port: object) -> list[object]:
    """No host is every host."""
    return ["0.0.0.0" if host == "" else host, *port]


def plain(value: Any) -> Any:
    """A value as JSON can say it. gunicorn's own default hooks, which do nothing, are None."""
    if value is None or isinstance(value, (bool, str, float)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, dict):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if callable(value):
        default = value.__module__ == "gunicorn.config" and "<locals>" not in value.__qualname__
        return None if default else "a function"
    return repr(value)


def outcome(parser: Callable[[list[str]], Made], words: list[str]) -> Outcome:
    """What a program with this parser would have made of its command line."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            made = parser(words)
            return Outcome(None, made.settings, made.derived, said.getvalue(), made.printed)
        except SystemExit as end:
            code = end.code
        except ConfigError as error:
            said.write(str(error))
            code = error.exit_code
        except Exception:
            traceback.print_exc()
            code = 1
    return Outcome(code if isinstance(code, int) else 1, {}, {}, said.getvalue(), {})


class Child(NamedTuple):
    """A process that reads one case with one parser, and the descriptor to read its outcome from."""

    pid: int
    answer: int

    @classmethod
    def start(cls, parser: Callable[[list[str]], Made], case: dict[str, Any]) -> Child:
        """It stands in the case's folder, with its environment."""
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid:
            os.close(theirs)
            return cls(pid, ours)
        try:
            os.chdir(case["folder"])
            sys.path.insert(0, case["folder"])
            os.environ.clear()
            os.environ.update(case["environ"], PWD=case["folder"], HOME=case["folder"])
            warnings.simplefilter("ignore")
            with open(theirs, "w", encoding="utf-8") as answer:
                json.dump(outcome(parser, case["words"]), answer)
        finally:
            os._exit(0)

    def end(self) -> Outcome:
        with open(self.answer, encoding="utf-8") as answer:
            text = answer.read()
        os.waitpid(self.pid, 0)
        return Outcome(*json.loads(text))


def both(case: dict[str, Any], *parsers: Callable[[list[str]], Made]) -> list[Outcome]:
    """The outcomes of both parsers, which run side by side."""
    children = [Child.start(parser, case) for parser in parsers]
    return [child.end() for child in children]


def values() -> list[tuple[str, str, Any, Any]]:
    """(setting, value, what gunicorn makes of it, what we do); a refusal is its message."""
    found = []
    for known in gunicorn.config.KNOWN_SETTINGS:
        for text in VALUES if known.name in Settings.ROWS else ():
            value = eval(text)
            theirs = taken(lambda known=known, value=value: known.validator(value))
            ours = taken(lambda known=known, value=value: check(known.name, value, "a file"))
            found.append((known.name, text, theirs, ours))
    return found


# Of every kind that may stand in a configuration file.
VALUES = (
    *("None", "True", "False", "0", "1", "7", "-1", "1.5", "40000"),
    *("''", "'7'", "' 7 '", "'0x10'", "'0o17'", "'017'", "'x'", "'true'", "'False'", "'-1'"),
    *("'a,b'", "'*'", "'10.0.0.0/8'", "'10.0.0.1/8'", "'/'", "'/nowhere/at/all'", "'.'", "'A=1,2'"),
    *(
        "'auto'",
        "'off'",
        "'gevent'",
        "'gthread'",
        "'debug'",
        "'DEBUG'",
        "'v1'",
        "'drop'",
        "'h2,h1'",
    ),
    *("'127.0.0.1:8125'", "'unix:///x'", "'udp://localhost:514'", "'local0'", "'os.getpid'"),
    *("[]", "['a']", "[' a ', 'b']", "['A=1']", "('a',)", "{}", "{'A': 'b'}", "b'x'", "object"),
    *("lambda: None", "lambda a: None", "lambda a, b: None", "lambda a, b, c: None"),
    "lambda a, b, c, d: None",
)


def taken(make: Callable[[], object]) -> dict[str, Any]:
    said = io.StringIO()
    with contextlib.redirect_stderr(said), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return {"value": plain(make())}
        except Exception as error:
            return {"refused": f"{type(error).__name__}: {error}"}


def main() -> None:
    asked = json.load(sys.stdin)
    answer = {
        "known": {setting.name: setting.cli or [] for setting in gunicorn.config.KNOWN_SETTINGS},
        "cases": [both(case, by_gunicorn, by_us) for case in asked["cases"]],
        "applications": [
            both(case, loaded_by_gunicorn, loaded_by_us) for case in asked["applications"]
        ],
        "values": values(),
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
