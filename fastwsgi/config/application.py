"""Finding and loading the application that a specification names.

    MODULE                      its attribute `application`
    MODULE:NAME                 dotted names reach into objects
    MODULE:FACTORY('x', n=1)    is called once; its arguments are literals

Whatever goes wrong is an AppLoadError. Where the specification is wrong it is one line that says
what to do. Where the application's own code failed it is that line and the application's traceback,
without our frames and those of the import system.
"""

from __future__ import annotations

import importlib
import os

# Of the module ast only this part is needed; the rest of it every worker would carry.
from _ast import (
    AST,
    Attribute,
    Call,
    Constant,
    Dict,
    Expression,
    List,
    Name,
    PyCF_ONLY_AST,
    Set,
    Tuple,
    UnaryOp,
    USub,
)
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from fastwsgi.config.blame import own_frames, own_traceback
from fastwsgi.errors import AppLoadError, closest
from fastwsgi.gunicorn.stand_in import standing_in

USUAL_NAMES: Final = ("application", "app", "wsgi_app", "wsgi")

Application = Callable[..., Any]


class Specification(NamedTuple):
    """`call` is None where the object itself is the application, else the factory's arguments."""

    text: str
    module: str
    path: tuple[str, ...]
    call: tuple[list[object], dict[str, object]] | None


def load(text: str) -> Application:
    """Import and return the application `text` names. Raises AppLoadError."""
    with standing_in():
        return find(parse(text))


def find(spec: Specification) -> Application:
    found: Any = import_module(spec)
    for depth, name in enumerate(spec.path):
        try:
            found = getattr(found, name)
        except AttributeError:
            owner = ".".join(spec.path[:depth])
            owner = owner or f"the module {spec.module!r}"
            raise refusal(
                spec, f"{owner} has no attribute {name!r}; {suggest(spec, depth, found)}"
            ) from None
        except Exception as error:
            raise failure(spec, error) from None
    if spec.call is not None:
        found = call_factory(spec, found)
    if not callable(found):
        raise refusal(spec, f"it is {describe(found)}, which cannot be called") from None
    application: Application = found
    return application


def parse(text: str) -> Specification:
    """Read a specification. Raises AppLoadError where it has not the form of one."""
    module, colon, expression = text.partition(":")
    spec = Specification(text, module, ("application",), None)
    if not all(module.split(".")):
        raise refusal(spec, f"{module!r} is not the name of a module") from None
    if not colon:
        return spec
    try:
        whole = compile(expression.strip(), spec.text, "eval", PyCF_ONLY_AST)
    except (SyntaxError, ValueError):
        raise refusal(spec, f"{expression!r} is neither a name nor a call of a factory") from None
    tree = whole.body if isinstance(whole, Expression) else whole
    if not isinstance(tree, Call):
        return spec._replace(path=dotted(spec, tree))
    try:
        values = [literal(value) for value in tree.args]
        words = {str(word.arg): literal(word.value) for word in tree.keywords}
    except (TypeError, ValueError):
        raise refusal(
            spec, "the arguments of a factory are literals: numbers, quoted strings, lists ..."
        ) from None
    if any(word.arg is None for word in tree.keywords):
        raise refusal(spec, "the arguments of a factory are literals, without **") from None
    return spec._replace(path=dotted(spec, tree.func), call=(values, words))


def literal(tree: AST | None) -> object:
    """The value of a literal. Raises ValueError where it is none, TypeError for a key like []."""
    if isinstance(tree, Constant):
        return tree.value
    if isinstance(tree, (Tuple, List, Set)):
        kind = {Tuple: tuple, List: list, Set: set}[type(tree)]
        return kind([literal(element) for element in tree.elts])
    if isinstance(tree, Dict):
        return dict(zip(map(literal, tree.keys), map(literal, tree.values), strict=True))
    if isinstance(tree, UnaryOp) and isinstance(tree.op, USub):
        value = literal(tree.operand)
        if isinstance(value, (int, float, complex)):
            return -value
    raise ValueError


def dotted(spec: Specification, tree: AST) -> tuple[str, ...]:
    if isinstance(tree, Name):
        return (tree.id,)
    if isinstance(tree, Attribute):
        return (*dotted(spec, tree.value), tree.attr)
    raise refusal(spec, "what follows the ':' is a name, a dotted name, or a call of one") from None


def import_module(spec: Specification) -> object:
    try:
        return importlib.import_module(spec.module)
    except ModuleNotFoundError as error:
        # Missing is the module itself or a package it is in, and not one that its code asks for.
        missing = f"{error.name}."
        if not f"{spec.module}.".startswith(missing) or own_frames(error.__traceback__):
            raise failure(spec, error) from None
    except SystemExit as error:
        raise refusal(
            spec, f"its code called sys.exit({error.code!r}) while it was imported"
        ) from None
    except Exception as error:
        raise failure(spec, error) from None
    stem = spec.module.removesuffix(".py").replace(os.sep, ".")
    if stem != spec.module and os.path.exists(spec.module):
        name = ".".join(spec.path)
        raise refusal(spec, f"it names a file; write the module: {stem}:{name}") from None
    raise refusal(
        spec, f"there is no module {error_name(spec)!r} in {os.getcwd()!r} or on the import path"
    ) from None


def error_name(spec: Specification) -> str:
    """The part of a dotted module name that cannot be found."""
    parts = spec.module.split(".")
    for end in range(1, len(parts)):
        try:
            importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            return ".".join(parts[:end])
    return spec.module


def suggest(spec: Specification, depth: int, owner: object) -> str:
    """What to write instead of the name at `depth` of the path, which `owner` has not."""
    names = [name for name in dir(owner) if not name.startswith("_")]
    close = closest(spec.path[depth], names)
    if close is None and depth == 0:
        close = next((name for name in USUAL_NAMES if name in names), None)
    if close is None:
        return "write MODULE:NAME with a name that is there"
    return f"did you mean {':'.join((spec.module, '.'.join((*spec.path[:depth], close))))!r}?"


def call_factory(spec: Specification, factory: Any) -> object:
    name = ".".join(spec.path)
    if not callable(factory):
        raise refusal(spec, f"{name} is {describe(factory)}, which cannot be called") from None
    values, words = spec.call or ([], {})
    try:
        return factory(*values, **words)
    except TypeError as error:
        if own_frames(error.__traceback__):
            raise failure(spec, error) from None
        raise refusal(spec, f"{name} was called with the wrong arguments: {error}") from None
    except SystemExit as error:
        raise refusal(spec, f"{name} called sys.exit({error.code!r})") from None
    except Exception as error:
        raise failure(spec, error) from None


def describe(value: object) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"


def refusal(spec: Specification, why: str) -> AppLoadError:
    return AppLoadError(f"cannot load the application {spec.text!r}: {why}")


def failure(spec: Specification, error: Exception) -> AppLoadError:
    return AppLoadError(
        f"the application {spec.text!r} failed while it was loaded:\n{own_traceback(error)}"
    )
