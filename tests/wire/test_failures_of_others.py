"""Where each known failure of other servers is shown not to be one here: files of the corpus, and tests by name."""

import ast
from pathlib import Path

import pytest

from tests.wire.corpus import CASES

HERE = Path(__file__).parent

FAILURES = {
    "several codings read as chunked, a bad one that falls back to the length (gunicorn, 2024)": [
        "others/conflicting-codings",
        "A/012-chunked-twice",
        "A/013-coding-like-chunked",
    ],
    "sizes that int() forgives (waitress, 2022; http-garden)": [
        "others/sizes-that-int-forgives",
        "A/004-content-length-not-digits",
        "F/112-size-not-hexadecimal",
    ],
    "a pipelined request served after an error (waitress, 2024)": [
        "others/request-after-an-error",
        "D/097-098-nothing-after-an-error",
    ],
    "a peer gone before getpeername: a busy loop, a descriptor lost (waitress, 2024)": [
        "test_connection.test_a_peer_gone_before_accept_leaves_nothing",
    ],
    "unbounded chunk extensions (llhttp, 2024)": ["F/117-long-extensions"],
    "a line end in a chunk extension (several, 2024 and 2025)": [
        "others/line-end-in-a-chunk-extension",
        "F/116-chunk-extensions",
    ],
    "unlimited trailers (aiohttp, 2026)": ["F/122-trailers-above-the-limits"],
    "a pattern for fields that backtracks": [
        "test_resources.test_a_pathological_64_kib_field_costs_what_a_plain_one_does",
        "test_resources.test_a_head_byte_by_byte_takes_linear_time",
    ],
    "an application that never calls start_response ends the process (fastwsgi 0.0.9, fastpysgi)": [
        "G/135-no-response",
        "test_application.test_138_close_when_start_response_never_came",
    ],
    "fields of the application that end the process (granian, 2026)": [
        "G/124-line-ends-and-nul",
        "G/125-names-and-values-that-are-none",
        "G/127-status",
        "G/128-content-length",
    ],
    "pipelined requests lose answers; HEAD and 304 with a body (bjoern)": [
        "others/answers-without-a-body-in-a-row",
        "D/094-ten-in-a-row",
        "G/132-head",
        "G/133-statuses-without-a-body",
    ],
    "repeated fields joined without a comma (bjoern)": ["B/041-repeated-fields"],
    "readline() that loses line ends (granian)": ["G/142-input-ends-with-the-body"],
    "short bodies that look whole (granian)": [
        "G/130-body-shorter-than-content-length",
        "A/022-end-inside-a-body",
        "F/119-end-inside-a-chunked-body",
    ],
    "close() left out (fastpysgi)": [
        "G/138-close-exactly-once",
        "test_application.test_138_close_when_the_client_has_gone",
    ],
    "40 ms a request for a chunked tail, without TCP_NODELAY (bjoern)": [
        "test_connection.test_accepted_sockets_do_not_delay_small_segments",
    ],
}


def exists(place: str) -> bool:
    """Whether there is such a file of cases, or such a test of this folder."""
    if "/" in place:
        return (CASES / f"{place}.http").exists()
    module, _, name = place.partition(".")
    tree = ast.parse((HERE / f"{module}.py").read_text("utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == name for node in tree.body)


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_of_others_is_shown_not_to_be_one_here(failure: str) -> None:
    assert [place for place in FAILURES[failure] if not exists(place)] == []


def test_every_file_of_the_others_is_about_a_failure() -> None:
    # These two are about settings of gunicorn, and these two were found by fuzzing and by the CL.0 paper.
    besides = {"keep-alive-off", "leniency", "errors-after-head", "desync-by-a-zero-length-get"}
    named = {place.removeprefix("others/") for places in FAILURES.values() for place in places}
    assert {path.stem for path in (CASES / "others").glob("*.http")} - named == besides
