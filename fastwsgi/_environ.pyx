"""WSGI environ construction: one dict copy, then the keys that this request brings; or the last one's dict again.

How it works: a listener's template holds every key that a request always has, and keeps client and target of the last
request, so a request from the same client for the same target is little more than a copy. A field name is looked up
by the hash the parser made of its bytes; a hit gives the interned `HTTP_*` key. For a few names that repeat from
request to request (Host, User-Agent, Accept…) the last value is kept and reused when the bytes are the same. Repeated
fields are found by a bit per known key.

An environ that comes back untouched, and that nobody else holds, is lent again: where the next request has the same
fields in the same order, only what differs is set; its `Loan` says field by field what it has. CPython gives a dict a
new version with every change (PEP 509), which tells whether it is untouched; from 3.14 on, where there are no versions
any more (PEP 699), every environ is a copy.

Laws: the cache is bounded and a worker's own; values of Cookie, Authorization and of any name not listed are never
kept, not even in an environ that waits to be lent again; a name that does not fit in the cache is built anew, with the
same result. An environ that anything at all may still refer to is never lent again.
"""

cimport cython
from cpython.dict cimport PyDict_Copy
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset

from fastwsgi._exchange cimport EarlyHints, Exchange
from fastwsgi._parser cimport (
    CONTENT_LENGTH_FIELD,
    CONTENT_TYPE_FIELD,
    COOKIE_FIELD,
    Field,
    PLAIN_FIELD,
    RequestHead,
    SEEN_ENCODING,
    SEEN_HOST,
    SEEN_LENGTH,
    SEEN_TYPE,
    Span,
    TRANSFER_ENCODING_FIELD,
    name_hash,
)

cdef extern from "Python.h":
    object PyUnicode_DecodeLatin1(const char *text, Py_ssize_t length, const char *errors)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    void *PyUnicode_DATA(object text)
    void PyUnicode_InternInPlace(PyObject **text)
    Py_ssize_t Py_REFCNT(PyObject *thing)

cdef extern from *:
    """
    #if PY_VERSION_HEX < 0x030E0000 && !defined(Py_GIL_DISABLED)
    #pragma GCC diagnostic push
    #pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    static inline uint64_t version_of(PyObject *dict) { return ((PyDictObject *)dict)->ma_version_tag; }
    #pragma GCC diagnostic pop
    #else
    static inline uint64_t version_of(PyObject *dict) { (void)dict; return 0; }
    #endif
    """
    uint64_t version_of(PyObject *dict)  # 0 for a dict without one

# Names whose values repeat, spelled as browsers and as HTTP/2 gateways do. Nothing secret may stand here.
SHARED_VALUES = (
    "Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Cache-Control", "Connection", "DNT", "Host",
    "Origin", "Pragma", "Priority", "Sec-CH-UA", "Sec-CH-UA-Mobile", "Sec-CH-UA-Platform", "Sec-Fetch-Dest",
    "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", "Sec-GPC", "TE", "Upgrade-Insecure-Requests", "User-Agent",
    "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Requested-With", "X-Scheme",
)
OTHER_NAMES = (
    "Authorization", "Cookie", "Expect", "Forwarded", "If-Modified-Since", "If-None-Match", "Range", "Referer",
    "Traceparent", "Upgrade", "X-Forwarded-For", "X-Real-IP", "X-Request-ID",
)

cdef frozenset SHARED_KEYS = frozenset("HTTP_" + name.upper().replace("-", "_") for name in SHARED_VALUES)

cdef str REQUEST_METHOD = "REQUEST_METHOD"
cdef str RAW_URI = "RAW_URI"
cdef str PATH_INFO = "PATH_INFO"
cdef str QUERY_STRING = "QUERY_STRING"
cdef str SERVER_PROTOCOL = "SERVER_PROTOCOL"
cdef str REMOTE_ADDR = "REMOTE_ADDR"
cdef str REMOTE_PORT = "REMOTE_PORT"
cdef str CONTENT_LENGTH = "CONTENT_LENGTH"
cdef str CONTENT_TYPE = "CONTENT_TYPE"
cdef str HTTP_HOST = "HTTP_HOST"
cdef str HTTP_COOKIE = "HTTP_COOKIE"
cdef str HTTP_1_0 = "HTTP/1.0"
cdef str GET = "GET"
cdef str POST = "POST"
cdef str HEAD = "HEAD"
cdef str EARLY_HINTS = "wsgi.early_hints"
cdef str SLASH = "/"
cdef str NOTHING = ""

