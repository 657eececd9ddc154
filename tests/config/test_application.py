"""Loading the application: every form of its name, and every way that can go wrong."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastwsgi.config.application import load
from fastwsgi.errors import AppLoadError

MODULE = """
class Holder:
    def app(self, environ, start_response):
        return [b"held"]
    @property
    def sour(self):
        raise KeyError("sour")

def application(environ, start_response):
    return [b"application"]

def app(environ, start_response):
    return [b"app"]

holder = Holder()
table = {}
nothing = None

def make(greeting="none", *, times=1):
    return lambda environ, start_response: [greeting.encode() * times]

def repeat(*values):
    return lambda environ, start_response: ["".join(map(str, values)).encode()]

def make_nothing():
    return None

def broken():
    return undefined_name

def broken_type():
    return 1 + "x"

def leaving():
    raise SystemExit(5)
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "site_app.py").write_text(MODULE)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("spec", "body"),
    [
        ("site_app", b"application"),
        ("site_app:app", b"app"),
        ("site_app:holder.app", b"held"),
        ("site_app:make()", b"none"),
        ("site_app:make('x')", b"x"),
        ("site_app:make('x', times=3)", b"xxx"),
        ("site_app:make(greeting='é'*1)", None),
        ("site_app: app ", b"app"),
        (
            "site_app:repeat([('a', 2)], {'b': -1}, {3}, None, 1.5)",
            b"[('a', 2)]{'b': -1}{3}None1.5",
        ),
    ],
)
def test_every_form_of_a_name(spec: str, body: bytes | None) -> None:
    if body is None:  # an expression is no literal
        with pytest.raises(AppLoadError, match="literals"):
            load(spec)
    else:
        assert load(spec)({}, None) == [body]


def test_a_module_whose_name_is_no_identifier(home: Path) -> None:
    (home / "my-app.py").write_text(MODULE)
    assert load("my-app:app")({}, None) == [b"app"]


def test_a_module_in_a_package(home: Path) -> None:
    (home / "project").mkdir()
    (home / "project" / "wsgi.py").write_text(MODULE)
    assert load("project.wsgi")({}, None) == [b"application"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("gone", "there is no module 'gone'"),
        ("gone.wsgi:app", "there is no module 'gone'"),
        ("site_app.wsgi:app", "there is no module 'site_app.wsgi'"),
        ("site_app.py", "write the module: site_app:application"),
        ("site_app.py:app", "write the module: site_app:app"),
        ("./site_app.py:app", "is not the name of a module"),
        ("", "'' is not the name of a module"),
        (":app", "'' is not the name of a module"),
        (".app", "'.app' is not the name of a module"),
        ("site_app:ap", "has no attribute 'ap'; did you mean 'site_app:app'?"),
        ("site_app:holder.ap", "holder has no attribute 'ap'; did you mean 'site_app:holder.app'?"),
        ("site_app:zzz", "has no attribute 'zzz'"),
        ("site_app:", "'' is neither a name nor a call"),
        ("site_app:1app", "'1app' is neither a name nor a call"),
        ("site_app:app[0]", "a name, a dotted name, or a call"),
        ("site_app:table", "it is of type dict, which cannot be called"),
        ("site_app:nothing", "it is None, which cannot be called"),
        ("site_app:table()", "table is of type dict, which cannot be called"),
        ("site_app:make(x)", "the arguments of a factory are literals"),
        ("site_app:make(-'x')", "the arguments of a factory are literals"),
        ("site_app:make({[]: 1})", "the arguments of a factory are literals"),
        ("site_app:make({**{}})", "the arguments of a factory are literals"),
        ("site_app:make(*[1])", "the arguments of a factory are literals"),
        ("site_app:make(f'x')", "the arguments of a factory are literals"),
        ("site_app:make(**{'greeting': 'x'})", "without **"),
        ("site_app:make(nope=1)", "wrong arguments: make() got an unexpected keyword"),
        ("site_app:make_nothing()", "it is None, which cannot be called"),
        ("site_app:leaving()", "leaving called sys.exit(5)"),
    ],
)
def test_a_wrong_name_is_one_line(spec: str, message: str) -> None:
    with pytest.raises(AppLoadError) as caught:
        load(spec)
    assert message in str(caught.value)
    assert repr(spec) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("spec", "text", "last"),
    [
        ("bad", "import helper_that_is_missing", "ModuleNotFoundError: No module named"),
        ("bad", "1 +", "SyntaxError: "),
        ("bad", "raise RuntimeError('no database')", "RuntimeError: no database"),
        ("bad", "import bad.inner", "ModuleNotFoundError: No module named 'bad.inner'"),
        ("site_app:broken()", "", "NameError: name 'undefined_name' is not defined"),
        ("site_app:broken_type()", "", "TypeError: unsupported operand"),
        ("site_app:holder.sour", "", "KeyError: 'sour'"),
    ],
)
def test_its_own_failure_keeps_its_traceback(spec: str, text: str, last: str, home: Path) -> None:
    (home / "bad.py").write_text(text)
    with pytest.raises(AppLoadError) as caught:
        load(spec)
    first, second, *rest = str(caught.value).splitlines()
    assert first == f"the application {spec!r} failed while it was loaded:"
    assert second == "Traceback (most recent call last):" or "SyntaxError" in last
    assert rest[-1].startswith(last)
    frames = [line for line in (second, *rest) if line.lstrip().startswith("File ")]
    assert frames
    assert all(str(home) in line for line in frames)


def test_a_package_whose_own_import_fails_is_not_called_missing(home: Path) -> None:
    (home / "pack").mkdir()
    (home / "pack" / "__init__.py").write_text("import pack.wsgi")
    with pytest.raises(AppLoadError, match="failed while it was loaded"):
        load("pack.wsgi")


def test_an_import_that_leaves_the_program_is_one_line(home: Path) -> None:
    (home / "bad.py").write_text("import sys; sys.exit(3)")
    with pytest.raises(AppLoadError, match=r"sys\.exit\(3\) while it was imported"):
        load("bad")
