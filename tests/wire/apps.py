"""Small applications for the wire tests: `echo`, and hostile ones that do what a response must never show.

Each stands under the number of the rule of section G that it touches. `dispatch` picks one by the path, `from_query`
builds a response from the query, so that cases stay files.
"""

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tests.wire.recorder import CALL, Application, Call, Environ

StartResponse = Callable[..., Callable[[bytes], object]]

PLAIN = ("Content-Type", "text/plain")
FILE = Path(__file__).parent / "hello-file.txt"


def echo(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Notes the body it read and answers with the path, as bytes."""
    environ[CALL].body = environ["wsgi.input"].read()
    path = environ["PATH_INFO"].encode("latin-1")
    start_response("200 OK", [PLAIN, ("Content-Length", str(len(path)))])
    return [path]


def ignore_body(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [PLAIN, ("Content-Length", "2")])
    return [b"ok"]


def dispatch(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Hands over to the application of this module that the path names."""
    target: Application = globals()[environ["PATH_INFO"].removeprefix("/")]
    return target(environ, start_response)


def from_query(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answers `ok` with the fields that pairs of `name` and `value` give, under `status`."""
    query = parse_qs(environ["QUERY_STRING"], keep_blank_values=True, encoding="latin-1")
    fields = zip(query.get("name", []), query.get("value", []), strict=True)
    start_response(query.get("status", ["200 OK"])[0], [PLAIN, *fields])
    return [b"ok"]


def answering(
    items: Iterable[bytes], *fields: tuple[str, str], status: str = "200 OK"
) -> Application:
    """An application that returns the items as they are."""

    def application(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, [PLAIN, *fields])
        return items

    return application


def yielding(
    *items: bytes, fields: tuple[tuple[str, str], ...] = (), status: str = "200 OK"
) -> Application:
    """An application that returns a generator of the items."""

    def application(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, [PLAIN, *fields])
        return (item for item in items)

    return application


def writing(
    *items: bytes,
    fields: tuple[tuple[str, str], ...] = (),
    then: Iterable[bytes] = (),
    status: str = "200 OK",
) -> Application:
    """An application that gives the items to write() and returns `then`."""

    def application(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response(status, [PLAIN, *fields])
        for item in items:
            write(item)
        return then

    return application


def starting(status: Any, fields: Any) -> Application:
    """An application that gives start_response whatever it is given."""

    def application(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, fields)
        return [b"Evil"]

    return application


def length(value: int) -> tuple[str, str]:
    return ("Content-Length", str(value))


# 125
name_is_bytes = starting("200 OK", [(b"Evil", "b")])
name_beyond_ascii = starting("200 OK", [("Evil\u20ac", "b")])
value_is_bytes = starting("200 OK", [("Evil", b"b")])
value_is_a_number = starting("200 OK", [("Evil", 1)])
value_is_none = starting("200 OK", [("Evil", None)])
value_beyond_latin1 = starting("200 OK", [("Evil", "\u20ac")])
value_with_surrogate = starting("200 OK", [("Evil", "\udc80")])
field_of_three = starting("200 OK", [("Evil", "b", "c")])
field_is_a_string = starting("200 OK", ["Evil: b"])
fields_are_none = starting("200 OK", None)

# 127
status_is_a_number = starting(200, [])
status_is_bytes = starting(b"200 OK", [])
status_is_none = starting(None, [])
status_beyond_latin1 = starting("200 \u20ac", [])

# 129
too_long_list = answering([b"hello, evil"], length(5))
too_long_items = answering([b"hel", b"lo, evil", b"evil"], length(5))
too_long_generator = yielding(b"hello", b"evil", b"evil", fields=(length(5),))
too_long_write = writing(b"hello", b"evil", fields=(length(5),))
too_long_for_zero = answering([b"evil"], length(0))

# 130
too_short_list = answering([b"hell"], length(5))
too_short_items = answering([b"he", b"ll"], length(5))
too_short_generator = yielding(b"he", b"ll", fields=(length(5),))
too_short_write = writing(b"hell", fields=(length(5),))
too_short_nothing = answering([], length(5))

# 131, 132
stream = yielding(b"one", b"two", b"three")
written = writing(b"one", b"two", b"three")
one_item_list = answering([b"hello"])
one_item_tuple = answering((b"hello",))
no_item_list = answering([])
sized = answering([b"hello"], length(5))


class SizedItems:
    """An iterable of three items that knows how many, and is not its own iterator."""

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"one", b"two", b"three"])


sized_items = answering(SizedItems())

# 133
no_content = answering([], status="204 No Content")
no_content_with_length = answering([], length(0), status="204 No Content")
no_content_with_body = answering([b"evil"], length(4), status="204 No Content")
no_content_generator = yielding(b"evil", b"evil", status="204 No Content")
no_content_written = writing(b"evil", status="204 No Content")
not_modified = answering([], status="304 Not Modified")
not_modified_with_length = answering([], length(12345), status="304 Not Modified")
not_modified_with_length_and_body = answering([b"evil"], length(12345), status="304 Not Modified")
not_modified_with_body = answering([b"evil"], status="304 Not Modified")
not_modified_generator = yielding(b"evil", b"evil", status="304 Not Modified")

# 134
CHUNKED = ("Transfer-Encoding", "chunked")
claims_chunked_list = answering([b"hello"], CHUNKED)
claims_chunked_generator = yielding(b"one", b"two", b"three", fields=(CHUNKED,))
claims_chunked_and_length = answering([b"hello"], length(5), CHUNKED)


# 135
def raises(_environ: Environ, _start_response: StartResponse) -> Iterable[bytes]:
    raise ValueError("evil")


def raises_after_start_response(
    _environ: Environ, start_response: StartResponse
) -> Iterable[bytes]:
    start_response("200 evil", [PLAIN])
    raise ValueError("evil")


def raises_on_first_item(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 evil", [PLAIN])
    raise ValueError("evil")
    yield b"evil"


class Unwilling:
    """An iterable that fails when asked for its iterator."""

    def __iter__(self) -> Iterator[bytes]:
        raise ValueError("evil")


raises_in_iter = answering(Unwilling(), status="200 evil")


def raises_exit(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 evil", [PLAIN])
    sys.exit("evil")


def never_starts(_environ: Environ, _start_response: StartResponse) -> Iterable[bytes]:
    return [b"evil"]


def never_starts_returns_none(_environ: Environ, _start_response: StartResponse) -> Any:
    return None


def never_starts_returns_nothing(
    _environ: Environ, _start_response: StartResponse
) -> Iterable[bytes]:
    return []


def never_starts_generator(_environ: Environ, _start_response: StartResponse) -> Iterable[bytes]:
    yield b"evil"
    yield b"evil"


def returning(value: Any) -> Application:
    def application(_environ: Environ, start_response: StartResponse) -> Any:
        start_response("200 evil", [PLAIN])
        return value

    return application


returns_none = returning(None)
returns_a_number = returning(5)
returns_bytes = returning(b"evil")
returns_a_string = returning("evil")
item_is_a_string = returning(["evil"])
item_is_a_number = returning([5])
item_is_none = returning([None])


def starts_twice(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 evil", [PLAIN])
    start_response("200 evil", [PLAIN])
    return [b"evil"]


def writes_a_string(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    write: Any = start_response("200 evil", [PLAIN])
    write("evil")
    return []


def starts_late(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [PLAIN])
    yield b"hello"


# 136
def breaking(*fields: tuple[str, str], last: Any = None) -> Application:
    """An application whose generator gives two items, then `last`, then fails."""

    def application(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [PLAIN, *fields])
        yield b"one"
        yield b"two"
        if last is not None:
            yield last
        raise ValueError("in mid-stream")

    return application


breaks_chunked = breaking()
breaks_sized = breaking(length(11))
item_turns_string = breaking(last="three")


def breaks_written(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", [PLAIN])
    write(b"one")
    raise ValueError("in mid-stream")


# 137
def changes_its_mind(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [PLAIN, ("X-First", "evil")])
    try:
        raise ValueError("second thoughts")
    except ValueError:
        start_response("503 Sorry", [PLAIN], sys.exc_info())
    return [b"sorry"]


def changes_its_mind_late(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [PLAIN])
    yield b"one"
    try:
        raise ValueError("second thoughts")
    except ValueError:
        try:
            start_response("503 evil", [PLAIN], sys.exc_info())
        except BaseException as error:
            environ[CALL].error = error
            raise
    yield b"evil"


# 139
writes_then_returns = writing(b"one", b"two", then=[b"three", b"four"])
writes_sized = writing(b"one", b"two", fields=(length(15),), then=[b"three", b"four"])


def writes_then_yields(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", [PLAIN])
    write(b"one")
    yield b"two"
    write(b"three")
    yield b"four"


# 141
def wrapping(
    make: Callable[[], Any], *fields: tuple[str, str], block: int = 8192, skip: int = 0
) -> Application:
    """An application that returns a file in `wsgi.file_wrapper`."""

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [PLAIN, *fields])
        body = make()
        body.read(skip)
        if "wsgi.file_wrapper" not in environ:  # which a server need not have
            return iter(lambda: body.read(block), b"")
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](body, block)
        return wrapped

    return application


def opened() -> Any:
    return FILE.open("rb")


def in_memory() -> Any:
    return io.BytesIO(FILE.read_bytes())


def emptied() -> Any:
    return Path("/dev/null").open("rb")


file = wrapping(opened)
file_sized = wrapping(opened, length(11))
file_like = wrapping(in_memory)
file_with_small_blocks = wrapping(in_memory, block=2)
file_of_an_offset = wrapping(lambda: io.BytesIO(b"skip" + FILE.read_bytes()), skip=4)
file_too_short = wrapping(opened, length(12))
file_like_too_short = wrapping(in_memory, length(12))
file_too_long = wrapping(opened, length(5))
file_like_too_long = wrapping(in_memory, length(5))
file_empty = wrapping(emptied)


# 142
def reads(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Reads as the path says (`/read5,readline`), the last way until nothing comes; answers the pieces with bars."""
    pieces: list[bytes] = []
    *once, last = environ["PATH_INFO"].removeprefix("/").split(",")
    for way in once:
        pieces += read_once(environ["wsgi.input"], way)
    if last in ("readlines", "readlines5", "iter") or once:
        pieces += read_once(environ["wsgi.input"], last)
    else:
        while any(found := read_once(environ["wsgi.input"], last)):
            pieces += found
        if pieces:
            pieces += found
    start_response("200 OK", [PLAIN])
    return [b"|".join(pieces)]


def read_once(source: Any, way: str) -> list[bytes]:
    name = way.rstrip("-0123456789").removesuffix("None")
    arguments = (
        [] if name == way else [None if way.endswith("None") else int(way.removeprefix(name))]
    )
    if name == "iter":
        return list(source)
    found = getattr(source, name)(*arguments)
    return found if name == "readlines" else [found]


# 143
empty_items_generator = yielding(b"", b"one", b"", b"", b"two", b"")
empty_items_list = answering([b"", b"one", b"", b"two", b""])
empty_items_written = writing(b"", b"one", b"", b"two", b"", then=[b""])
empty_items_sized = answering([b"", b"one", b"", b"two", b""], length(6))
only_empty_items = answering([b"", b"", b""])
only_empty_generator = yielding(b"", b"", b"")
one_empty_item = answering([b""])


# 95
def large_or_echo(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answers /large with more than a server keeps for a client that does not read yet."""
    if environ["PATH_INFO"] != "/large":
        return echo(environ, start_response)
    start_response("200 OK", [PLAIN])
    return (b"x" * 8192 for _ in range(64))


# 138
class Closing:
    """A body that is not its own iterator and tells the call of each `close`. Fails at the end where that is wanted."""

    def __init__(self, call: Call, error: Exception | None = None) -> None:
        self.call = call
        self.error = error

    def __iter__(self) -> Iterator[bytes]:
        yield from (b"one", b"two")
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.call.closed += 1


class ClosingIterator(Closing):
    """As `Closing`, and its own iterator."""

    def __init__(self, call: Call, error: Exception | None = None) -> None:
        super().__init__(call, error)
        self.items = super().__iter__()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self.items)


def closing(
    kind: type[Closing], error: Exception | None = None, status: str = "200 OK"
) -> Application:
    """An application that returns a body of that kind; with an empty status it never calls start_response."""

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if status:
            start_response(status, [PLAIN])
        return kind(environ[CALL], error)

    return application


closes = closing(Closing)
closes_iterator = closing(ClosingIterator)
closes_without_content = closing(Closing, status="204 No Content")
closes_after_failure = closing(Closing, ValueError("at the end"))
closes_iterator_after_failure = closing(ClosingIterator, ValueError("at the end"))
closes_without_start = closing(Closing, status="")
