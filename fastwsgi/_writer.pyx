"""Header serialisation: the application's status and fields into one output buffer (RFC 9112 3.1.2, 5).

How it works: names and values are read where the str objects keep them, checked by table or by sixteen bytes at a
time, and copied once. A (name, value) tuple that comes again, as constants do, is known by its identity and its line
is copied as it was made; the tuple is kept for that, so no other object can have its address. Date and Server stand
ready as one block that changes when the second does. A head all of whose objects come again in the same second is one
copy.

Laws: what is refused leaves nothing behind, the buffer is cut back to where it was. Framing and the connection belong
to the server: `Transfer-Encoding`, `Connection` and the other hop-by-hop fields of the application are left out and
reported, and so are its `Date` and `Server`, as gunicorn does.
"""

cimport cython
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memmove, memset
from libc.time cimport gmtime_r, time_t, tm
from libc.stdio cimport snprintf

from fastwsgi._guard cimport FREE_THREADED
from fastwsgi._parser cimport value_span
from fastwsgi._sender cimport release_relay

from fastwsgi.errors import ApplicationError

cdef extern from "Python.h":
    Py_ssize_t PyList_GET_SIZE(object items)
    PyObject *PyList_GET_ITEM(object items, Py_ssize_t place)
    int PyUnicode_1BYTE_KIND
    int PyUnicode_KIND(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    void *PyUnicode_DATA(object text)
    bint PyUnicode_Check(object text)

cdef uint8_t TOKEN[256]


cdef void fill_token() noexcept:
    cdef int c
    for c in range(256):
        TOKEN[c] = c < 128 and (chr(c).isalnum() or chr(c) in "!#$%&'*+-.^_`|~")


fill_token()

cdef const char *DAYS = b"SunMonTueWedThuFriSat"
cdef const char *MONTHS = b"JanFebMarAprMayJunJulAugSepOctNovDec"


# -- output ------------------------------------------------------------------------------------------------------------


cdef int reserve(Output *out, size_t more) except -1:
    cdef size_t capacity
    cdef char *data
    if out.capacity - out.length >= more:
        return 0
    capacity = out.length + more
    capacity += capacity // 2 + 4096
    data = <char *>realloc(out.data, capacity)
    if data == NULL:
        raise MemoryError
    out.data, out.capacity = data, capacity
    return 0


cdef int append(Output *out, const char *data, size_t length) except -1:
    reserve(out, length)
    memcpy(out.data + out.length, data, length)
    out.length += length
    return 0


cdef int prepend(Output *out, const char *data, size_t length) except -1:
    if length:
        reserve(out, length)
        memmove(out.data + length, out.data, out.length)
        memcpy(out.data, data, length)
        out.length += length
    return 0


cdef void release(Output *out) noexcept:
    free(out.data)
    out.data = NULL
    out.length = out.capacity = 0


cdef inline char *put_digits(char *stop, uint64_t number, uint32_t base) noexcept nogil:
    # Writes backwards, ending before `stop`; returns the first digit. Twenty bytes are enough for any number.
    while True:
        stop -= 1
        stop[0] = b"0123456789abcdef"[number % base]
        number //= base
        if number == 0:
            return stop


cdef int put_length(Output *out, int64_t length) except -1:
    cdef char digits[20]
    cdef char *first = put_digits(digits + 20, <uint64_t>length, 10)
    reserve(out, 40)
    append(out, b"Content-Length: ", 16)
    append(out, first, digits + 20 - first)
    return append(out, b"\r\n", 2)


cdef int put_chunk_size(Output *out, size_t size) except -1:
    cdef char digits[20]
    cdef char *first = put_digits(digits + 20, size, 16)
    append(out, first, digits + 20 - first)
    return append(out, b"\r\n", 2)


# -- heads -------------------------------------------------------------------------------------------------------------


# The lengths that a name must have to be looked at closer: one test for nearly every field.
cdef uint32_t NOTED_LENGTHS = (
    1 << 2 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 14 | 1 << 17 | 1 << 18 | 1 << 19
)


cdef inline bint is_name(const unsigned char *p, Py_ssize_t length, const char *name) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(length):
        if (p[i] | 0x20) != <unsigned char>name[i]:
            return False
    return True


cdef ResponseField classify(const unsigned char *p, Py_ssize_t length) noexcept nogil:
    if length > 19 or not (NOTED_LENGTHS >> length) & 1:
        return ORDINARY
    if length == 14:
        return LENGTH if is_name(p, length, b"content-length") else ORDINARY
    if length == 10:
        if is_name(p, length, b"connection"):
            return CONNECTION
        return HOP_BY_HOP if is_name(p, length, b"keep-alive") else ORDINARY
    if length == 4:
        return SERVERS_OWN if is_name(p, length, b"date") else ORDINARY
    if length == 6:
        return SERVERS_OWN if is_name(p, length, b"server") else ORDINARY
    if (
        (length == 2 and is_name(p, length, b"te"))
        or (length == 7 and (is_name(p, length, b"trailer") or is_name(p, length, b"upgrade")))
        or (length == 8 and is_name(p, length, b"trailers"))
        or (length == 17 and is_name(p, length, b"transfer-encoding"))
        or (length == 18 and is_name(p, length, b"proxy-authenticate"))
        or (length == 19 and is_name(p, length, b"proxy-authorization"))
    ):
        return HOP_BY_HOP
    return ORDINARY


# The bytes of a str that has only latin-1 characters, or ApplicationError.
cdef inline const unsigned char *latin_bytes(object text, str what) except NULL:
    if not PyUnicode_Check(text):
        raise ApplicationError(f"{what} must be str, not {type(text).__name__}")
    if PyUnicode_KIND(text) != PyUnicode_1BYTE_KIND:
        raise ApplicationError(f"{what} has characters outside latin-1: {text!a:.100}")
    return <const unsigned char *>PyUnicode_DATA(text)


cdef int64_t parse_length(const unsigned char *p, Py_ssize_t length) except -1:
    cdef int64_t number = 0
    cdef Py_ssize_t i
    if length == 0 or length > 18:
        raise ApplicationError("Content-Length is no number of bytes")
    for i in range(length):
        if not (c"0" <= p[i] <= c"9"):
            raise ApplicationError("Content-Length is no number of bytes")
        number = number * 10 + p[i] - c"0"
    return number


# Whether a Content-Length is to be sent: not with every status (RFC 9110 8.6).
cdef bint note_length(int64_t length, ResponseHead *head) except -1:
    if head.content_length >= 0:
        raise ApplicationError("Content-Length is given twice")
    head.content_length = length
    return head.status >= 200 and head.status != 204


cdef int parse_status(object status) except -1:
    cdef const unsigned char *p = latin_bytes(status, "the status")
    cdef Py_ssize_t length = PyUnicode_GET_LENGTH(status)
    if (
        length < 4 or not (c"1" <= p[0] <= c"9" and c"0" <= p[1] <= c"9" and c"0" <= p[2] <= c"9") or p[3] != c" "
        or value_span(<const char *>p, length) != <size_t>length
    ):
        raise ApplicationError(f"the status must be three digits, a space and a reason: {status!a:.100}")
    return (p[0] - c"0") * 100 + (p[1] - c"0") * 10 + p[2] - c"0"


@cython.final
cdef class HeadWriter:
    """Serialises response heads; `server` is the value of the Server field, or empty for none.

    Raises ValueError for a value that no field can have.
    """

    def __cinit__(self):
        memset(self.lines, 0, sizeof(self.lines))

    def __dealloc__(self):
        cdef int i
        for i in range(LINES):
            Py_XDECREF(self.lines[i].field)
        release(&self.out)
        release_relay(&self.relay)

    def __init__(self, str server not None):
        cdef bytes value = server.encode("latin-1")
        if len(value) > 256 or value_span(value, len(value)) != <size_t>len(value):
            raise ValueError(f"{server!r} cannot be the value of a Server field")
        self.server = b"Server: " + value + b"\r\n" if value else b""
        self.second = -1
        self.whole = -1

    cdef int put_common(self, Output *out, int64_t wall) except -1:
        cdef tm date
        cdef time_t moment = wall
        if wall != self.second:
            self.whole = -1
            gmtime_r(&moment, &date)
            self.common_length = snprintf(  # IMF-fixdate, RFC 9110 5.6.7
                self.common, sizeof(self.common), b"Date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n%s",
                DAYS + 3 * date.tm_wday, date.tm_mday, MONTHS + 3 * date.tm_mon, date.tm_year + 1900,
                date.tm_hour, date.tm_min, date.tm_sec, <const char *>self.server,
            )
            self.second = wall
        return append(out, self.common, self.common_length)

    cdef int put(self, object status, object headers, int64_t wall, ResponseHead *head) except -1:
        cdef Output *out = &self.out
        cdef size_t before = out.length
        if FREE_THREADED and type(headers) is list:  # another thread may have it, too
            headers = (<list>headers)[:]
        if self.repeats(status, headers, wall):
            head[0] = self.meaning
            self.dropped = None
            return append(out, self.text, self.text_length)
        try:
            head.content_length = -1
            head.close_asked = False
            self.dropped = None
            head.status = self.put_status(out, status)
            self.put_common(out, wall)
            if self.put_fields(out, headers, head) and type(headers) is list and status is self.status:
                self.keep_whole(<list>headers, before, head)
        except BaseException:
            out.length = before
            raise
        return 0

    cdef bint repeats(self, object status, object headers, int64_t wall) noexcept:
        cdef int i
        if (
            self.whole < 0 or wall != self.second or status is not self.status
            or type(headers) is not list or PyList_GET_SIZE(headers) != self.whole
        ):
            return False
        for i in range(self.whole):
            if PyList_GET_ITEM(headers, i) != self.fields[i]:
                return False
        return True

    # The head that stands in `out` from `start` is made of lines that are known.
    cdef int keep_whole(self, list headers, size_t start, const ResponseHead *head) noexcept:
        cdef Py_ssize_t count = PyList_GET_SIZE(headers), i
        self.text_length = self.out.length - start
        self.whole = -1
        if count > WHOLE_FIELDS or self.text_length > WHOLE_LIMIT:
            return 0
        memcpy(self.text, self.out.data + start, self.text_length)
        for i in range(count):
            self.fields[i] = PyList_GET_ITEM(headers, i)
        self.meaning = head[0]
        self.whole = <int>count
        return 0

    cdef int put_interim(self, object headers) except -1:
        cdef size_t before = self.out.length
        cdef ResponseHead head
        head.content_length = -1
        try:
            append(&self.out, b"HTTP/1.1 103 Early Hints\r\n", 26)
            self.put_fields(&self.out, headers, &head)
            if head.content_length >= 0:  # RFC 9110 8.6
                raise ApplicationError("an interim response has no Content-Length")
        except BaseException:
            self.out.length = before
            raise
        return append(&self.out, b"\r\n", 2)

    # "HTTP/1.1 NNN reason" CR LF; returns NNN.
    cdef int put_status(self, Output *out, object status) except -1:
        cdef Py_ssize_t length
        cdef int code
        if status is self.status:
            append(out, self.status_line, self.status_length)
            return self.status_code
        code = parse_status(status)
        length = PyUnicode_GET_LENGTH(status)
        append(out, b"HTTP/1.1 ", 9)
        append(out, <const char *>PyUnicode_DATA(status), length)
        append(out, b"\r\n", 2)
        if length + 11 <= <Py_ssize_t>sizeof(self.status_line):
            self.whole = -1
            self.status, self.status_code, self.status_length = status, code, length + 11
            memcpy(self.status_line, out.data + out.length - self.status_length, self.status_length)
        return code

    cdef bint put_fields(self, Output *out, object headers, ResponseHead *head) except -1:
        cdef list fields
        cdef object field
        cdef FieldLine *line
        cdef size_t start
        cdef int64_t before
        cdef bint known = True
        if type(headers) is list:
            fields = headers
        else:
            try:
                fields = [field for field in headers]  # whatever it says of its length
            except TypeError:
                raise ApplicationError("the headers must be a list of (name, value) tuples") from None
        for field in fields:
            line = &self.lines[(<size_t><void *>field >> 4 ^ <size_t><void *>field >> 10) & (LINES - 1)]
            if line.field == <PyObject *>field:
                self.put_known(out, line, head)
                continue
            known = False
            if type(field) is tuple and len(<tuple>field) == 2:
                start = out.length
                before = head.content_length
                self.put_field(out, (<tuple>field)[0], (<tuple>field)[1], head)
                if start < out.length <= start + LINE_LIMIT:
                    self.learn(line, <tuple>field, out, start, -1 if before >= 0 else head.content_length)
            else:
                self.put_pair(out, field, head)
        return known

    cdef bint put_known(self, Output *out, const FieldLine *line, ResponseHead *head) except -1:
        if line.content_length >= 0:
            if not note_length(line.content_length, head):
                return False
        append(out, line.text, line.length)
        return True

    # Keep the line that `field` has just made, which stands in `out` from `start`.
    cdef int learn(
        self, FieldLine *line, tuple field, const Output *out, size_t start, int64_t content_length,
    ) except -1:
        if type(field[0]) is not str or type(field[1]) is not str:
            return 0
        self.whole = -1
        Py_INCREF(field)
        Py_XDECREF(line.field)
        line.field = <PyObject *>field
        line.content_length = content_length
        line.length = <uint32_t>(out.length - start)
        memcpy(line.text, out.data + start, line.length)
        return 0

    cdef int put_pair(self, Output *out, object field, ResponseHead *head) except -1:
        try:
            name, value = field
        except (TypeError, ValueError):
            raise ApplicationError(f"a header must be a (name, value) tuple: {field!a:.100}") from None
        return self.put_field(out, name, value, head)

    cdef int put_field(self, Output *out, object name, object value, ResponseHead *head) except -1:
        cdef const unsigned char *n = latin_bytes(name, "a header's name")
        cdef const unsigned char *v = latin_bytes(value, "a header's value")
        cdef Py_ssize_t name_length = PyUnicode_GET_LENGTH(name), value_length = PyUnicode_GET_LENGTH(value), i
        cdef char *p
        cdef ResponseField kind
        reserve(out, <size_t>name_length + <size_t>value_length + 4)
        p = out.data + out.length
        for i in range(name_length):
            if not TOKEN[n[i]]:
                raise ApplicationError(f"a header's name has a character that no name may have: {name!a:.100}")
            p[i] = <char>n[i]
        if name_length == 0:
            raise ApplicationError("a header's name is empty")
        if value_span(<const char *>v, value_length) != <size_t>value_length:
            raise ApplicationError(f"the value of header {name} has a control character: {value!a:.100}")
        kind = classify(n, name_length)
        if kind != ORDINARY:
            if kind != LENGTH:
                return self.drop_field(kind, name, v, value_length, head)
            if not note_length(parse_length(v, value_length), head):
                return 0
        # White space around a value is no part of it (RFC 9110 5.5).
        while value_length > 0 and (v[value_length - 1] == c" " or v[value_length - 1] == 9):
            value_length -= 1
        while value_length > 0 and (v[0] == c" " or v[0] == 9):
            v += 1
            value_length -= 1
        p[name_length] = c":"
        p[name_length + 1] = c" "
        memcpy(p + name_length + 2, v, value_length)
        memcpy(p + name_length + 2 + value_length, b"\r\n", 2)
        out.length += name_length + value_length + 4
        return 0

    cdef int drop_field(
        self, ResponseField kind, object name, const unsigned char *v, Py_ssize_t length, ResponseHead *head,
    ) except -1:
        if kind == CONNECTION and length == 5 and is_name(v, length, b"close"):
            head.close_asked = True
        elif kind != SERVERS_OWN:
            self.dropped = name
        return 0

    def serialise(self, status, headers, int64_t wall):
        """Serialise one head: (bytes, status, content_length or -1). For tests."""
        cdef ResponseHead head
        self.out.length = 0
        self.put(status, headers, wall, &head)
        return self.out.data[:self.out.length], head.status, head.content_length
