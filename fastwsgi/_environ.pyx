"""WSGI environ construction: one dict copy, then the keys that this request brings; or the last one's dict again.

How it works: a listener's template holds every key that a request always has, and keeps client, method and target of
the last request, so a request from the same client for the same target is little more than a copy. A field name is
looked up by the hash the parser made of its bytes; a hit gives the interned `HTTP_*` key. For a few names that repeat
from request to request (Host, User-Agent, Accept…) the last value is kept and reused when the bytes are the same.
Repeated fields are found by a bit per known key.

An environ that comes back untouched, and that nobody else holds, is lent again: where the next request has the same
fields in the same order, only what differs is set; its `Loan` says field by field what it has. CPython gives a dict a
new version with every change (PEP 509), which tells whether it is untouched; from 3.14 on, where there are no versions
any more (PEP 699), every environ is a copy.

What a proxy says of a request (its scheme, its client, where the application is mounted) is believed where the
exchange is `trusted`, and means nothing beyond an HTTP_* key where it is not. Fields that may say something are known
by their slot; an environ without one costs nothing for it.

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
from fastwsgi._guard cimport Guard, guard_enter, guard_leave, owner_of
from fastwsgi._parser cimport (
    AMBIGUOUS_FIELD_NAME,
    CONTRADICTORY_SCHEMES,
    COOKIE_FIELD,
    DONE,
    FOLDED,
    Field,
    GET_VERB,
    HEAD_VERB,
    OUTSIDE_SCRIPT_NAME,
    PLAIN_FIELD,
    POST_VERB,
    PROXY_FIELD,
    REPEATED_SCRIPT_NAME,
    RequestHead,
    SEEN_ENCODING,
    SEEN_HOST,
    SEEN_ODD,
    Span,
    TRANSFER_ENCODING_FIELD,
    UNDERSCORED_FIELD,
    UPPERS_METHOD,
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
    "Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Cache-Control", "Connection", "Content-Length",
    "Content-Type", "DNT", "Host", "Origin", "Pragma", "Priority", "Sec-CH-UA", "Sec-CH-UA-Mobile",
    "Sec-CH-UA-Platform", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", "Sec-GPC", "TE",
    "Upgrade-Insecure-Requests", "User-Agent", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto",
    "X-Requested-With", "X-Scheme", "X-Forwarded-Protocol", "X-Forwarded-Ssl",
)
OTHER_NAMES = (
    "Authorization", "Cookie", "Expect", "Forwarded", "If-Modified-Since", "If-None-Match", "Range", "Referer",
    "Traceparent", "Upgrade", "X-Forwarded-For", "X-Real-IP", "X-Request-ID",
)

# Those that become an environ key as they are (PEP 3333, RFC 3875 4.1.2 and 4.1.3); all others get HTTP_ in front.
cdef tuple UNPREFIXED = ("CONTENT-LENGTH", "CONTENT-TYPE")

cdef str REQUEST_METHOD = "REQUEST_METHOD"
cdef str RAW_URI = "RAW_URI"
cdef str PATH_INFO = "PATH_INFO"
cdef str QUERY_STRING = "QUERY_STRING"
cdef str SERVER_PROTOCOL = "SERVER_PROTOCOL"
cdef str REMOTE_ADDR = "REMOTE_ADDR"
cdef str REMOTE_PORT = "REMOTE_PORT"
cdef str INPUT = "wsgi.input"
cdef str HTTP_HOST = "HTTP_HOST"
cdef str HTTP_COOKIE = "HTTP_COOKIE"
cdef str SCRIPT_NAME = "SCRIPT_NAME"
cdef str URL_SCHEME = "wsgi.url_scheme"
cdef str HTTP = "http"
cdef str HTTPS = "https"
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


# The lines of a folded value are joined as gunicorn does (RFC 9112 5.2).
cdef inline str value_of(const char *data, const Field *field):
    cdef str text = text_of(data, field.value)
    if field.kind & FOLDED:
        text = " ".join([line.strip(" \t") for line in text.split("\r\n")])
    return text


cdef str method_of(const char *data, const RequestHead *head):
    cdef str method
    if head.verb == GET_VERB:
        return GET
    if head.verb == POST_VERB:
        return POST
    if head.verb == HEAD_VERB:
        return HEAD
    method = text_of(data, head.method)
    return method.upper() if head.flags & UPPERS_METHOD else method


# Of the minor versions that HTTP/1 has not, the highest that it has is meant (RFC 9110 2.5).
cdef str protocol_of(const RequestHead *head):
    cdef uint32_t version = head.version if not 10 <= head.version < 20 else 10 + head.minor_version
    return f"HTTP/{version // 10}.{version % 10}"


# Take `name` off the front of a path, by whole segments. False where the path does not lie under it.
cdef bint strip_path(const char *data, Span *path, bytes name):
    cdef uint32_t length = <uint32_t>len(name)
    if path.length < length or memcmp(data + path.start, <const char *>name, length) != 0:
        return False
    if length and path.length > length and data[path.start + length] != c"/":
        return False
    path.start += length
    path.length -= length
    return True


cdef inline str path_of(const char *data, Span path):
    if memchr(data + path.start, c"%", path.length) != NULL:
        return decode_path(data + path.start, path.length)
    return text_of(data, path)


# The application may be about to ask for it, in any thread.
cdef inline int belong(Loan loan, Exchange exchange) except -1:
    cdef Guard guard
    guard_enter(&guard, owner_of(<PyObject *>loan))
    loan.exchange = exchange
    guard_leave(&guard)
    return 0


# The bit for a place among fields; all from the last on share one.
cdef inline uint32_t place_bit(uint32_t place) noexcept nogil:
    return <uint32_t>1 << (place if place < 31 else 31)


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


cdef str key_of(str name):
    cdef str upper = name.upper()
    cdef str key = upper.replace("-", "_")
    return key if upper in UNPREFIXED else "HTTP_" + key


cdef frozenset SHARED_KEYS = frozenset([key_of(_name) for _name in SHARED_VALUES])


# Whether everything that the environ has beyond the template comes from fields with a slot.
cdef bint is_plain(const RequestHead *head) noexcept nogil:
    return (
        head.version == 11
        and (head.authority.length == 0 or head.flags & SEEN_HOST)
        and not head.flags & (SEEN_ENCODING | SEEN_ODD)
    )


cdef inline bint is_named(const NameSlot *slot, const char *name, uint32_t length, uint32_t hash) noexcept nogil:
    return slot.hash == hash and slot.length == length and memcmp(slot.name, name, length) == 0


cdef inline PyObject *kept(const NameSlot *slot, PyObject *value) noexcept nogil:
    return value if slot.value == value else NULL


@cython.final
cdef class Loan(EarlyHints):
    """What the builder knows of one environ it made, and that environ's wsgi.early_hints."""


