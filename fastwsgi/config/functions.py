"""Settings that are functions: what is given, by itself or by its dotted name, can be called as it will be."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

Function = Callable[..., Any]


def function_of(*names: str) -> Callable[[object], Function | None]:
    """A check for a function that is called with the arguments `names`."""

    def check(value: object) -> Function | None:
        function = loaded(value)
        if arity(function) != len(names):
            raise mismatch(function, [names])
        return function

    return check


def function_of_some(*names: str, at_least: int) -> Callable[[object], Function | None]:
    """A check for a function that wants the first `at_least` of the arguments `names`, or more of them.

    What comes out takes them all.
    """

    def check(value: object) -> Function | None:
        function = loaded(value)
        wanted = arity(function)
        if not at_least <= wanted <= len(names):
            raise mismatch(function, [names[:count] for count in range(at_least, len(names) + 1)])
        if wanted == len(names):
            return function

        @functools.wraps(function, updated=())
        def shorter(*arguments: object) -> object:
            return function(*arguments[:wanted])

        return shorter

    return check


def loaded(value: object) -> Function:
    """The function itself, of one or of its dotted name."""
    if isinstance(value, str):
        value = imported(value)
    if not callable(value):
        raise ValueError(f"takes a function, or the dotted name of one, not {value!r}")
    return value


def imported(name: str) -> object:
    """What `name`, as in package.module.function, stands for."""
    module, dot, attribute = name.strip().rpartition(".")
    if not dot:
        raise ValueError(
            f"takes a function, or the dotted name of one, as in package.module.function, not {name!r}"
        )
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise ValueError(
            f"names {name!r}, which cannot be imported: {type(error).__name__}: {error}"
        ) from None


def arity(function: Function) -> int:
    """How many arguments can be given by their place, those with a default too, as gunicorn counts."""
    from inspect import Parameter, signature  # noqa: PLC0415

    by_place = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    try:
        parameters = signature(function).parameters.values()
    except (TypeError, ValueError):
        raise ValueError(f"takes a function whose arguments are known, not {function!r}") from None
    return sum(parameter.kind in by_place for parameter in parameters)


def mismatch(function: Function, forms: list[tuple[str, ...]]) -> ValueError:
    """What is allowed, and what was given."""
    allowed = " or ".join(f"({', '.join(form)})" for form in forms)
    name = getattr(function, "__qualname__", repr(function))
    return ValueError(
        f"takes a function of {allowed}, and {name} takes {arity(function)} arguments"
    )
