"""Every case of the corpus, fed whole, byte by byte, and split in two at every offset, over TCP and unix sockets."""

import pytest

from tests.support.loop import Transport
from tests.wire.bench import Benches
from tests.wire.corpus import Case, load_cases
from tests.wire.feeding import feeds
from tests.wire.runner import run

ENOUGH = 3  # problems of one case are enough to understand it

CASES = load_cases()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, transport: Transport, benches: Benches) -> None:
    bench = benches.get(transport, case.settings)
    problems: list[str] = []
    try:
        for feed, pieces in feeds(case.request):
            problems += [f"{feed}: {problem}" for problem in run(bench, case, pieces)]
            if case.whole_only or len(problems) >= ENOUGH:
                break
    except BaseException as error:
        error.add_note(f"during {feed!r}") if hasattr(error, "add_note") else None
        benches.discard(bench)
        raise
    if problems:
        benches.discard(bench)
    assert not problems, f"{case.path.name}\n" + "\n".join(problems)
