"""Asks one server every case, in time that is bounded: what crashes or hangs is started again."""

import http.client
import tempfile
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from tests.conformance.conversation import Control, Verdict, converse, judge
from tests.conformance.servers import Column, ServerError
from tests.wire.corpus import Case
from tests.wire.runner import describe

Say = Callable[[str], None]


class Finding(NamedTuple):
    """What is said of a case, and what came of it."""

    case: Case
    verdict: Verdict
    came: str = ""
    over: bool = False  # the server has to be started again


Findings = list[Finding]
Configuration = tuple[str, tuple[tuple[str, int | str], ...]]


def ask_all(column: Column, cases: Sequence[Case], say: Say) -> Findings:
    """A verdict on every case. A server that cannot be started with some settings is not asked those."""
    found: Findings = []
    ordered = sorted(cases, key=lambda case: repr(configuration(case)))
    for (transport, settings), group in groupby(ordered, configuration):
        batch = list(group)
        try:
            if column.can_be_asked(dict(settings), transport):
                found += ask(column, dict(settings), transport, batch)
            else:
                found += [Finding(case, Verdict.NOT_ASKED) for case in batch]
        except ServerError as error:
            found += [Finding(case, Verdict.NOT_ASKED, str(error)) for case in batch]
        say(f"{len(found)} of {len(cases)} cases")
    return found


def configuration(case: Case) -> Configuration:
    """The transport and the settings that a case wants."""
    return ("tcp" if "tcp" in case.over else case.over[0]), tuple(sorted(case.settings.items()))


def ask(
    column: Column, settings: dict[str, int | str], transport: str, cases: Sequence[Case]
) -> Findings:
    """Asks a server cases of one configuration; it is started again after it crashed or hung. Raises ServerError."""
    found: Findings = []
    with tempfile.TemporaryDirectory() as folder:
        while len(found) < len(cases):
            with column.start(settings, transport, Path(folder)) as running:
                control = Control(running.port, transport == "tls")
                for case in cases[len(found) :]:
                    found.append(ask_one(control, case))
                    if found[-1].over:
                        break
    return found


def ask_one(control: Control, case: Case) -> Finding:
    """Asks a server that answers one case."""
    came = ""
    try:
        pid = control.begin(case.app)
        transcript, further = converse(control.port, case)
        came = describe(transcript)
        pid_now, called = control.calls()
    except TimeoutError:
        return end_of_server(case, Verdict.HANG, came)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return end_of_server(case, Verdict.CRASH, f"{came} {error}")
    if pid_now != pid:
        return end_of_server(case, Verdict.CRASH, came)
    return Finding(case, judge(case, transcript, further, called), f"{came}; calls {len(called)}")


def end_of_server(case: Case, verdict: Verdict, came: str) -> Finding:
    """What is said where the server is no more: where anything is allowed, that too."""
    return Finding(case, Verdict.ALLOWED if case.anything_allowed else verdict, came, over=True)