# A copied dict keeps the table of its origin. With this many keys the table has grown to 64 places, 42 of them usable,
# so that the fields of a request fit in without growing it again.
cdef int GROWN = 22


cdef inline str text_of(const char *data, Span span):
    return PyUnicode_DecodeLatin1(data + span.start, span.length, NULL)


cdef inline str method_of(const char *data, Span span):
    cdef const char *p = data + span.start
    if span.length == 4 and memcmp(p, b"POST", 4) == 0:
        return POST
    if span.length == 4 and memcmp(p, b"HEAD", 4) == 0:
        return HEAD
    return text_of(data, span)


cdef inline int hex_digit(unsigned char c) noexcept nogil:
    if c"0" <= c <= c"9":
        return c - c"0"
    c |= 0x20
    return c - c"a" + 10 if c"a" <= c <= c"f" else -1


# Percent-decoded once, as PEP 3333 wants: bytes that show themselves as latin-1. What is no %XX stays as it is.
cdef str decode_path(const char *path, uint32_t length):
    cdef uint32_t i = 0, n = 0
    cdef int high, low
    cdef char *out = <char *>PyMem_Malloc(length)
    if out == NULL:
        raise MemoryError
    while i < length:
        if path[i] == c"%" and length - i > 2:
            high, low = hex_digit(path[i + 1]), hex_digit(path[i + 2])
            if high >= 0 and low >= 0:
                out[n] = <char>(high << 4 | low)
                n += 1
                i += 3
                continue
        out[n] = path[i]
        n += 1
        i += 1
    try:
        return PyUnicode_DecodeLatin1(out, n, NULL)
    finally:
        PyMem_Free(out)


cdef str key_of(const char *name, uint32_t length):
    cdef str text = PyUnicode_DecodeLatin1(name, length, NULL)
    return "HTTP_" + text.upper().replace("-", "_")


# Whether everything that the environ has beyond the template comes from fields with a slot.
cdef bint is_plain(const char *data, const RequestHead *head) noexcept nogil:
    return (
        head.method.length == 3 and memcmp(data + head.method.start, b"GET", 3) == 0
        and head.minor_version == 1
        and (head.authority.length == 0 or head.flags & SEEN_HOST)
        and not head.flags & (SEEN_LENGTH | SEEN_TYPE | SEEN_ENCODING)
    )


cdef inline PyObject *kept(const NameSlot *slot, PyObject *value) noexcept nogil:
    return value if slot.value == value else NULL


@cython.final
cdef class Loan(EarlyHints):
    """What the builder knows of one environ it made, and that environ's wsgi.early_hints."""