@cython.final
cdef class EnvironBuilder:
    """Builds environs from one listener's template.

    `template` holds every key that each request has, with a placeholder where the value is the request's own
    (PEP 3333, "environ Variables"); where its SCRIPT_NAME is not empty, all paths have to lie under it.
    `secure_scheme_headers`, `forwarder_headers` and `header_map` are gunicorn's settings. `client_header` is the field
    that names the client, and `find_client(address, value)` finds it there: given the address that the request seems
    to come from and the field's values, it returns an address and a port, or None where there is none; or None where
    nothing better than that address is known. All names are in upper case.
    """

    def __cinit__(self):
        memset(self.slots, 0, sizeof(self.slots))

    def __init__(
        self, template, *, secure_scheme_headers, forwarder_headers, str header_map, str client_header, find_client,
    ):
        cdef int filler
        self.script_name = template[SCRIPT_NAME].encode("latin-1")
        self.mounted = len(self.script_name) > 0
        self.plain_scheme = template[URL_SCHEME]
        self.held.scheme = <PyObject *>self.plain_scheme
        self.no_input = template[INPUT]
        self.held.input = <PyObject *>self.no_input
        self.forwarded = frozenset(forwarder_headers)
        self.header_map = header_map
        self.find_client = find_client
        self.tellers = list(secure_scheme_headers.values())
        self.roles = {name: place for place, name in enumerate(secure_scheme_headers, 1)}
        if client_header is not None:
            self.tellers.append(None)
            self.roles[client_header] = len(self.tellers)
        self.template = {**template, REQUEST_METHOD: GET, EARLY_HINTS: None}
        for filler in range(len(self.template), GROWN):
            self.template[filler] = None
        for filler in range(GROWN):
            self.template.pop(filler, None)
        self.indexes = {}
        for name in OTHER_NAMES + SHARED_VALUES:
            self.learn(name.encode())
            self.learn(name.lower().encode())

    def __dealloc__(self):
        cdef int i
        for i in range(SLOTS):
            Py_XDECREF(self.slots[i].key)
            Py_XDECREF(self.slots[i].value)

    cdef int lend(self, Exchange exchange, const char *data, const RequestHead *head, uint64_t serial) except -1:
        cdef Loan loan = self.spare if exchange.extra is None else None
        cdef int verdict
        if self.find_client is not None:  # the request before may have named another
            exchange.remote_addr = exchange.peer_addr
        self.remote_addr, self.remote_port = exchange.remote_addr, exchange.remote_port
        self.method = method_of(data, head)
        if (
            head.target.length != self.target_length
            or memcmp(data + head.target.start, self.target, self.target_length) != 0
        ):
            self.take_target(data, head)
        if loan is not None:
            self.spare, loan.next = loan.next, None
            self.spares -= 1
            if (
                (loan.serial == serial and loan.whole or self.renew(loan, data, head, serial)) and not self.outside
                and (loan.told == 0 or self.renew_scheme(exchange, data, head, loan))
            ):
                self.refresh(loan.environ, &loan.held)
                exchange.environ, loan.environ = loan.environ, None
            else:
                loan.environ = loan = None
        if loan is None:
            loan = Loan.__new__(Loan)
            verdict = self.build(exchange, data, head, loan)
            if verdict != DONE:
                exchange.environ = None
                return verdict
        if self.target_length == 0:  # too long to be kept
            loan.count = -1
        loan.serial, loan.whole = serial, True
        loan.version = version_of(<PyObject *>exchange.environ)
        belong(loan, exchange)
        exchange.hints = loan
        return DONE

    cdef int give_input(self, Exchange exchange, object body) except -1:
        cdef Loan loan = <Loan>exchange.hints
        cdef bint untouched = version_of(<PyObject *>exchange.environ) == loan.version
        exchange.environ[INPUT] = body
        loan.held.input = <PyObject *>body
        if untouched:  # it may have got what this builder knows nothing of
            loan.version = version_of(<PyObject *>exchange.environ)
        return 0

    cdef int refresh(self, dict environ, Held *held) except -1:
        if held.method != <PyObject *>self.method:
            environ[REQUEST_METHOD] = self.method
            held.method = <PyObject *>self.method
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

    cdef int build(self, Exchange exchange, const char *data, const RequestHead *head, Loan loan) except -1:
        cdef dict environ
        cdef Seen seen
        cdef uint32_t i
        self.refresh(self.template, &self.held)
        environ = PyDict_Copy(self.template)
        loan.held = self.held
        loan.count = 0 if head.field_count <= <uint32_t>ENTRIES and is_plain(head) else -1
        if exchange.extra is not None:
            environ.update(exchange.extra)
            loan.count = -1
        if head.version != 11:
            environ[SERVER_PROTOCOL] = protocol_of(head)
        if head.authority.length and not head.flags & SEEN_HOST:
            environ[HTTP_HOST] = text_of(data, head.authority)
        environ[EARLY_HINTS] = loan
        exchange.environ = environ
        memset(&seen, 0, sizeof(seen))
        seen.trusted, seen.verdict = exchange.trusted, DONE
        for i in range(head.field_count):
            self.add_field(environ, loan, data, &head.fields[i], i, &seen)
        loan.told = seen.told
        if seen.verdict != DONE:
            return seen.verdict
        if seen.script_name != NULL:
            seen.verdict = self.mount(environ, data, head, seen.script_name)
        elif self.outside:
            return OUTSIDE_SCRIPT_NAME
        if seen.verdict != DONE or not seen.told or not seen.trusted:
            return seen.verdict
        seen.verdict = self.listen(exchange, data, head, seen.told)
        if self.scheme is not None:
            environ[URL_SCHEME] = self.scheme
            loan.held.scheme = <PyObject *>self.scheme
        if self.client is not None:
            environ[REMOTE_ADDR], environ[REMOTE_PORT] = self.client
            if self.client[1] is None:
                del environ[REMOTE_PORT]
            exchange.remote_addr = self.client[0]
            loan.count = -1
        return seen.verdict

    # Hear what a trusted proxy says by those fields whose place is in `told`. Returns DONE, or why to refuse it.
    cdef int listen(self, Exchange exchange, const char *data, const RequestHead *head, uint32_t told) except -1:
        cdef list values = []
        cdef object secure
        cdef str scheme, value
        cdef uint32_t i
        cdef int role
        self.scheme = self.client = None
        for i in range(head.field_count):
            role = self.role_of(data, &head.fields[i]) if told & place_bit(i) else 0
            if role == 0:
                continue
            secure, value = self.tellers[role - 1], value_of(data, &head.fields[i])
            if secure is None:
                values.append(value)
                continue
            scheme = HTTPS if value == secure else HTTP
            if self.scheme is not None and self.scheme is not scheme:
                return CONTRADICTORY_SCHEMES
            self.scheme = scheme
        if values:
            self.client = self.find_client(exchange.remote_addr, values)
        return DONE

    # Hear anew what a proxy says by the fields of an environ that waits. False where that is of no use then.
    cdef bint renew_scheme(self, Exchange exchange, const char *data, const RequestHead *head, Loan loan) except -1:
        cdef str scheme = self.plain_scheme
        if exchange.trusted:
            if self.find_client is not None or self.listen(exchange, data, head, loan.told) != DONE:
                return False
            if self.scheme is not None:
                scheme = self.scheme
        if loan.held.scheme != <PyObject *>scheme:
            loan.environ[URL_SCHEME] = scheme
            loan.held.scheme = <PyObject *>scheme
        return True

    # The place of a field in `tellers`, from 1; 0: none.
    cdef int role_of(self, const char *data, const Field *field) except -1:
        cdef NameSlot *slot = self.find(data + field.name.start, field.name.length, field.hash)
        return slot.role if slot != NULL else self.roles.get(text_of(data, field.name).upper(), 0)

    # A proxy says that the application is mounted there, for this request and whatever the template says.
    cdef int mount(self, dict environ, const char *data, const RequestHead *head, const Field *field) except -1:
        cdef str name = value_of(data, field).rstrip("/")
        cdef Span path = head.path
        if not strip_path(data, &path, name.encode("latin-1")):
            return OUTSIDE_SCRIPT_NAME
        environ[SCRIPT_NAME] = name
        environ[PATH_INFO] = path_of(data, path) if head.path.length else SLASH
        return DONE

    # Put the fields of `head` into an environ that waits. False where it has other fields; it is of no use then.
    cdef bint renew(self, Loan loan, const char *data, const RequestHead *head, uint64_t serial) except -1:
        cdef Entry *entry = loan.entries
        cdef const Field *field
        cdef uint64_t alike = head.alike if loan.serial + 1 == serial else 0
        cdef str value
        cdef uint32_t i
        if head.field_count != <uint32_t>loan.count or not is_plain(head):
            return False
        for i in range(head.field_count):
            field = &head.fields[i]
            if not (alike >> i & 1 and entry.value != NULL):
                if not is_named(entry.slot, data + field.name.start, field.name.length, field.hash):
                    return False
                value = self.slot_value(entry.slot, data + field.value.start, field.value.length)
                if <PyObject *>value != entry.value:
                    loan.environ[<object>entry.slot.key] = value
                    entry.value = kept(entry.slot, <PyObject *>value)
            entry += 1
        return True

    cdef int take_back(self, Exchange exchange) except -1:
        cdef Loan loan = <Loan>exchange.hints
        cdef PyObject *environ = <PyObject *>exchange.environ
        cdef int place
        if loan is None:
            return 0
        belong(loan, None)
        exchange.hints = None
        if (
            loan.count < 0 or self.spares == SPARES or loan.version == 0 or version_of(environ) != loan.version
            or Py_REFCNT(environ) != 1 or Py_REFCNT(<PyObject *>loan) != 2  # in the environ and here
        ):
            exchange.environ = None
            return 0
        loan.environ, exchange.environ = exchange.environ, None
        if loan.held.input != <PyObject *>self.no_input:
            loan.environ[INPUT] = self.no_input
            loan.held.input = <PyObject *>self.no_input
        for place in range(loan.count):
            if loan.entries[place].value == NULL:
                loan.environ[<object>loan.entries[place].slot.key] = NOTHING
                loan.whole = False
        loan.next, self.spare = self.spare, loan
        self.spares += 1
        return 0

    cdef int take_target(self, const char *data, const RequestHead *head) except -1:
        cdef str target = text_of(data, head.target)
        cdef str path = target
        cdef Span span = head.path
        self.target_length = 0  # matches none, until everything is in its place
        self.outside = self.mounted and not strip_path(data, &span, self.script_name)
        if head.path.length == 0:  # absolute form without a path means the root (RFC 9110 4.2.3)
            path = SLASH
        elif span.length != head.target.length or memchr(data + span.start, c"%", span.length) != NULL:
            path = path_of(data, span)
        self.raw_uri, self.path_info, self.query_string = target, path, text_of(data, head.query)
        if head.target.length <= TARGET_LIMIT:
            memcpy(self.target, data + head.target.start, head.target.length)
            self.target_length = head.target.length
        return 0

    cdef int add_field(
        self, dict environ, Loan loan, const char *data, const Field *field, uint32_t place, Seen *seen
    ) except -1:
        cdef NameSlot *slot
        cdef uint64_t bit
        cdef str value
        if field.kind != PLAIN_FIELD:
            if field.kind > COOKIE_FIELD:
                return self.add_odd_field(environ, loan, data, field, place, seen)
            if field.kind == TRANSFER_ENCODING_FIELD:  # the application gets the body decoded (RFC 9112 7.1.3)
                return 0
        slot = self.find(data + field.name.start, field.name.length, field.hash)
        if slot == NULL or seen.rare:
            seen.rare = True  # its key has no bit of its own: from here on the environ itself is asked
            if self.role_of(data, field):
                seen.told |= place_bit(place)
            return self.add_rare_field(environ, loan, data, field)
        if slot.role:
            seen.told |= place_bit(place)
        bit = <uint64_t>1 << (slot.index & 63)
        if seen.keys[slot.index >> 6] & bit:
            return self.add_rare_field(environ, loan, data, field)
        seen.keys[slot.index >> 6] |= bit
        value = self.slot_value(slot, data + field.value.start, field.value.length)
        environ[<object>slot.key] = value
        if loan.count >= 0:
            loan.entries[loan.count] = Entry(slot, kept(slot, <PyObject *>value))
            loan.count += 1
        return 0

    # A field that repeats, or whose name is not in the cache. RFC 9110 5.3 joins by a comma, RFC 6265 5.4 cookies by
    # "; ".
    cdef int add_rare_field(self, dict environ, Loan loan, const char *data, const Field *field) except -1:
        cdef str key = key_of(text_of(data, field.name))
        cdef str value = value_of(data, field)
        cdef object before = environ.get(key)
        loan.count = -1  # what has no slot has no place in `entries`
        if before is not None:
            value = f"{before}{'; ' if field.kind & ~<uint32_t>FOLDED == COOKIE_FIELD else ','}{value}"
        environ[key] = value
        return 0

    # A field that not every environ gets, or not as it came.
    cdef int add_odd_field(
        self, dict environ, Loan loan, const char *data, const Field *field, uint32_t place, Seen *seen
    ) except -1:
        cdef uint32_t kind = field.kind & ~<uint32_t>FOLDED
        cdef str name
        if kind == PROXY_FIELD:
            return 0
        if self.role_of(data, field):
            seen.told |= place_bit(place)
        if kind == UNDERSCORED_FIELD:
            name = text_of(data, field.name).upper()
            if seen.trusted and (name in self.forwarded or "*" in self.forwarded):
                if name == SCRIPT_NAME:
                    if seen.script_name != NULL:
                        seen.verdict = REPEATED_SCRIPT_NAME
                    seen.script_name = field
            elif self.header_map == "refuse":
                seen.verdict = AMBIGUOUS_FIELD_NAME
            elif self.header_map == "drop":
                return 0
        seen.rare = True
        return self.add_rare_field(environ, loan, data, field)

    cdef NameSlot *find(self, const char *name, uint32_t length, uint32_t hash) except? NULL:
        cdef uint32_t probe
        cdef NameSlot *slot
        for probe in range(<uint32_t>PROBES):
            slot = &self.slots[(hash + probe) & (SLOTS - 1)]
            if is_named(slot, name, length, hash):
                return slot
            if slot.length == 0:
                return self.fill(slot, name, length, hash) if length <= SLOT_NAME else NULL
        return NULL

    cdef NameSlot *fill(self, NameSlot *slot, const char *name, uint32_t length, uint32_t hash) except NULL:
        cdef str text = PyUnicode_DecodeLatin1(name, length, NULL)
        cdef str key = key_of(text)
        cdef PyObject *interned = <PyObject *>key
        slot.role = self.roles.get(text.upper(), 0)
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
