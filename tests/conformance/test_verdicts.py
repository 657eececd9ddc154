"""What is said of a conversation: what is expected, what the RFCs leave open, what is wrong."""

from pathlib import Path

import pytest

from tests.conformance.conversation import Transcript, Verdict, judge
from tests.conformance.page import cell
from tests.support.responses import Ending
from tests.wire.corpus import Case, parse_file
from tests.wire.recorder import Call

HEAD = b"HTTP/1.1 %s\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\nContent-Length: %d\r\n"
OK = HEAD % (b"200 OK", 1) + b"\r\n/"
LEAVING = HEAD % (b"200 OK", 1) + b"Connection: close\r\n\r\n/"
BAD = HEAD % (b"400 Bad Request", 0) + b"\r\n"
UNKNOWN = HEAD % (b"501 Not Implemented", 0) + b"\r\n"
UNDATED = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n/"
TWICE = HEAD % (b"200 OK", 1) + b"Content-Length: 1\r\n\r\n/"

CALL = [Call({"PATH_INFO": "/"})]
READ = [Call({"PATH_INFO": "/"}, b"hello")]


def case(tmp_path: Path, *facts: str, name: str = "001-some.http") -> Case:
    path = tmp_path / name
    path.write_text("\n".join([*facts, "", "=== one", "", "GET / HTTP/1.1\\r\\n", ""]))
    (found,) = parse_file(path)
    return found


@pytest.mark.parametrize(
    ("facts", "received", "ending", "further", "calls", "verdict"),
    [
        # What is expected
        (["expect: 200 K"], OK, None, True, CALL, Verdict.PASS),
        (["expect: 400 C"], BAD, "eof", False, [], Verdict.PASS),
        (["expect: 200 K", "saw: PATH_INFO = /"], OK, None, True, CALL, Verdict.PASS),
        (["expect: 200 K"], UNDATED, None, True, CALL, Verdict.PASS),
        # What is wrong
        (["expect: 200 K"], OK, None, False, CALL, Verdict.FAIL),
        (["expect: 200 K"], OK, "eof", False, CALL, Verdict.FAIL),
        (["expect: 200 K"], OK + OK, None, True, CALL, Verdict.FAIL),
        (["expect: 200 K"], TWICE, None, True, CALL, Verdict.FAIL),
        (["expect: 200 K"], OK, None, True, READ, Verdict.FAIL),
        (["expect: 200 K"], OK, None, True, CALL * 2, Verdict.FAIL),
        (["expect: 200 K", "saw: PATH_INFO = /x"], OK, None, True, CALL, Verdict.FAIL),
        (["expect: 200 K", "never: 200"], OK, None, True, CALL, Verdict.FAIL),
        (["expect: 400 C"], OK, None, True, CALL, Verdict.FAIL),
        (["expect: 400 C"], BAD, None, False, [], Verdict.FAIL),
        (["expect: 400 C"], BAD, "eof", False, READ, Verdict.FAIL),
        (["expect: 400 C"], b"", None, False, [], Verdict.FAIL),
        (["expect: 500 ?", "calls: 1"], b"", "eof", False, CALL, Verdict.FAIL),
        # What is left open
        (["expect: 400 C", "allowed: 200 K"], OK, None, True, READ, Verdict.ALLOWED),
        (["expect: 400 C", "allowed: any"], b"", None, False, [], Verdict.ALLOWED),
        (["expect: 400 C", "allowed: 200 K"], TWICE, None, True, READ, Verdict.FAIL),
        (["expect: 400 C"], UNKNOWN, "eof", False, [], Verdict.ALLOWED),
        (["expect: 400 C"], b"", "eof", False, [], Verdict.ALLOWED),
        (["expect: 400 C"], b"", "reset", False, CALL, Verdict.ALLOWED),
        (["expect: 200 400 C"], OK, "eof", False, CALL, Verdict.ALLOWED),
        (["expect: 200 K"], LEAVING, "eof", False, CALL, Verdict.ALLOWED),
        (["expect: 200 200 K"], LEAVING, "eof", False, CALL, Verdict.ALLOWED),
        (["expect: 200 K", "saw: RAW_URI = /"], OK, None, True, CALL, Verdict.PASS),
    ],
)  # fmt: skip
def test_a_verdict(  # noqa: PLR0917
    tmp_path: Path,
    facts: list[str],
    received: bytes,
    ending: Ending | None,
    further: bool,
    calls: list[Call],
    verdict: Verdict,
) -> None:
    transcript = Transcript(("GET",), received, ending)
    assert judge(case(tmp_path, *facts), transcript, further, calls) is verdict


def test_the_date_is_a_number_of_its_own(tmp_path: Path) -> None:
    dated = case(tmp_path, "expect: 200 K", name="140-date.http")
    assert judge(dated, Transcript(("GET",), UNDATED), True, CALL) is Verdict.FAIL


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        ([Verdict.PASS] * 3, "pass"),
        ([Verdict.PASS, Verdict.ALLOWED], "c"),
        ([Verdict.PASS, Verdict.FAIL, Verdict.ALLOWED], "fail 1/3"),
        ([Verdict.FAIL, Verdict.HANG], "hang"),
        ([Verdict.HANG, Verdict.CRASH], "crash"),
        ([Verdict.NOT_ASKED, Verdict.PASS], "pass"),
        ([Verdict.NOT_ASKED], "-"),
    ],
)
def test_a_row_sums_up(verdicts: list[Verdict], words: str) -> None:
    assert cell(verdicts) == words
