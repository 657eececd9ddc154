"""Every case of the corpus over TCP and unix sockets: fed whole, byte by byte, and split in two at every offset.

How bytes arrive is the same under every model of execution; where the application runs elsewhere, each case is fed
whole.
"""

import ast
from pathlib import Path

import pytest

from tests.support.loop import Transport
from tests.support.models import INLINE, Model
from tests.wire import apps
from tests.wire.bench import Benches
from tests.wire.corpus import Case, load_cases
from tests.wire.feeding import feeds
from tests.wire.runner import run

ENOUGH = 3  # problems of one case are enough to understand it

# Sections A to G of the conformance list; H (HTTP/2) is shown where its room is.
NUMBERS = {*range(1, 144)}

CASES = load_cases()


@pytest.mark.parametrize(
    ("case", "transport"),
    [
        (case, transport)
        for case in CASES
        for transport in ("tcp", "unix")
        if transport in case.over
    ],
    ids=str,
)
def test_case(case: Case, transport: Transport, model: Model, benches: Benches) -> None:
    bench = benches.get(transport, model, case.settings)
    problems: list[str] = []
    try:
        for feed, pieces in feeds(case.request):
            problems += [f"{feed}: {problem}" for problem in run(bench, case, pieces)]
            if case.whole_only or model is not INLINE or len(problems) >= ENOUGH:
                break
    except BaseException:
        benches.discard(bench)
        raise
    if problems:
        benches.discard(bench)
    assert not problems, f"{case.path.name}\n" + "\n".join(problems)


@pytest.mark.parametrize("case", [case for case in CASES if "tls" in case.over], ids=str)
def test_case_over_tls(case: Case, benches: Benches) -> None:
    """Fed whole: how bytes arrive is decided by what is decrypted at once, and that was all one could see."""
    bench = benches.get("tls", INLINE, case.settings)
    feed, pieces = next(iter(feeds(case.request)))
    try:
        problems = [f"{feed}: {problem}" for problem in run(bench, case, pieces)]
    except BaseException:
        benches.discard(bench)
        raise
    if problems:
        benches.discard(bench)
    assert not problems, f"{case.path.name}\n" + "\n".join(problems)


def numbers_of_functions() -> set[int]:
    """The numbers in names such as `test_097_098_nothing_more` of this folder's modules and those of TLS."""
    numbers: set[int] = set()
    here = Path(__file__).parent
    for path in (*here.glob("test_*.py"), *here.with_name("tls").glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                words = node.name.split("_")[1:]
                numbers |= {int(word) for word in words if len(word) == 3 and word.isdigit()}
    return numbers


def test_every_number_has_a_case() -> None:
    shown = {number for case in CASES for number in case.numbers} | numbers_of_functions()
    assert shown >= NUMBERS


def test_cases_stand_where_their_numbers_belong() -> None:
    sections = {"A": range(1, 25), "B": range(25, 51), "C": range(51, 89), "D": range(89, 108),
                "E": range(108, 112), "F": range(112, 124), "G": range(124, 144), "others": range(0)}  # fmt: skip
    for case in CASES:
        section = sections[case.path.parent.name]
        assert set(case.numbers) <= set(section), case.path
        assert case.numbers or case.path.parent.name == "others", case.path


def test_cases_differ() -> None:
    seen: dict[tuple[object, ...], Case] = {}
    for case in CASES:
        key = (
            case.request,
            case.app,
            case.half_close,
            tuple(case.settings.items()),
            case.path.parent.name,
        )
        assert key not in seen, f"{case} and {seen[key]} are the same"
        seen[key] = case


def test_cases_name_applications_that_exist() -> None:
    assert {case.app for case in CASES if not callable(getattr(apps, case.app, None))} == set()
