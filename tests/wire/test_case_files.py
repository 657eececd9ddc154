"""The form of the case files: what a line stands for, and that mistakes are told, not read as something else."""

from pathlib import Path

import pytest

from tests.wire.corpus import CaseError, ExpectedAnswer, Outcome, decode, parse_file, parse_outcome
from tests.wire.feeding import feeds

CASE = "expect: 200 K\n\n=== one\n\nGET / HTTP/1.1\\r\\n\n\\r\\n\n"


@pytest.mark.parametrize(("line", "data"), [
    (r"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n"),
    (r"\0\t\\\{\"\x80\xFF", b'\0\t\\{"\x80\xff'),
    (r'{repeat 3 "a\r\n"}b', b"a\r\na\r\na\r\nb"),
    (r'{repeat 2 " a "}', b" a  a "),
    (r'{repeat 2 " "}', b"  "),
    (r'{repeat 2 "\""}', b'""'),
    (r"a{value}b", b"a\tb"),
    ("a}b", b"a}b"),
    ("", b""),
])  # fmt: skip
def test_a_line_stands_for_bytes(line: str, data: bytes) -> None:
    assert decode(line, r"\t") == data


@pytest.mark.parametrize(
    "line", [" a", "a ", "a\tb", "\u00e9", r"\q", r"\x8", "{", "{repeat 3 a}", "a\\"]
)
def test_an_ambiguous_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"escape"):
        decode(line)


def test_outcomes() -> None:
    ok, cut = frozenset({200}), frozenset({405, 501})
    assert parse_outcome("200 405|501! X") == Outcome(
        (ExpectedAnswer(ok), ExpectedAnswer(cut, cut=True)), "X"
    )
    assert parse_outcome("100? 200 K").answers[0].optional
    assert parse_outcome("- C") == Outcome((), "C")


@pytest.mark.parametrize("text", ["200", "200 Z", "20 C", "C 200", "200  C"])
def test_outcomes_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"outcome|answer"):
        parse_outcome(text)


def test_a_file_gives_its_cases_and_values(tmp_path: Path) -> None:
    path = tmp_path / "097-098-some.http"
    path.write_text(
        "# words\nexpect: 200 K\nset: keepalive = 5\n\n=== one\nvalue: a\nvalue: b\nsaw: X = {\n\n{value}\\r\\n\n"
        "\n=== two\nexpect: - C\nend: half-close\n\n\\x80\n\\xff\n"
    )
    one, other, two = parse_file(path)
    assert (one.request, other.request, two.request) == (b"a\r\n", b"b\r\n", b"\x80\xff")
    assert one.numbers == (97, 98)
    assert [len(case.saw) for case in (one, other, two)] == [1, 1, 0]
    assert (one.half_close, two.half_close) == (False, True)
    assert two.settings == {"keepalive": 5}
    assert two.outcomes == (Outcome((), "C"),)


@pytest.mark.parametrize("text", [
    CASE.replace("expect", "expekt"),
    CASE.replace("expect: 200 K", "# nothing"),
    CASE.replace("\\r", "\\q"),
    CASE.replace("GET", " GET"),
    CASE.replace("=== one\n", "=== one\nend: later\n"),
    CASE.replace("=== one\n", "=== one\nvalue: unused\n"),
    CASE.replace("GET", "{value}"),
    CASE.replace("GET / HTTP/1.1\\r\\n\n\\r\\n\n", ""),
    CASE.replace("=== one\n", "=== one\nmethods 2: GET\n"),
])  # fmt: skip
def test_a_mistake_names_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "001-bad.http"
    path.write_text(text)
    with pytest.raises(CaseError, match=r"001-bad\.http:[0-9]+: "):
        list(parse_file(path))


def test_feeds_lose_nothing() -> None:
    for data in (b"ab", b"x" * 300, b"GET / HTTP/1.1\r\n" + b"y" * 70_000 + b"\r\n\r\n"):
        names = [name for name, pieces in feeds(data) if b"".join(pieces) == data and all(pieces)]
        assert names[:2] == ["whole", "byte by byte"]
        assert len(names) == len(list(feeds(data)))
        assert len(names) > min(len(data), 30)
    assert [len(pieces) for _, pieces in feeds(b"abc")] == [1, 3, 2, 2]
