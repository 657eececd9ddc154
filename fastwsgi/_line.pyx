"""Lines of the access log, from an exchange to the file without an object in between.

A `Line` is made of pieces once; then each line is appended to a buffer, piece by piece, every text being escaped while
it is copied. `LineLog` writes it by one write(2). That goes past the logger, which would make a record of each line for
nobody, but only while the logger does nothing else than append lines to our file: this is looked at every time, because
an application may add a filter or a handler, or replace a formatter, whenever it likes.

Laws: a line cannot be forged: quotation marks, backslashes, and everything that is not printable ASCII are escaped,
whoever chose them. A line that cannot be written is dropped and stops nothing. Durations of one line are one number.
"""

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy
from libc.time cimport time

from fastwsgi._guard cimport Guard, guard_enter, guard_leave, latch_drop, latch_init, latch_take, owner_of
from fastwsgi._writer cimport Output, release, reserve

cdef extern from "Python.h":
    int PyUnicode_KIND(object text)
    void *PyUnicode_DATA(object text)
    const Py_ssize_t PY_SSIZE_T_MAX
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    uint32_t PyUnicode_READ(int kind, void *data, Py_ssize_t index)
    PyObject *PyDict_GetItemWithError(dict mapping, object key) except? NULL

cdef extern from "<unistd.h>" nogil:
    ssize_t write_to "write"(int fd, const void *data, size_t size)

cdef enum:
    INFO = 20                         # logging.INFO
    LONGEST_ESCAPE = 12               # of one character

KINDS = (
    "literal", "variable", "call", "ready", "clock", "client", "request", "user", "path", "status", "bytes",
    "waited", "seconds", "milliseconds", "microseconds", "decimal",
)

# Characters that stand for themselves.
cdef uint8_t PLAIN[256]
for _code in range(256):
    PLAIN[_code] = 32 <= _code < 127 and _code not in b'"\\'


