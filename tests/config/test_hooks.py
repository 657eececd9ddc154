"""Settings that are functions: by themselves or by name, with the right number of arguments."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastwsgi.config.sections.hooks import Hooks
from fastwsgi.config.setting import Setting
from fastwsgi.config.settings import Settings
from fastwsgi.errors import ConfigError

# The number of arguments, as gunicorn's validators have it.
ARITIES = {
    "on_starting": 1,
    "on_reload": 1,
    "when_ready": 1,
    "pre_fork": 2,
    "post_fork": 2,
    "post_worker_init": 1,
    "worker_int": 1,
    "worker_abort": 1,
    "pre_exec": 1,
    "pre_request": 2,
    "post_request": 4,
    "child_exit": 2,
    "worker_exit": 2,
    "nworkers_changed": 3,
    "on_exit": 1,
    "ssl_context": 2,
}

FUNCTIONS: dict[int, Callable[..., Any]] = {
    0: lambda: None,
    1: lambda a: (a,),
    2: lambda a, b: (a, b),
    3: lambda a, b, c: (a, b, c),
    4: lambda a, b, c, d: (a, b, c, d),
    5: lambda a, b, c, d, e: (a, b, c, d, e),
}


def of(**values: object) -> Settings:
    return Settings([("gunicorn.conf.py", values)])


def test_every_hook_of_gunicorns_is_there() -> None:
    rows = {name for name, row in vars(Hooks).items() if isinstance(row, Setting)}
    assert rows == set(ARITIES)
    assert {getattr(Settings(), name) for name in rows} == {None}


@pytest.mark.parametrize(("name", "arity"), ARITIES.items())
def test_a_hook_takes_its_arguments_and_no_others(name: str, arity: int) -> None:
    allowed = {2, 3, 4} if name == "post_request" else {arity}
    for count, function in FUNCTIONS.items():
        if count in allowed:
            assert getattr(of(**{name: function}), name)(*range(arity)) == tuple(range(count))
        else:
            with pytest.raises(ConfigError, match=rf"the setting {name} takes a function of \("):
                of(**{name: function})


def test_a_wrong_number_of_arguments_is_said_with_what_is_allowed() -> None:
    def my_hook(server: object) -> None: ...

    with pytest.raises(ConfigError) as caught:
        of(post_fork=my_hook)
    assert str(caught.value) == (
        "the setting post_fork takes a function of (server, worker), and"
        f" {my_hook.__qualname__} takes 1 arguments (gunicorn.conf.py)"
    )
    with pytest.raises(ConfigError, match=r"\(worker, req\) or \(worker, req, environ\) or \("):
        of(post_request=my_hook)


def test_arguments_are_counted_as_gunicorn_counts_them() -> None:
    class Hook:
        def __call__(self, server: object, worker: object) -> str:
            return "object"

        def method(self, server: object, worker: object) -> str:
            return "method"

    def optional(server: object, worker: object = None) -> None: ...
    def keyword(server: object, worker: object, *, more: int = 1) -> None: ...

    bound = functools.partial(FUNCTIONS[3], 0)
    for hook in (Hook(), Hook().method, optional, keyword, bound, divmod):
        assert of(pre_fork=hook).pre_fork is hook

    def any_number(*arguments: object) -> None: ...

    for hook in (any_number, dict):
        with pytest.raises(ConfigError, match="pre_fork"):
            of(pre_fork=hook)


def test_a_hook_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "their_hooks.py").write_text(
        "class Hooks:\n    pass\ndef fork(server, worker): pass"
    )
    assert of(post_fork="their_hooks.fork").post_fork.__name__ == "fork"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("fork", "the dotted name of one, as in package.module.function, not 'fork'"),
        ("nowhere.at.all", "names 'nowhere.at.all', which cannot be imported: ModuleNotFoundError"),
        ("os.nothing", "names 'os.nothing', which cannot be imported: AttributeError"),
        ("os.sep", "takes a function, or the dotted name of one, not '/'"),
        (None, "takes a function, or the dotted name of one, not None"),
        (5, "takes a function, or the dotted name of one, not 5"),
    ],
)
def test_what_is_no_function_is_refused(value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        of(post_fork=value)
    assert str(caught.value).startswith("the setting post_fork ")
    assert message in str(caught.value)
    assert str(caught.value).endswith("(gunicorn.conf.py)")


def test_printed_settings_show_functions_by_their_names() -> None:
    def announce(server: object) -> None: ...

    lines = str(of(on_starting=announce, post_request=FUNCTIONS[2])).splitlines()
    shown = {line.split()[0]: line.split("=", 1)[1].split("#")[0].strip() for line in lines}
    assert shown["on_starting"] == f"<{announce.__qualname__}()>"
    assert shown["post_request"] == "<<lambda>()>"
    assert shown["when_ready"] == "None"