@cython.final
cdef class EnvironBuilder:
    """Builds environs from one listener's template.

    `template` holds every key that each request has, with a placeholder where the value is the request's own
    (PEP 3333, "environ Variables").
    """

    def __cinit__(self):
        memset(self.slots, 0, sizeof(self.slots))

    def __init__(self, template):
        cdef int filler
        self.template = {**template, REQUEST_METHOD: GET, EARLY_HINTS: None}
        for filler in range(len(self.template), GROWN):
            self.template[filler] = None
        for filler in range(GROWN):
            self.template.pop(filler, None)
        self.indexes = {}
        for name in SHARED_VALUES + OTHER_NAMES:
            self.learn(name.encode())
            self.learn(name.lower().encode())

    def __dealloc__(self):
        cdef int i
        for i in range(SLOTS):
            Py_XDECREF(self.slots[i].key)
            Py_XDECREF(self.slots[i].value)

    cdef int lend(
        self, Exchange exchange, const char *data, const RequestHead *head, uint64_t serial, object remote_port
    ) except -1:
        cdef Loan loan = self.spare if exchange.extra is None else None
        self.remote_addr, self.remote_port = exchange.remote_addr, remote_port
        if (
            head.target.length != self.target_length
            or memcmp(data + head.target.start, self.target, self.target_length) != 0
        ):
            self.take_target(data, head)
        if loan is not None:
            self.spare, loan.next = loan.next, None
            self.spares -= 1
            if loan.serial == serial or self.renew(loan, data, head):
                self.refresh(loan.environ, &loan.held)
                exchange.environ, loan.environ = loan.environ, None
            else:
                loan.environ = loan = None
        if loan is None:
            loan = Loan.__new__(Loan)
            exchange.environ = self.build(data, head, exchange.extra, loan)
        if self.target_length == 0:  # too long to be kept
            loan.count = -1
        loan.serial = serial
        loan.version = version_of(<PyObject *>exchange.environ)
        loan.exchange = exchange
        exchange.hints = loan
        return 0

    cdef int refresh(self, dict environ, Held *held) except -1:
        if held.remote_addr != <PyObject *>self.remote_addr:
            environ[REMOTE_ADDR] = self.remote_addr
            held.remote_addr = <PyObject *>self.remote_addr
        if held.remote_port != <PyObject *>self.remote_port and self.remote_port is not None:
            environ[REMOTE_PORT] = self.remote_port
            held.remote_port = <PyObject *>self.remote_port
        if held.target != <PyObject *>self.raw_uri:
            environ[RAW_URI], environ[PATH_INFO] = self.raw_uri, self.path_info
            environ[QUERY_STRING] = self.query_string
            held.target = <PyObject *>self.raw_uri
        return 0

    cdef dict build(self, const char *data, const RequestHead *head, dict extra, Loan loan):
        cdef dict environ
        cdef Seen seen
        cdef uint32_t i
        self.refresh(self.template, &self.held)
        environ = PyDict_Copy(self.template)
        loan.held = self.held
        loan.count = 0 if head.field_count <= <uint32_t>ENTRIES and is_plain(data, head) else -1
        if extra is not None:
            environ.update(extra)
            loan.count = -1
        if head.method.length != 3 or memcmp(data + head.method.start, b"GET", 3) != 0:
            environ[REQUEST_METHOD] = method_of(data, head.method)
        if head.minor_version == 0:
            environ[SERVER_PROTOCOL] = HTTP_1_0
        if head.authority.length and not head.flags & SEEN_HOST:
            environ[HTTP_HOST] = text_of(data, head.authority)
        environ[EARLY_HINTS] = loan
        memset(&seen, 0, sizeof(seen))
        for i in range(head.field_count):
            self.add_field(environ, loan, data, &head.fields[i], &seen)
        return environ

    # Put the fields of `head` into an environ that waits. False where it has other fields; it is of no use then.
    cdef bint renew(self, Loan loan, const char *data, const RequestHead *head) except -1:
        cdef Entry *entry = loan.entries
        cdef const Field *field
        cdef NameSlot *slot
        cdef str value
        cdef uint32_t i
        if head.field_count != <uint32_t>loan.count or not is_plain(data, head):
            return False
        for i in range(head.field_count):
            field = &head.fields[i]
            slot = self.find(data + field.name.start, field.name.length, field.hash)
            if slot == NULL or slot.key != entry.key:
                return False
            value = self.slot_value(slot, data + field.value.start, field.value.length)
            if <PyObject *>value != entry.value:
                loan.environ[<object>slot.key] = value
                entry.value = kept(slot, <PyObject *>value)
            entry += 1
        return True

    cdef int take_back(self, Exchange exchange) except -1:
        cdef Loan loan = <Loan>exchange.hints
        cdef PyObject *environ = <PyObject *>exchange.environ
        cdef int place
        if loan is None:
            return 0
        loan.exchange = exchange.hints = None
        if (
            loan.count < 0 or self.spares == SPARES or loan.version == 0 or version_of(environ) != loan.version
            or Py_REFCNT(environ) != 1 or Py_REFCNT(<PyObject *>loan) != 2  # in the environ and here
        ):
            exchange.environ = None
            return 0
        loan.environ, exchange.environ = exchange.environ, None
        for place in range(loan.count):
            if loan.entries[place].value == NULL:
                loan.environ[<object>loan.entries[place].key] = NOTHING
                loan.serial = 0
        loan.next, self.spare = self.spare, loan
        self.spares += 1
        return 0

    cdef int take_target(self, const char *data, const RequestHead *head) except -1:
        cdef str target = text_of(data, head.target)
        cdef str path = target
        self.target_length = 0  # matches none, until everything is in its place
        if head.path.length == 0:  # absolute form without a path means the root (RFC 9110 4.2.3)
            path = SLASH
        elif memchr(data + head.path.start, c"%", head.path.length) != NULL:
            path = decode_path(data + head.path.start, head.path.length)
        elif head.path.length != head.target.length:
            path = text_of(data, head.path)
        self.raw_uri, self.path_info, self.query_string = target, path, text_of(data, head.query)
        if head.target.length <= TARGET_LIMIT:
            memcpy(self.target, data + head.target.start, head.target.length)
            self.target_length = head.target.length
        return 0

    cdef int add_field(self, dict environ, Loan loan, const char *data, const Field *field, Seen *seen) except -1:
        cdef NameSlot *slot
        cdef uint64_t bit
        cdef str value
        if field.kind != PLAIN_FIELD:
            if field.kind == CONTENT_LENGTH_FIELD:
                environ[CONTENT_LENGTH] = text_of(data, field.value)
                return 0
            if field.kind == CONTENT_TYPE_FIELD:
                environ[CONTENT_TYPE] = text_of(data, field.value)
                return 0
            if field.kind == TRANSFER_ENCODING_FIELD:  # the application gets the body decoded (RFC 9112 7.1.3)
                return 0
        slot = self.find(data + field.name.start, field.name.length, field.hash)
        if slot == NULL or seen.rare:
            seen.rare = True  # its key has no bit of its own: from here on the environ itself is asked
            return self.add_rare_field(environ, loan, data, field)
        bit = <uint64_t>1 << (slot.index & 63)
        if seen.keys[slot.index >> 6] & bit:
            return self.add_rare_field(environ, loan, data, field)
        seen.keys[slot.index >> 6] |= bit
        value = self.slot_value(slot, data + field.value.start, field.value.length)
        environ[<object>slot.key] = value
        if loan.count >= 0:
            loan.entries[loan.count] = Entry(slot.key, kept(slot, <PyObject *>value))
            loan.count += 1
        return 0

    # A field that repeats, or whose name is not in the cache. RFC 9110 5.3 joins by a comma, RFC 6265 5.4 cookies by
    # "; ".
    cdef int add_rare_field(self, dict environ, Loan loan, const char *data, const Field *field) except -1:
        cdef str key = key_of(data + field.name.start, field.name.length)
        cdef str value = text_of(data, field.value)
        cdef object before = environ.get(key)
        loan.count = -1  # what has no slot has no place in `entries`
        if before is not None:
            value = f"{before}{'; ' if field.kind == COOKIE_FIELD else ','}{value}"
        environ[key] = value
        return 0

    cdef NameSlot *find(self, const char *name, uint32_t length, uint32_t hash) except? NULL:
        cdef uint32_t probe
        cdef NameSlot *slot
        for probe in range(<uint32_t>PROBES):
            slot = &self.slots[(hash + probe) & (SLOTS - 1)]
            if slot.hash == hash and slot.length == length and memcmp(slot.name, name, length) == 0:
                return slot
            if slot.length == 0:
                return self.fill(slot, name, length, hash) if length <= SLOT_NAME else NULL
        return NULL

    cdef NameSlot *fill(self, NameSlot *slot, const char *name, uint32_t length, uint32_t hash) except NULL:
        cdef str key = key_of(name, length)
        cdef PyObject *interned = <PyObject *>key
        Py_INCREF(key)
        PyUnicode_InternInPlace(&interned)
        slot.key = interned
        slot.hash = hash
        slot.index = <uint16_t>self.indexes.setdefault(key, len(self.indexes))
        slot.keeps_value = key in SHARED_KEYS
        memcpy(slot.name, name, length)
        slot.length = <uint16_t>length
        return slot

    cdef object slot_value(self, NameSlot *slot, const char *text, uint32_t length):
        cdef str value
        if slot.value != NULL:
            value = <str>slot.value
            if PyUnicode_GET_LENGTH(value) == length and memcmp(PyUnicode_DATA(value), text, length) == 0:
                return value
        value = PyUnicode_DecodeLatin1(text, length, NULL)
        if slot.keeps_value and length <= VALUE_LIMIT:
            Py_XDECREF(slot.value)
            Py_INCREF(value)
            slot.value = <PyObject *>value
        return value

    def learn(self, bytes name):
        """Put a field name into the cache before a stranger fills it with others."""
        cdef uint32_t length = <uint32_t>len(name)
        self.find(name, length, name_hash(name, length))