@cython.final
cdef class Line:
    """A form of lines. `pieces` are pairs of one of KINDS and its argument, or None; see the .pxd.

    With `json` texts stand in quotation marks and are escaped as RFC 8259 wants it, and what is missing is null and not
    a dash. Called with an exchange that is over, it returns its line.
    """

    def __cinit__(self, pieces, *, bint json=False):
        cdef Py_ssize_t i
        self.pieces = tuple(pieces)
        self.count = len(self.pieces)
        self.plan = <Piece *>calloc(<size_t>self.count + 1, sizeof(Piece))
        if self.plan == NULL:
            raise MemoryError
        for i in range(self.count):
            kind, argument = self.pieces[i]
            self.plan[i].kind = <Kind><int>KINDS.index(kind)
            self.plan[i].argument = <void *>argument
        self.json = json
        self.second = -1

    def __dealloc__(self):
        free(self.plan)

    def __call__(self, exchange):
        cdef Output out
        out.data, out.length, out.capacity = NULL, 0, 0
        try:
            self.put(&out, exchange)
            return PyUnicode_DecodeASCII(out.data, <Py_ssize_t>out.length, NULL) if out.length else ""
        finally:
            release(&out)

    cdef int put(self, Output *out, object exchange) except -1:
        cdef int64_t micros = -1
        cdef dict environ = exchange.environ
        cdef Py_ssize_t i
        cdef Guard guard
        reserve(out, 512)
        guard_enter(&guard, owner_of(<PyObject *>environ))  # a thread that the application left behind may have it
        try:
            for i in range(self.count):
                self.put_piece(out, &self.plan[i], exchange, environ, &micros)
        finally:
            guard_leave(&guard)
        return 0

    cdef int put_piece(self, Output *out, const Piece *piece, object exchange, dict environ, int64_t *micros) except -1:
        cdef PyObject *found
        cdef object value
        if piece.kind == LITERAL:
            value = <object>piece.argument
            return put_bytes(out, <const char *><bytes>value, <size_t>len(<bytes>value))
        if piece.kind == VARIABLE:
            found = PyDict_GetItemWithError(environ, <object>piece.argument)
            return self.put_missing(out) if found == NULL else self.put_object(out, <object>found)
        if piece.kind == CALL:
            return self.put_object(out, (<object>piece.argument)(exchange))
        if piece.kind == READY:
            value = (<object>piece.argument)(exchange).encode("ascii")
            return put_bytes(out, <const char *><bytes>value, <size_t>len(<bytes>value))
        if piece.kind == CLOCK:
            return self.put_clock(out, <object>piece.argument)
        if piece.kind == CLIENT:
            found = PyDict_GetItemWithError(environ, "REMOTE_ADDR")
            value = exchange.remote_addr if found == NULL else <object>found
            return self.put_object(out, value or None)
        if piece.kind == USER:
            found = PyDict_GetItemWithError(environ, "HTTP_AUTHORIZATION")
            return self.put_missing(out) if found == NULL else self.put_object(out, (<object>piece.argument)(exchange))
        if piece.kind == REQUEST:
            found = PyDict_GetItemWithError(environ, "RAW_URI")
            if found == NULL:
                return self.put_missing(out)
            self.put_object(out, environ.get("REQUEST_METHOD"))
            put_bytes(out, b" ", 1)
            self.put_object(out, <object>found)
            put_bytes(out, b" ", 1)
            return self.put_object(out, environ.get("SERVER_PROTOCOL"))
        if piece.kind == PATH:
            found = PyDict_GetItemWithError(environ, "RAW_URI")
            return self.put_object(out, None if found == NULL else str(<object>found).partition("?")[0])
        if piece.kind == STATUS:
            value = exchange.status  # None where the client was gone before there was one
            return self.put_missing(out) if value is None else put_escaped(out, value, 3, self.json)
        if piece.kind == BYTES:
            return put_number(out, exchange.body_bytes)
        if piece.kind == WAITED:
            return put_number(out, exchange.waited)
        if micros[0] < 0:
            micros[0] = <int64_t>(exchange.duration * 1e6 + 0.5)
        if piece.kind == SECONDS:
            return put_number(out, micros[0] // 1000000)
        if piece.kind == MILLISECONDS:
            return put_number(out, micros[0] // 1000)
        if piece.kind == MICROSECONDS:
            return put_number(out, micros[0])
        return put_decimal(out, micros[0])

    cdef int put_clock(self, Output *out, object make) except -1:
        cdef int64_t now = time(NULL)
        cdef str clock
        cdef Guard guard
        guard_enter(&guard, owner_of(<PyObject *>self))
        try:
            if now != self.second:
                self.clock = make(now)
                self.second = now
            clock = self.clock
        finally:
            guard_leave(&guard)
        return self.put_text(out, clock)

    cdef int put_object(self, Output *out, object value) except -1:
        if value is None:
            return self.put_missing(out)
        if self.json and type(value) is int:
            return put_number(out, value)
        return self.put_text(out, value if type(value) is str else str(value))

    cdef int put_missing(self, Output *out) except -1:
        return put_bytes(out, b"null", 4) if self.json else put_bytes(out, b"-", 1)

    cdef int put_text(self, Output *out, str text) except -1:
        if not self.json:
            return put_escaped(out, text, PY_SSIZE_T_MAX, False)
        put_bytes(out, b'"', 1)
        put_escaped(out, text, PY_SSIZE_T_MAX, True)
        return put_bytes(out, b'"', 1)


cdef inline int put_bytes(Output *out, const char *data, size_t length) except -1:
    if out.capacity - out.length < length:
        reserve(out, length)
    memcpy(out.data + out.length, data, length)
    out.length += length
    return 0


# At most `most` characters of a text.
cdef int put_escaped(Output *out, str text, Py_ssize_t most, bint json) except -1:
    cdef Py_ssize_t length = min(PyUnicode_GET_LENGTH(text), most), done = 0
    cdef int kind = PyUnicode_KIND(text)
    cdef void *data = PyUnicode_DATA(text)
    if kind == 1:
        reserve(out, <size_t>length)
        done = copy_plain(out.data + out.length, <const uint8_t *>data, length)
        out.length += <size_t>done
    while done < length:
        put_character(out, PyUnicode_READ(kind, data, done), json)
        done += 1
    return 0


# Copy characters that stand for themselves; returns how many there are before the first that does not.
cdef inline Py_ssize_t copy_plain(char *target, const uint8_t *source, Py_ssize_t length) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(length):
        if not PLAIN[source[i]]:
            return i
        target[i] = <char>source[i]
    return length


cdef int put_character(Output *out, uint32_t code, bint json) except -1:
    cdef char *p
    reserve(out, LONGEST_ESCAPE + 1)
    p = out.data + out.length
    if code < 256 and PLAIN[code]:
        p[0] = <char>code
        out.length += 1
    elif code == 34 or code == 92:
        p[0], p[1] = 92, <char>code
        out.length += 2
    elif json and code >= 0x10000:  # a pair of surrogates
        code -= 0x10000
        out.length += <size_t>snprintf(p, 13, b"\\u%04x\\u%04x", 0xD800 + (code >> 10), 0xDC00 + (code & 0x3FF))
    elif json or 0x100 <= code < 0x10000:
        out.length += <size_t>snprintf(p, 13, b"\\u%04x", code)
    elif code < 0x100:
        out.length += <size_t>snprintf(p, 13, b"\\x%02x", code)
    else:
        out.length += <size_t>snprintf(p, 13, b"\\U%08x", code)
    return 0


cdef int put_number(Output *out, int64_t number) except -1:
    cdef char digits[20]
    cdef char *p = digits + 20
    while True:  # backwards; no number here is below zero
        p -= 1
        p[0] = <char>(48 + number % 10)
        number //= 10
        if number == 0:
            return put_bytes(out, p, <size_t>(digits + 20 - p))


cdef int put_decimal(Output *out, int64_t micros) except -1:
    reserve(out, 32)
    out.length += <size_t>snprintf(
        out.data + out.length, 32, b"%lld.%06lld", <long long>(micros // 1000000), <long long>(micros % 1000000)
    )
    return 0


def escape(str text not None):
    """Return `text` with everything escaped that could end a quotation or a line."""
    cdef Output out
    out.data, out.length, out.capacity = NULL, 0, 0
    try:
        put_escaped(&out, text, PY_SSIZE_T_MAX, False)
        return PyUnicode_DecodeASCII(out.data, <Py_ssize_t>out.length, NULL) if out.length else ""
    finally:
        release(&out)


@cython.final
cdef class LineLog:
    """Called with each exchange that is over, it writes its line.

    `handler` is the one that `logger` has, a plain StreamHandler over a file with a descriptor. As soon as either is no
    longer what it was, `otherwise(exchange)` is called instead.
    """

    def __init__(self, Line line not None, logger, handler, otherwise):
        latch_init(&self.latch)
        self.line = line
        self.handler = handler
        self.formatter = handler.formatter
        self.fd = handler.stream.fileno()
        self.logger_state = vars(logger)
        self.handler_state = vars(handler)
        self.manager_state = vars(logger.manager)
        self.otherwise = otherwise

    def __dealloc__(self):
        release(&self.spare)

    def __call__(self, exchange):
        cdef Output out
        if not self.is_plain():
            self.otherwise(exchange)
            return
        latch_take(&self.latch)
        out = self.spare
        self.spare.data, self.spare.capacity = NULL, 0
        latch_drop(&self.latch)
        out.length = 0
        try:
            self.line.put(&out, exchange)
            put_bytes(&out, b"\n", 1)
            self.write(&out)
        finally:
            latch_take(&self.latch)
            if self.spare.data == NULL:
                self.spare, out.data = out, NULL
            latch_drop(&self.latch)
            release(&out)  # where two threads were here at once

    # What is not found as it is known makes it no plain logger, which is always right.
    cdef bint is_plain(self) except -1:
        return (
            is_only(self.logger_state, "handlers", self.handler)
            and is_false(self.logger_state, "filters") and is_false(self.logger_state, "disabled")
            and is_false(self.logger_state, "propagate") and is_low(self.logger_state, "level")
            and PyDict_GetItemWithError(self.handler_state, "formatter") == <PyObject *>self.formatter
            and is_false(self.handler_state, "filters") and is_low(self.handler_state, "level")
            and is_false(self.manager_state, "_disable")
        )

    # In one piece, so that lines of several processes do not mix; in several where the kernel takes no more at once.
    cdef int write(self, const Output *out) except -1:
        cdef const char *data = out.data
        cdef size_t left = out.length
        cdef ssize_t taken
        while left:
            with nogil:
                taken = write_to(self.fd, data, left)
            if taken < 0:
                if errno != EINTR:
                    return 0
                PyErr_CheckSignals()
                continue
            data += taken
            left -= <size_t>taken
        return 0


# Of an attribute that somebody else may set meanwhile.
cdef inline bint is_only(dict state, str name, object handler) except -1:
    cdef PyObject *found
    cdef Guard guard
    guard_enter(&guard, owner_of(<PyObject *>state))
    try:
        found = PyDict_GetItemWithError(state, name)
        return (
            found != NULL and type(<object>found) is list and len(<list><object>found) == 1
            and (<list><object>found)[0] is handler
        )
    finally:
        guard_leave(&guard)


cdef inline bint is_false(dict state, str name) except -1:
    cdef PyObject *found
    cdef Guard guard
    guard_enter(&guard, owner_of(<PyObject *>state))
    try:
        found = PyDict_GetItemWithError(state, name)
        return found != NULL and not <object>found
    finally:
        guard_leave(&guard)


cdef inline bint is_low(dict state, str name) except -1:
    cdef PyObject *found
    cdef Guard guard
    guard_enter(&guard, owner_of(<PyObject *>state))
    try:
        found = PyDict_GetItemWithError(state, name)
        return found != NULL and <int><object>found <= INFO
    finally:
        guard_leave(&guard)
