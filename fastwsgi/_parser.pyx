"""The one HTTP/1.x request parser: request heads (RFC 9112 2 to 6) and chunked bodies (RFC 9112 7.1).

How it works: `parse_head` walks the head line by line and keeps offsets, never copies. What a field means to framing
is decided when its line is read; what fields mean together (two framings, a missing Host) when the head is complete.
An incomplete line costs a second look at that line alone when more bytes come. A line that the head before had in the
same place, byte for byte, is taken from there: browsers and proxies change a few lines of a dozen.

Laws: no Python object is touched and nothing of the package is imported, so the same C runs under a fuzzer. No byte
outside [data, data + size) is read. The verdict never depends on how the bytes were cut: every scan stops at the limit
that the whole line or head has, so a limit is hit at the same byte whether or not more bytes are already there. What
two servers could read differently is refused, unless a bit of `Limits.leniency` allows it; without those nothing is
slower for them, as they are asked for only where a request would be refused.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset

cdef extern from *:
    """
    #ifndef FASTWSGI_PARSER_SCAN
    #define FASTWSGI_PARSER_SCAN
    /* As `value_span`, where SSE2 is; else 0. It may stop early: who calls goes on byte by byte. */

    /* Those that may stand in a request target: visible ASCII but '#' (RFC 9112 3.2). */
    static inline size_t fastwsgi_target_span(const char *p, size_t n)
    {
        size_t i = 0;
    #if defined(__SSE2__)
        FASTWSGI_SPAN(_mm_or_si128(
            _mm_or_si128(_mm_cmplt_epi8(x, FASTWSGI_EACH(0x21)), FASTWSGI_IS(0x7f)), FASTWSGI_IS('#')))
    #endif
        return i;
    }

    /* Those of the usual field names: letters, digits and '-', which are not all that a token may have. */
    static inline size_t fastwsgi_name_span(const char *p, size_t n)
    {
        size_t i = 0;
    #if defined(__SSE2__)
        FASTWSGI_SPAN(_mm_xor_si128(FASTWSGI_EACH(0xff), _mm_or_si128(_mm_or_si128(
            FASTWSGI_AT_MOST(_mm_sub_epi8(_mm_or_si128(x, FASTWSGI_EACH(0x20)), FASTWSGI_EACH('a')), 25),
            FASTWSGI_AT_MOST(_mm_sub_epi8(x, FASTWSGI_EACH('0')), 9)), FASTWSGI_IS('-'))))
    #endif
        return i;
    }
    #endif
    """
    size_t target_span "fastwsgi_target_span"(const char *p, size_t n) noexcept nogil
    size_t name_span "fastwsgi_name_span"(const char *p, size_t n) noexcept nogil


ctypedef const unsigned char *bytes_t

# Classes of bytes; a table look-up answers any mix of them.
cdef enum ByteClass:
    TOKEN = 1                         # RFC 9110 5.6.2
    METHOD = 2                        # a token without lower-case letters, as gunicorn
    TARGET = 4                        # visible ASCII but '#', which no request target has (RFC 9112 3.2)
    REG_NAME = 8                      # RFC 3986 3.2.2 without ',' and '%'
    IP_LITERAL = 16                   # inside the brackets
    HEX = 32
    QUOTED = 64                       # qdtext of RFC 9110 5.6.4
    UNDERSCORE = 128

cdef uint8_t CLASSES[256]

cdef enum:
    METHOD_LIMIT = 32
    FIELD_NAME_LIMIT = 256
    EXTENSION_LINE_LIMIT = 256
    EXTENSION_TOTAL_LIMIT = 16384
    CHUNK_DIGITS_LIMIT = 16
    LENGTH_DIGITS_LIMIT = 19          # 2**63 - 1 has nineteen


cdef void fill_classes() noexcept nogil:
    cdef int c
    for c in range(256):
        CLASSES[c] = classify(<unsigned char>c)


cdef uint8_t classify(unsigned char c) noexcept nogil:
    cdef uint8_t kinds = 0
    cdef bint upper = c"A" <= c <= c"Z"
    cdef bint lower = c"a" <= c <= c"z"
    cdef bint digit = c"0" <= c <= c"9"
    if upper or lower or digit or c in b"!#$%&'*+-.^_`|~":
        kinds |= TOKEN if lower else TOKEN | METHOD
    if 0x21 <= c <= 0x7E and c != c"#":
        kinds |= TARGET
    if upper or lower or digit or c in b"-._~!$&'()*+;=":
        kinds |= REG_NAME
    if digit or c"a" <= (c | 0x20) <= c"f":
        kinds |= HEX | IP_LITERAL
    if c == c":" or c == c".":
        kinds |= IP_LITERAL
    if c == 9 or (c >= 0x20 and c != 0x7F and c != c'"' and c != c"\\"):
        kinds |= QUOTED
    if c == c"_":
        kinds |= UNDERSCORE
    return kinds


fill_classes()


cdef inline bint is_a(unsigned char c, int kinds) noexcept nogil:
    return CLASSES[c] & kinds != 0


cdef inline bint is_blank(unsigned char c) noexcept nogil:
    return c == c" " or c == 9


# Compare a token with a name in lower case. Letters differ from their capitals by 0x20 alone, and of the bytes that
# become '-' under it only '-' is a token character, so this is exact for tokens.
cdef inline bint same_name(bytes_t p, uint32_t length, const char *name, uint32_t name_length) noexcept nogil:
    cdef uint32_t i
    if length != name_length:
        return False
    for i in range(length):
        if (p[i] | 0x20) != <unsigned char>name[i]:
            return False
    return True


cdef void reset_head(RequestHead *head) noexcept nogil:
    cdef Field *fields = head.fields
    memset(head, 0, sizeof(RequestHead))
    head.fields = fields
    head.content_length = -1


cdef void follow_head(RequestHead *head, const char *before) noexcept nogil:
    cdef uint32_t length = head.length, count = head.field_count
    reset_head(head)
    head.before, head.before_length, head.before_count = before, length, count


cdef int parse_head(const char *data, size_t size, const Limits *limits, RequestHead *head) noexcept nogil:
    cdef int verdict = MORE
    cdef uint32_t bound = <uint32_t>size if size < limits.head else limits.head
    if head.position == 0:
        verdict = parse_request_line(<bytes_t>data, bound, limits, head)
        if verdict == DONE:
            verdict = MORE
        elif verdict < 0:
            return verdict
    if head.position != 0:
        verdict = parse_fields(<bytes_t>data, bound, limits, head)
    if verdict == DONE:
        return finish_head(<bytes_t>data, head)
    if verdict == MORE:
        head.before_count, head.alike = 0, 0  # a line that is not complete may have been written over what was there
        if size >= limits.head:
            return HEAD_TOO_LARGE
    return verdict


# -- request line ------------------------------------------------------------------------------------------------------


cdef inline int line_starved(uint32_t bound, uint32_t stop) noexcept nogil:
    # The scan reached `stop` without an end of line: for want of bytes, or because the line is too long.
    return MORE if stop == bound else REQUEST_LINE_TOO_LONG


cdef int parse_request_line(bytes_t data, uint32_t bound, const Limits *limits, RequestHead *head) noexcept nogil:
    cdef uint32_t p = 0, stop, line, longest = METHOD_LIMIT
    cdef int verdict, letters = METHOD
    if bound == 0:
        return MORE
    if data[0] == 13:  # one empty line before the request line is skipped (RFC 9112 2.2)
        if bound < 2:
            return MORE
        if data[1] != 10:
            return BAD_LINE_END
        p = 2
    line = p
    stop = bound if bound - p <= limits.request_line else p + limits.request_line

    if limits.leniency & ANY_METHOD:
        longest, letters = limits.request_line, TOKEN
    while p < stop and is_a(data[p], letters):
        p += 1
        if p - line > longest:
            return METHOD_TOO_LONG
    if p == stop:
        return line_starved(bound, stop)
    if p == line:
        return TLS_ON_PLAIN_PORT if data[p] == 0x16 else BAD_METHOD
    if data[p] != c" ":
        return BAD_METHOD
    head.method.start, head.method.length = line, p - line
    note_method(data + line, p - line, limits, head)

    p += 1
    head.target.start = p
    p += <uint32_t>target_span(<const char *>data + p, stop - p)
    while p < stop and is_a(data[p], TARGET):
        p += 1
    if p == stop:
        return line_starved(bound, stop)
    if p == head.target.start:
        return BAD_REQUEST_LINE
    if data[p] != c" ":
        return BAD_REQUEST_LINE if data[p] == 13 or data[p] == 10 else BAD_TARGET
    head.target.length = p - head.target.start

    verdict = parse_version(data + p + 1, bound - p - 1, stop - p - 1, limits, head)
    if verdict != DONE:
        return verdict
    head.position = p + 11
    return parse_target(data, head)


cdef void note_method(bytes_t method, uint32_t length, const Limits *limits, RequestHead *head) noexcept nogil:
    cdef unsigned char upper[8]
    cdef uint32_t i
    if limits.leniency & CASEFOLD_METHOD:
        head.flags |= UPPERS_METHOD
        for i in range(length if length < sizeof(upper) else 0):
            upper[i] = method[i] - 0x20 if c"a" <= method[i] <= c"z" else method[i]
        method = upper
    if length == 3 and memcmp(method, b"GET", 3) == 0:
        head.verb = GET_VERB
    elif length == 4 and memcmp(method, b"POST", 4) == 0:
        head.verb = POST_VERB
    elif length == 4 and memcmp(method, b"HEAD", 4) == 0:
        head.verb = HEAD_VERB
    elif length == 7 and memcmp(method, b"OPTIONS", 7) == 0:
        head.verb = OPTIONS_VERB
    elif length == 7 and memcmp(method, b"CONNECT", 7) == 0:
        head.verb = CONNECT_VERB


# "HTTP/1.1" CR LF. `room` bytes are there; the line, without its end, may hold `allowed` of them.
cdef int parse_version(
    bytes_t p, uint32_t room, uint32_t allowed, const Limits *limits, RequestHead *head,
) noexcept nogil:
    cdef const char *usual = "HTTP/1.1"
    cdef uint32_t i
    if room >= 10 and allowed >= 8 and memcmp(p, b"HTTP/1.1\r\n", 10) == 0:
        head.version = 11
        head.minor_version = 1
        return DONE
    for i in range(8):
        if i == allowed:
            return MORE if room == allowed else REQUEST_LINE_TOO_LONG
        if i == 5 or i == 7:
            if not (c"0" <= p[i] <= c"9"):
                return BAD_VERSION
        elif p[i] != <unsigned char>usual[i]:
            return BAD_VERSION
    if room < 9:
        return MORE
    if p[8] != 13:
        return BAD_LINE_END if p[8] == 10 else BAD_VERSION
    if room < 10:
        return MORE
    if p[9] != 10:
        return BAD_LINE_END
    if p[5] != c"1" and not limits.leniency & ANY_VERSION:
        return VERSION_NOT_SUPPORTED
    head.version = 10 * (p[5] - c"0") + p[7] - c"0"
    head.minor_version = 0 if head.version <= 10 else 1
    return DONE


# The four forms of RFC 9112 3.2.
cdef int parse_target(bytes_t data, RequestHead *head) noexcept nogil:
    cdef bytes_t target = data + head.target.start
    cdef uint32_t length = head.target.length, scheme
    if head.verb == CONNECT_VERB:
        return TUNNEL_REFUSED
    if target[0] == c"/":
        split_query(data, head.target.start, head.target.start + length, head)
        return DONE
    if target[0] == c"*" and length == 1:
        head.path = head.target
        return DONE if head.verb == OPTIONS_VERB else BAD_TARGET
    if length > 7 and same_name(target, 4, b"http", 4) and memcmp(target + 4, b"://", 3) == 0:
        scheme = 7
    elif length > 8 and same_name(target, 5, b"https", 5) and memcmp(target + 5, b"://", 3) == 0:
        scheme = 8
    else:
        return BAD_TARGET
    return parse_absolute_form(data, head.target.start + scheme, head.target.start + length, head)


cdef int parse_absolute_form(bytes_t data, uint32_t start, uint32_t stop, RequestHead *head) noexcept nogil:
    cdef uint32_t p = start
    while p < stop and data[p] != c"/" and data[p] != c"?":
        p += 1
    head.authority.start, head.authority.length = start, p - start
    if p == start or not is_host(data + start, p - start):
        return BAD_TARGET
    split_query(data, p, stop, head)
    return DONE


cdef void split_query(bytes_t data, uint32_t start, uint32_t stop, RequestHead *head) noexcept nogil:
    cdef bytes_t mark = <bytes_t>memchr(data + start, c"?", stop - start)
    cdef uint32_t p = stop if mark == NULL else <uint32_t>(mark - data)
    head.path.start, head.path.length = start, p - start
    if p < stop:
        head.query.start, head.query.length = p + 1, stop - p - 1


# uri-host [ ":" port ] (RFC 9110 7.2), without userinfo.
cdef bint is_host(bytes_t p, uint32_t length) noexcept nogil:
    cdef uint32_t i = 0, port = 0
    if length > 0 and p[0] == c"[":
        i = 1
        while i < length and is_a(p[i], IP_LITERAL):
            i += 1
        if i == length or p[i] != c"]" or i < 3:
            return False
        i += 1
    else:
        while i < length:
            if is_a(p[i], REG_NAME):
                i += 1
            elif p[i] == c"%" and length - i > 2 and is_a(p[i + 1], HEX) and is_a(p[i + 2], HEX):
                i += 3
            else:
                break
        if i == 0:
            return False
    if i == length:
        return True
    if p[i] != c":":
        return False
    i += 1
    while i < length:
        if not (c"0" <= p[i] <= c"9"):
            return False
        port = port * 10 + p[i] - c"0"
        if port > 65535:
            return False
        i += 1
    return True


# -- field lines -------------------------------------------------------------------------------------------------------


cdef int parse_fields(bytes_t data, uint32_t bound, const Limits *limits, RequestHead *head) noexcept nogil:
    cdef uint32_t p = head.position
    cdef int verdict
    while p < bound:
        if data[p] == 13:
            if bound - p < 2:
                break
            if data[p + 1] != 10:
                return BAD_LINE_END
            head.length = p + 2
            return DONE
        if is_blank(data[p]):
            verdict = continue_field(data, p, bound, limits, head)
        elif head.field_count == limits.fields:
            return TOO_MANY_FIELDS
        elif head.field_count < head.before_count and has_line_of_before(data, p, bound, head):
            verdict = note_field(data, head, &head.fields[head.field_count])
        else:
            verdict = parse_field(data, p, bound, limits, head)
        if verdict != DONE:
            return verdict
        p = head.position
    return MORE


# Whether the line at `p` is the same as that of the head before in this place. Then its field is moved to `p`, and
# `head.position` behind it. The entry behind it, which tells where that line ended, has not been written yet.
cdef inline bint has_line_of_before(bytes_t data, uint32_t p, uint32_t bound, RequestHead *head) noexcept nogil:
    cdef uint32_t place = head.field_count
    cdef Field *field = &head.fields[place]
    cdef uint32_t start = field.name.start
    cdef uint32_t stop = head.before_length - 2 if place + 1 == head.before_count else head.fields[place + 1].name.start
    if field.kind & FOLDED or bound - p < stop - start or memcmp(data + p, head.before + start, stop - start) != 0:
        return False
    field.name.start = p
    field.value.start += p - start
    head.position = p + stop - start
    if place < 64:
        head.alike |= <uint64_t>1 << place
    return True


cdef inline int field_starved(uint32_t bound, uint32_t stop) noexcept nogil:
    return MORE if stop == bound else FIELD_TOO_LONG


# One line from `start`; moves `head.position` behind it.
cdef int parse_field(
    bytes_t data, uint32_t start, uint32_t bound, const Limits *limits, RequestHead *head,
) noexcept nogil:
    cdef uint32_t p = start, stop, name_stop
    cdef uint8_t kinds = 0
    cdef int verdict
    cdef Field *field = &head.fields[head.field_count]
    stop = bound if bound - start <= limits.field else start + limits.field
    name_stop = stop if stop - start <= FIELD_NAME_LIMIT else start + FIELD_NAME_LIMIT

    p += <uint32_t>name_span(<const char *>data + p, name_stop - p)
    while p < name_stop and is_a(data[p], TOKEN):
        kinds |= CLASSES[data[p]]
        p += 1
    if p == stop:
        return field_starved(bound, stop)
    field.name.start, field.name.length = start, p - start
    if data[p] != c":" or p == start:
        if p == name_stop and is_a(data[p], TOKEN):
            return FIELD_TOO_LONG
        if p == start or not limits.leniency & NAME_SPACES:
            return BAD_FIELD_NAME
        p = skip_blanks(data, p, stop)
        if p == stop:
            return field_starved(bound, stop)
        if data[p] != c":":
            return BAD_FIELD_NAME
    field.hash = name_hash(<const char *>data + start, field.name.length)

    p = skip_blanks(data, p + 1, stop)
    field.value.start = p
    verdict = parse_value(data, p, bound, stop, head, field)
    if verdict != DONE:
        return verdict
    field.kind = UNDERSCORED_FIELD if kinds & UNDERSCORE else field_kind(data + start, field.name.length)
    return note_field(data, head, field)


# A line that begins with white space belongs to the field before it, where that is allowed (RFC 9112 5.2). It never
# is in a field that frames or routes, as others might have read that without it.
cdef int continue_field(
    bytes_t data, uint32_t start, uint32_t bound, const Limits *limits, RequestHead *head,
) noexcept nogil:
    cdef Field *field
    cdef uint32_t stop
    cdef int verdict
    if head.field_count == 0:
        return BAD_FIELD_NAME
    field = &head.fields[head.field_count - 1]
    if not limits.leniency & FOLDED_FIELDS or frames_or_routes(field.kind):
        return FOLDED_FIELD
    stop = bound if bound - field.name.start <= limits.field else field.name.start + limits.field
    if stop <= start:
        return FIELD_TOO_LONG
    verdict = parse_value(data, start, bound, stop, head, field)
    if verdict == DONE:
        field.kind |= FOLDED
        head.flags |= SEEN_ODD
        if head.field_count <= 64:
            head.alike &= ~(<uint64_t>1 << (head.field_count - 1))
    return verdict


cdef inline bint frames_or_routes(uint32_t kind) noexcept nogil:
    return kind != PLAIN_FIELD and kind != CONTENT_TYPE_FIELD and kind < COOKIE_FIELD


# The rest of a line from `p`, all of which belongs to the value; moves `head.position` behind the line.
cdef inline int parse_value(
    bytes_t data, uint32_t p, uint32_t bound, uint32_t stop, RequestHead *head, Field *field,
) noexcept nogil:
    p += <uint32_t>value_span(<const char *>data + p, stop - p)
    if p == stop:
        return field_starved(bound, stop)
    if data[p] != 13:
        return BAD_LINE_END if data[p] == 10 else BAD_FIELD_VALUE
    if p + 1 == stop:
        return field_starved(bound, stop)
    if data[p + 1] != 10:
        return BAD_FIELD_VALUE
    head.position = p + 2
    while p > field.value.start and is_blank(data[p - 1]):
        p -= 1
    field.value.length = p - field.value.start
    return DONE


# Its beginning, its end and its length tell names apart well enough for a cache that compares them anyway.
cdef uint32_t name_hash(const char *name, uint32_t length) noexcept nogil:
    cdef uint64_t first = 0, last = 0
    if length >= 8:
        memcpy(&first, name, 8)
        memcpy(&last, name + length - 8, 8)
    elif length >= 4:
        memcpy(&first, name, 4)
        memcpy(&last, name + length - 4, 4)
    elif length > 0:
        first, last = <unsigned char>name[0], <unsigned char>name[length - 1]
    first = (first ^ (last << 29 | last >> 35) ^ length) * 0x9E3779B97F4A7C15u
    return <uint32_t>(first >> 32)


cdef int note_field(bytes_t data, RequestHead *head, Field *field) noexcept nogil:
    cdef int verdict = DONE
    cdef bytes_t value = data + field.value.start
    cdef uint32_t length = field.value.length
    if field.kind == PLAIN_FIELD or field.kind == COOKIE_FIELD:
        pass
    elif field.kind == HOST_FIELD:
        verdict = note_host(head, value, field)
    elif field.kind == CONTENT_LENGTH_FIELD:
        verdict = note_content_length(head, value, length)
    elif field.kind == CONTENT_TYPE_FIELD:
        verdict = note_once(head, SEEN_TYPE, REPEATED_CONTENT_TYPE)
    elif field.kind == TRANSFER_ENCODING_FIELD:
        verdict = note_transfer_encoding(head, value, length)
    elif field.kind == CONNECTION_FIELD:
        note_connection(head, value, length)
    elif field.kind == EXPECT_FIELD:
        verdict = note_expect(head, value, length)
    else:
        head.flags |= SEEN_ODD
    head.field_count += 1
    return verdict


cdef uint32_t field_kind(bytes_t name, uint32_t length) noexcept nogil:
    if length == 4 and same_name(name, length, b"host", 4):
        return HOST_FIELD
    if length == 5 and same_name(name, length, b"proxy", 5):
        return PROXY_FIELD
    if length == 6:
        if same_name(name, length, b"cookie", 6):
            return COOKIE_FIELD
        if same_name(name, length, b"expect", 6):
            return EXPECT_FIELD
    elif length == 10 and same_name(name, length, b"connection", 10):
        return CONNECTION_FIELD
    elif length == 12 and same_name(name, length, b"content-type", 12):
        return CONTENT_TYPE_FIELD
    elif length == 14 and same_name(name, length, b"content-length", 14):
        return CONTENT_LENGTH_FIELD
    elif length == 17 and same_name(name, length, b"transfer-encoding", 17):
        return TRANSFER_ENCODING_FIELD
    return PLAIN_FIELD


cdef inline int note_once(RequestHead *head, uint32_t flag, int refusal) noexcept nogil:
    if head.flags & flag:
        return refusal
    head.flags |= flag
    return DONE


cdef int note_host(RequestHead *head, bytes_t value, Field *field) noexcept nogil:
    if note_once(head, SEEN_HOST, BAD_HOST) != DONE:
        return BAD_HOST
    head.host = field.value
    return DONE if field.value.length == 0 or is_host(value, field.value.length) else BAD_HOST


cdef int note_content_length(RequestHead *head, bytes_t value, uint32_t length) noexcept nogil:
    cdef uint64_t number = 0
    cdef uint32_t i
    if note_once(head, SEEN_LENGTH, BAD_CONTENT_LENGTH) != DONE or length == 0 or length > LENGTH_DIGITS_LIMIT:
        return BAD_CONTENT_LENGTH
    for i in range(length):
        if not (c"0" <= value[i] <= c"9"):
            return BAD_CONTENT_LENGTH
        number = number * 10 + value[i] - c"0"
    if number > 0x7FFFFFFFFFFFFFFFu:
        return BAD_CONTENT_LENGTH
    head.content_length = <int64_t>number
    return DONE


# A list of codings (RFC 9112 6.1): alone and once, "chunked" is known; a list that ends in it names codings unknown
# here; everything else could be framed differently by another server.
cdef int note_transfer_encoding(RequestHead *head, bytes_t value, uint32_t length) noexcept nogil:
    cdef uint32_t p = 0, start, codings = 0
    cdef bint chunked = False
    if note_once(head, SEEN_ENCODING, BAD_TRANSFER_ENCODING) != DONE:
        return BAD_TRANSFER_ENCODING
    while True:
        start = p
        while p < length and is_a(value[p], TOKEN):
            p += 1
        if p == start or chunked:
            return BAD_TRANSFER_ENCODING
        codings += 1
        chunked = same_name(value + start, p - start, b"chunked", 7)
        p = skip_blanks(value, p, length)
        if p == length:
            break
        if value[p] != c",":
            return BAD_TRANSFER_ENCODING
        p = skip_blanks(value, p + 1, length)
    head.chunked = chunked and codings == 1
    return DONE


cdef inline uint32_t skip_blanks(bytes_t value, uint32_t p, uint32_t length) noexcept nogil:
    while p < length and is_blank(value[p]):
        p += 1
    return p


# A list of connection options (RFC 9110 7.6.1). Only two matter; fields nominated by the others are left alone.
cdef void note_connection(RequestHead *head, bytes_t value, uint32_t length) noexcept nogil:
    cdef uint32_t p = 0, start, stop
    while p < length:
        start = skip_blanks(value, p, length)
        p = start
        while p < length and value[p] != c",":
            p += 1
        stop = p
        while stop > start and is_blank(value[stop - 1]):
            stop -= 1
        if same_name(value + start, stop - start, b"close", 5):
            head.flags |= ASKS_CLOSE
        elif same_name(value + start, stop - start, b"keep-alive", 10):
            head.flags |= ASKS_KEEP_ALIVE
        elif same_name(value + start, stop - start, b"upgrade", 7):
            head.flags |= ASKS_UPGRADE
        p += 1


cdef int note_expect(RequestHead *head, bytes_t value, uint32_t length) noexcept nogil:
    if note_once(head, SEEN_EXPECT, EXPECTATION_FAILED) != DONE:
        return EXPECTATION_FAILED
    head.flags |= EXPECTS_CONTINUE if same_name(value, length, b"100-continue", 12) else EXPECTS_UNKNOWN
    return DONE


# -- the head as a whole -----------------------------------------------------------------------------------------------


cdef int finish_head(bytes_t data, RequestHead *head) noexcept nogil:
    cdef uint32_t flags = head.flags
    if flags & SEEN_ENCODING:
        if flags & SEEN_LENGTH:
            return LENGTH_AND_ENCODING
        if head.minor_version == 0:
            return ENCODING_ON_HTTP_1_0
        if not head.chunked:
            return UNKNOWN_TRANSFER_ENCODING
    if head.minor_version == 1:
        if not flags & SEEN_HOST:
            return HOST_MISSING
        if flags & EXPECTS_UNKNOWN:
            return EXPECTATION_FAILED
        if not flags & ASKS_CLOSE:
            head.flags |= KEEPS_ALIVE
    else:
        head.flags &= ~<uint32_t>EXPECTS_CONTINUE  # RFC 9110 10.1.1: ignored on HTTP/1.0
        if flags & ASKS_KEEP_ALIVE and not flags & ASKS_CLOSE:
            head.flags |= KEEPS_ALIVE
    if head.authority.length and flags & SEEN_HOST and not same_authority(data, head):
        return HOST_MISMATCH
    return DONE


cdef bint same_authority(bytes_t data, RequestHead *head) noexcept nogil:
    cdef bytes_t a = data + head.authority.start
    cdef bytes_t b = data + head.host.start
    cdef uint32_t i
    if head.authority.length != head.host.length:
        return False
    for i in range(head.host.length):
        if a[i] != b[i] and not (c"a" <= (a[i] | 0x20) <= c"z" and (a[i] | 0x20) == (b[i] | 0x20)):
            return False
    return True


# -- chunked bodies ----------------------------------------------------------------------------------------------------

cdef enum ChunkState:
    SIZE = 0                          # hexadecimal digits
    EXTENSION                         # behind ';'
    EXTENSION_NAME
    EXTENSION_VALUE                   # behind '='
    EXTENSION_TOKEN
    EXTENSION_QUOTED
    EXTENSION_ESCAPE
    EXTENSION_END                     # behind a closed value
    SIZE_LF
    CHUNK_DATA
    DATA_CR
    DATA_LF
    TRAILER                           # at the start of a line
    TRAILER_NAME
    TRAILER_VALUE
    TRAILER_LF
    LAST_LF


cdef void reset_chunks(ChunkDecoder *decoder) noexcept nogil:
    memset(decoder, 0, sizeof(ChunkDecoder))


cdef int decode_chunks(
    ChunkDecoder *decoder, const char *data, size_t size, const Limits *limits,
    size_t *used, const char **body, size_t *body_size,
) noexcept nogil:
    cdef size_t p = 0
    cdef int verdict
    while p < size:
        if decoder.state == CHUNK_DATA:
            body[0] = data + p
            body_size[0] = size - p if size - p < decoder.left else <size_t>decoder.left
            decoder.left -= body_size[0]
            if decoder.left == 0:
                decoder.state = DATA_CR
            used[0] = p + body_size[0]
            return DATA
        if decoder.state < CHUNK_DATA:
            verdict = size_line_byte(decoder, <unsigned char>data[p])
        else:
            verdict = trailer_byte(decoder, <unsigned char>data[p], limits)
        p += 1
        if verdict != MORE:
            used[0] = p
            return verdict
    used[0] = p
    return MORE


# chunk-size [ chunk-ext ] CRLF, byte by byte. Returns MORE or a refusal.
cdef int size_line_byte(ChunkDecoder *decoder, unsigned char c) noexcept nogil:
    cdef uint8_t state = decoder.state
    if state == SIZE:
        if is_a(c, HEX):
            return chunk_digit(decoder, c)
        if decoder.digits == 0:
            return BAD_CHUNK_SIZE
        return end_chunk_size(decoder, c)
    if state == SIZE_LF:
        return start_chunk(decoder) if c == 10 else BAD_CHUNK_SIZE

    decoder.line += 1
    decoder.extensions += 1
    if decoder.line > EXTENSION_LINE_LIMIT or decoder.extensions > EXTENSION_TOTAL_LIMIT:
        return CHUNK_EXTENSIONS_TOO_LONG
    decoder.state = next_extension_state(state, c)
    return MORE if decoder.state != SIZE else BAD_CHUNK_EXTENSION


cdef inline int chunk_digit(ChunkDecoder *decoder, unsigned char c) noexcept nogil:
    cdef uint32_t digit = c - c"0" if c <= c"9" else (c | 0x20) - c"a" + 10
    decoder.digits += 1
    if decoder.digits > CHUNK_DIGITS_LIMIT:
        return BAD_CHUNK_SIZE
    decoder.left = (decoder.left << 4) | digit
    return MORE


cdef int end_chunk_size(ChunkDecoder *decoder, unsigned char c) noexcept nogil:
    cdef uint64_t largest = 0x7FFFFFFFFFFFFFFFu
    if decoder.left > largest - decoder.total:
        return BAD_CHUNK_SIZE
    decoder.total += decoder.left
    decoder.line = 0
    if c == 13:
        decoder.state = SIZE_LF
    elif c == c";":
        decoder.state = EXTENSION
    else:
        return BAD_CHUNK_SIZE
    return MORE


cdef int start_chunk(ChunkDecoder *decoder) noexcept nogil:
    decoder.digits = 0
    decoder.line = 0
    decoder.state = TRAILER if decoder.left == 0 else CHUNK_DATA
    return MORE


# *( ";" name [ "=" ( token / quoted-string ) ] ) of RFC 9112 7.1.1. The white space that it allows around ";" and "="
# is refused: other servers read it in ways of their own. SIZE means: not allowed.
cdef uint8_t next_extension_state(uint8_t state, unsigned char c) noexcept nogil:
    if state == EXTENSION_QUOTED:
        if c == c'"':
            return EXTENSION_END
        if c == c"\\":
            return EXTENSION_ESCAPE
        return EXTENSION_QUOTED if is_a(c, QUOTED) else SIZE
    if state == EXTENSION_ESCAPE:
        return EXTENSION_QUOTED if c == 9 or (c >= 0x20 and c != 0x7F) else SIZE
    if state == EXTENSION:
        return EXTENSION_NAME if is_a(c, TOKEN) else SIZE
    if state == EXTENSION_VALUE:
        return EXTENSION_QUOTED if c == c'"' else EXTENSION_TOKEN if is_a(c, TOKEN) else SIZE
    if (state == EXTENSION_NAME or state == EXTENSION_TOKEN) and is_a(c, TOKEN):
        return state
    if c == c"=" and state == EXTENSION_NAME:
        return EXTENSION_VALUE
    if c == c";":
        return EXTENSION
    return SIZE_LF if c == 13 else SIZE


# What follows chunk data, and the trailer section. Returns MORE, DONE or a refusal.
cdef int trailer_byte(ChunkDecoder *decoder, unsigned char c, const Limits *limits) noexcept nogil:
    cdef uint8_t state = decoder.state
    if state == DATA_CR:
        decoder.state = DATA_LF
        return MORE if c == 13 else BAD_CHUNK_END
    if state == DATA_LF:
        decoder.state = SIZE
        return MORE if c == 10 else BAD_CHUNK_END
    if state == LAST_LF:
        return DONE if c == 10 else BAD_TRAILER

    decoder.line += 1
    decoder.trailer_bytes += 1
    if decoder.line > limits.field or decoder.trailer_bytes > limits.head:
        return TRAILERS_TOO_LARGE
    if state == TRAILER:
        return start_trailer(decoder, c, limits)
    if state == TRAILER_NAME:
        return trailer_name_byte(decoder, c)
    if state == TRAILER_VALUE:
        if c == 13:
            decoder.state = TRAILER_LF
            return MORE
        return BAD_TRAILER if (c < 0x20 and c != 9) or c == 0x7F else MORE
    decoder.line = 0
    decoder.state = TRAILER
    return MORE if c == 10 else BAD_TRAILER


cdef int start_trailer(ChunkDecoder *decoder, unsigned char c, const Limits *limits) noexcept nogil:
    if c == 13:
        decoder.state = LAST_LF
        return MORE
    decoder.trailer_lines += 1
    if decoder.trailer_lines > limits.fields:
        return TRAILERS_TOO_LARGE
    decoder.name_length = 0
    decoder.state = TRAILER_NAME
    return trailer_name_byte(decoder, c)


cdef int trailer_name_byte(ChunkDecoder *decoder, unsigned char c) noexcept nogil:
    if is_a(c, TOKEN):
        if decoder.name_length < sizeof(decoder.name):
            decoder.name[decoder.name_length] = <char>(c | 0x20)
        decoder.name_length += 1
        return MORE if decoder.name_length <= FIELD_NAME_LIMIT else TRAILERS_TOO_LARGE
    if c != c":" or decoder.name_length == 0:
        return BAD_TRAILER
    decoder.state = TRAILER_VALUE
    return FORBIDDEN_TRAILER if is_forbidden_trailer(<bytes_t>decoder.name, decoder.name_length) else MORE


# RFC 9110 6.5.1: what frames, routes or authenticates must stand in the head.
cdef bint is_forbidden_trailer(bytes_t name, uint32_t length) noexcept nogil:
    return (
        same_name(name, length, b"content-length", 14)
        or same_name(name, length, b"transfer-encoding", 17)
        or same_name(name, length, b"host", 4)
        or same_name(name, length, b"authorization", 13)
    )
