"""Cases as files: the bytes of the requests and what must come of them. The form is described in cases/README.md."""

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

CASES = Path(__file__).parent / "cases"

ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\", "{": b"{", '"': b'"'}
TOKEN = re.compile(
    r"""\\x(?P<hex>[0-9a-fA-F]{2})
    |   \\(?P<escape>[rnt0\\{"])
    |   \{repeat[ ](?P<times>[0-9]+)[ ]"(?P<text>(?:[^"\\]|\\.)*)"\}
    |   \{(?P<value>value)\}
    |   (?P<plain>[^\\{]+)""",
    re.VERBOSE,
)
ANSWER = re.compile(r"(?P<statuses>[0-9]{3}(?:\|[0-9]{3})*)(?P<optional>\?)?(?P<cut>!)?")
FACT = re.compile(r"(?P<key>[a-z]+)(?: (?P<nth>[0-9]+))?:(?: (?P<value>.*))?")

TRANSPORTS = ("tcp", "unix", "tls")

Fate = Literal["C", "X", "K", "?"]


class CaseError(ValueError):
    """A case file that cannot be read; names the file."""


@dataclass(frozen=True)
class ExpectedAnswer:
    """One response: any of the statuses; perhaps not there at all; perhaps cut short by the end of the stream."""

    statuses: frozenset[int]
    optional: bool = False
    cut: bool = False


@dataclass(frozen=True)
class Outcome:
    """All responses in order; then the connection closes (C), closes or is reset (X), stays usable (K), or any (?)."""

    answers: tuple[ExpectedAnswer, ...]
    fate: Fate


@dataclass(frozen=True)
class Fact:
    """A thing that must hold of the nth call or the nth response, counted from 1."""

    nth: int
    name: str
    value: str


@dataclass
class Case:
    """Requests and what must come of them."""

    path: Path
    name: str = ""
    request: bytes = b""
    outcomes: tuple[Outcome, ...] = ()
    calls: int | None = None
    records: int | None = None
    methods: tuple[str, ...] = ()
    app: str = "echo"
    over: tuple[str, ...] = TRANSPORTS
    allowed: tuple[Outcome, ...] = ()
    anything_allowed: bool = False
    half_close: bool = False
    handshake: bool = True
    whole_only: bool = False
    logged: list[str] = field(default_factory=list)
    settings: dict[str, int | str] = field(default_factory=dict)
    saw: list[Fact] = field(default_factory=list)
    unseen: list[Fact] = field(default_factory=list)
    bodies: list[Fact] = field(default_factory=list)
    answers: list[Fact] = field(default_factory=list)
    unanswered: list[Fact] = field(default_factory=list)
    contents: list[Fact] = field(default_factory=list)
    closed: list[Fact] = field(default_factory=list)
    never: list[bytes] = field(default_factory=list)
    values: list[str] = field(default_factory=list)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of wire.md in the file's name: `097-098-nothing-after-an-error.http` has two."""
        match = re.match(r"(?:[0-9]{3}-)*", self.path.name)
        return tuple(int(part) for part in match[0].split("-") if part) if match else ()

    def __str__(self) -> str:
        return f"{self.path.parent.name}/{self.path.stem}" + (f"[{self.name}]" if self.name else "")


def decode(text: str, value: str = "") -> bytes:
    """The bytes that an escaped line stands for; ValueError where it is ambiguous or not of the form."""
    if text != text.strip() or not text.isascii() or not text.isprintable():
        raise ValueError(
            f"write white space at the ends, controls and bytes from 0x80 as escapes: {text!r}"
        )
    out, position = bytearray(), 0
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"no such escape at {text[position:]!r}")
        position = match.end()
        if match["hex"]:
            out.append(int(match["hex"], 16))
        elif match["escape"]:
            out += ESCAPES[match["escape"]]
        elif match["times"]:
            out += decode_quoted(match["text"]) * int(match["times"])
        elif match["value"]:
            out += decode(value)
        else:
            out += match["plain"].encode("ascii")
    return bytes(out)


def decode_quoted(text: str) -> bytes:
    """As `decode`, where quotes show that white space at the ends is meant."""
    edge = len(text) - len(text.lstrip(" ")), len(text) - len(text.rstrip(" "))
    return b" " * edge[0] + decode(text.strip(" ")) + (b" " * edge[1] if text.strip(" ") else b"")


def parse_outcome(text: str) -> Outcome:
    """`100? 200|204 400! C`, or `- C` for a connection that closes without a word."""
    *words, fate = text.split(" ")
    if fate not in ("C", "X", "K", "?"):
        raise ValueError(f"an outcome ends in C, X, K or ?: {text!r}")
    answers = []
    for word in words if words != ["-"] else []:
        match = ANSWER.fullmatch(word)
        if match is None:
            raise ValueError(f"no answer of this form: {word!r}")
        statuses = frozenset(int(status) for status in match["statuses"].split("|"))
        answers.append(ExpectedAnswer(statuses, bool(match["optional"]), bool(match["cut"])))
    return Outcome(tuple(answers), cast(Fate, fate))


def add_fact(case: Case, line: str) -> None:
    """Reads one line of expectation into the case."""
    match = FACT.fullmatch(line)
    if match is None:
        raise ValueError(f"no fact of this form: {line!r}")
    key, value = match["key"], match["value"] or ""
    nth = int(match["nth"] or 1)
    numbered = {
        "saw": case.saw,
        "unseen": case.unseen,
        "body": case.bodies,
        "answer": case.answers,
        "unanswered": case.unanswered,
        "content": case.contents,
        "closed": case.closed,
    }
    if key in numbered:
        name, _, wanted = value.partition(" =") if key in ("saw", "answer") else ("", "", value)
        if key in ("unseen", "unanswered"):
            name, wanted = value, ""
        numbered[key].append(Fact(nth, name, wanted.removeprefix(" ") if name else wanted))
    elif match["nth"]:
        raise ValueError(f"{key} takes no number: {line!r}")
    else:
        add_plain_fact(case, key, value)


def add_plain_fact(case: Case, key: str, value: str) -> None:
    match key:
        case "expect":
            case.outcomes = tuple(parse_outcome(part) for part in value.split(" or "))
        case "allowed":
            case.anything_allowed = value == "any"
            texts = [] if value in ("any", "nothing") else value.split(" or ")
            case.allowed = tuple(parse_outcome(part) for part in texts)
        case "handshake":
            if value != "none":
                raise ValueError(f"the only handshake there is to choose is none, not {value!r}")
            case.handshake = False
        case "calls":
            case.calls = int(value)
        case "methods":
            case.methods = tuple(value.split(" "))
        case "records":
            case.records = int(value)
        case "over":
            case.over = tuple(value.split(" "))
            if not set(case.over) <= set(TRANSPORTS):
                raise ValueError(f"a case may be for {TRANSPORTS}, not for {value!r}")
        case "app":
            case.app = value
        case "set":
            name, _, setting = value.partition(" =")
            case.settings[name] = parse_setting(setting.removeprefix(" "))
        case "end":
            if value != "half-close":
                raise ValueError(f"the only end there is to choose is half-close, not {value!r}")
            case.half_close = True
        case "feed":
            if value != "whole":
                raise ValueError(f"the only feed there is to choose is whole, not {value!r}")
            case.whole_only = True
        case "logged":
            case.logged.append(value)
        case "never":
            case.never.append(decode(value))
        case "value":
            case.values.append(value)
        case _:
            raise ValueError(f"no fact is called {key!r}")


def parse_setting(text: str) -> int | str:
    if text in ("true", "false"):
        return text == "true"
    return int(text) if text.isdigit() else text


def copy_of(case: Case, name: str) -> Case:
    """A case of the same file that starts with the facts of `case`."""
    copy = deepcopy(case)
    copy.name = name
    return copy


def parse_file(path: Path) -> Iterator[Case]:
    """Yields the cases of one file, one for each of their values; CaseError names file and line."""
    common = Case(path)
    case, in_bytes = common, False
    lines: list[str] = []
    for number, line in enumerate([*path.read_text("utf-8").splitlines(), "=== end"], 1):
        try:
            if line.startswith("==="):
                yield from variants(case, lines)
                case, lines, in_bytes = copy_of(common, line[3:].strip()), [], False
            elif in_bytes:
                lines.extend([line] if line else [])
            elif not line:
                in_bytes = case is not common
            elif not line.startswith("#"):
                add_fact(case, line)
        except ValueError as error:
            raise CaseError(f"{path}:{number}: {error}") from error


def variants(case: Case, lines: list[str]) -> Iterator[Case]:
    if not lines:
        if case.name:
            raise ValueError(f"case {case.name!r} has no bytes")
        return
    if not case.outcomes:
        raise ValueError("a case without `expect`")
    used = any("{value}" in line for line in lines)
    if used != bool(case.values):
        raise ValueError("`value` facts and {value} in the bytes belong together")
    for value in case.values or [""]:
        name = " ".join(part for part in (case.name, value) if part)
        variant = copy_of(case, name)
        variant.logged = [line.replace("{value}", value) for line in case.logged]
        variant.request = b"".join(decode(line, value) for line in lines)
        yield variant


def load_cases(folder: Path = CASES) -> list[Case]:
    """Every case below the folder, in the order of the file names."""
    return [case for path in sorted(folder.rglob("*.http")) for case in parse_file(path)]
