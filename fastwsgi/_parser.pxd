# The request parser's contract: bytes in, offsets and a framing verdict out.
#
# Nothing here imports from the package or touches a Python object. Every function is `noexcept nogil`, reads only
# [data, data + size) and returns a Verdict. Offsets count from the first byte of the request.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


# How many bytes at p, at most n, are of one kind. Sixteen at a time with SSE2, else eight as one integer where that
# begins with the first of them; the rest one by one.
cdef extern from *:
    """
    #ifndef FASTWSGI_SCAN
    #define FASTWSGI_SCAN
    #include <stddef.h>
    #include <stdint.h>
    #include <string.h>
    #if defined(__SSE2__)
    #include <emmintrin.h>
    /* Return from the function at the first byte for which the vector `bad`, made of x, is not zero. */
    #define FASTWSGI_SPAN(bad)                                                                                       \\
        for (; n - i >= 16; i += 16) {                                                                               \\
            __m128i x = _mm_loadu_si128((const __m128i *)(p + i));                                                   \\
            int hit = _mm_movemask_epi8(bad);                                                                        \\
            if (hit)                                                                                                 \\
                return i + (size_t)__builtin_ctz((unsigned)hit);                                                     \\
        }
    #define FASTWSGI_EACH(byte) _mm_set1_epi8((char)(byte))
    #define FASTWSGI_IS(byte) _mm_cmpeq_epi8(x, FASTWSGI_EACH(byte))
    #define FASTWSGI_AT_MOST(y, byte) _mm_cmpeq_epi8(_mm_min_epu8(y, FASTWSGI_EACH(byte)), y)
    #endif

    /* Those that may stand in a field value: HTAB, SP, VCHAR, obs-text (RFC 9110 5.5). */
    static inline size_t fastwsgi_value_span(const char *p, size_t n)
    {
        size_t i = 0;
    #if defined(__SSE2__)
        FASTWSGI_SPAN(_mm_or_si128(_mm_andnot_si128(FASTWSGI_IS(0x09), FASTWSGI_AT_MOST(x, 0x1f)), FASTWSGI_IS(0x7f)))
    #elif __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        /* The high bit of a byte of `hits` says that it is below 0x20 or DEL; right up to the first one and for it. */
        const uint64_t ones = 0x0101010101010101u;
        while (n - i >= 8) {
            uint64_t x, hits;
            memcpy(&x, p + i, 8);
            hits = (((x - ones * 0x20) & ~x) | (((x ^ ones * 0x7f) - ones) & ~(x ^ ones * 0x7f))) & ones * 0x80;
            if (hits == 0) {
                i += 8;
                continue;
            }
            i += (size_t)__builtin_ctzll(hits) / 8;
            if (p[i] != 0x09)
                return i;
            i++;
        }
    #endif
        for (; i < n; i++) {
            unsigned char c = (unsigned char)p[i];
            if ((c < 0x20 && c != 0x09) || c == 0x7f)
                break;
        }
        return i;
    }
    #endif
    """
    size_t value_span "fastwsgi_value_span"(const char *p, size_t n) noexcept nogil


# What a parser says. Negative: refused; `errors.REFUSALS` gives the status and the words for each.
cpdef enum Verdict:
    MORE = 0                          # not complete; call again with more bytes
    DONE = 1                          # complete
    DATA = 2                          # chunked decoder only: a span of body bytes is ready
    BAD_REQUEST_LINE = -10
    BAD_METHOD = -11
    METHOD_TOO_LONG = -12
    BAD_TARGET = -13
    REQUEST_LINE_TOO_LONG = -14
    BAD_VERSION = -15
    VERSION_NOT_SUPPORTED = -16
    TLS_ON_PLAIN_PORT = -17
    TUNNEL_REFUSED = -18
    BAD_LINE_END = -20
    BAD_FIELD_NAME = -21
    BAD_FIELD_VALUE = -22
    FOLDED_FIELD = -23
    FIELD_TOO_LONG = -24
    TOO_MANY_FIELDS = -25
    HEAD_TOO_LARGE = -26
    BAD_CONTENT_LENGTH = -30
    LENGTH_AND_ENCODING = -31
    BAD_TRANSFER_ENCODING = -32
    UNKNOWN_TRANSFER_ENCODING = -33
    ENCODING_ON_HTTP_1_0 = -34
    HOST_MISSING = -35
    BAD_HOST = -36
    HOST_MISMATCH = -37
    REPEATED_CONTENT_TYPE = -38
    EXPECTATION_FAILED = -39
    BAD_CHUNK_SIZE = -50
    BAD_CHUNK_EXTENSION = -51
    CHUNK_EXTENSIONS_TOO_LONG = -52
    BAD_CHUNK_END = -53
    BAD_TRAILER = -54
    FORBIDDEN_TRAILER = -55
    TRAILERS_TOO_LARGE = -56
    BODY_TOO_LARGE = -60              # from here on: said by the connection, not by the parser
    INCOMPLETE_REQUEST = -61
    HEAD_TIMEOUT = -62
    BODY_TIMEOUT = -63
    NO_STORAGE = -64
    BAD_PROXY_HEADER = -65            # said by what comes before the first request
    PROXY_HEADER_FORBIDDEN = -66
    NOT_TLS = -67
    AMBIGUOUS_FIELD_NAME = -70        # from here on: said by what builds the environ
    CONTRADICTORY_SCHEMES = -71
    OUTSIDE_SCRIPT_NAME = -72
    REPEATED_SCRIPT_NAME = -73


# What a client may do besides, as bits; each is a setting of gunicorn's that bears nearly this name.
cdef enum Leniency:
    ANY_METHOD = 1                    # lower-case letters, any length
    CASEFOLD_METHOD = 2               # of what is accepted
    ANY_VERSION = 4
    FOLDED_FIELDS = 8                 # but of those that frame or route
    NAME_SPACES = 16                  # between a field's name and the colon


# The methods that mean something here.
cdef enum Verb:
    OTHER_VERB = 0
    GET_VERB
    HEAD_VERB
    POST_VERB
    OPTIONS_VERB
    CONNECT_VERB


# Fields whose name means something to framing or to the environ.
cdef enum FieldKind:
    PLAIN_FIELD = 0
    HOST_FIELD
    CONTENT_LENGTH_FIELD
    CONTENT_TYPE_FIELD
    TRANSFER_ENCODING_FIELD
    CONNECTION_FIELD
    EXPECT_FIELD
    COOKIE_FIELD                      # from here on: nothing that frames or routes
    PROXY_FIELD                       # to be dropped: it would become HTTP_PROXY (httpoxy)
    UNDERSCORED_FIELD                 # collides in the environ with the name that has hyphens
    FOLDED = 64                       # a bit: the value has line ends in it


cdef enum HeadFlag:
    SEEN_HOST = 1
    SEEN_LENGTH = 2
    SEEN_ENCODING = 4
    SEEN_TYPE = 8
    SEEN_EXPECT = 16
    ASKS_CLOSE = 32
    ASKS_KEEP_ALIVE = 64
    EXPECTS_CONTINUE = 128
    EXPECTS_UNKNOWN = 256
    KEEPS_ALIVE = 512                 # the verdict on Connection and version (RFC 9112 9.3)
    SEEN_ODD = 1024                   # PROXY_FIELD, UNDERSCORED_FIELD or FOLDED
    UPPERS_METHOD = 2048              # the method is to be read in upper case
    ASKS_UPGRADE = 4096               # to another protocol (RFC 9110 7.8)


cdef struct Span:
    uint32_t start
    uint32_t length


cdef struct Field:
    Span name
    Span value                        # without the white space around it
    uint32_t hash                     # `name_hash` of the name as it came
    uint32_t kind                     # FieldKind


# Limits in bytes or counts; none of those is zero. `head` bounds all the others and must be below 2**31.
cdef struct Limits:
    uint32_t request_line             # without its CR LF; above: 414
    uint32_t field                    # one field line with its CR LF; above: 431
    uint32_t fields                   # number of field lines; above: 431
    uint32_t head                     # the whole head; above: 431
    uint32_t leniency                 # bits of Leniency; 0: none


# The state of one head and, when DONE, its meaning. Zeroed by `reset_head`; `fields` points to room for
# `Limits.fields` entries and is the caller's. Spans of earlier lines stay valid from call to call as long as the
# caller passes the same bytes again, longer.
cdef struct RequestHead:
    uint32_t position                 # first byte of the line to parse next
    uint32_t length                   # DONE: bytes of the head with the empty line
    Span method
    Span target                       # as it came
    Span authority                    # absolute form only, else empty
    Span path                         # empty for absolute form without a path
    Span query                        # without the question mark
    Span host                         # the Host field's value
    uint32_t field_count              # entries of `fields` in use
    uint32_t flags                    # HeadFlag
    uint32_t verb                     # Verb
    uint32_t version                  # ten times major and minor
    uint32_t minor_version            # 0 or 1: whose rules hold
    int64_t content_length            # -1 without one
    bint chunked
    Field *fields
    # The head before, of which the entries of `fields` that are not in use yet still tell. Forgotten with MORE.
    const char *before                # its bytes
    uint32_t before_length
    uint32_t before_count             # its fields; 0: nothing is known
    uint64_t alike                    # a bit for each of the first 64 fields whose line is the same in both


# A hash of a field name's bytes, case and all.
cdef uint32_t name_hash(const char *name, uint32_t length) noexcept nogil

cdef void reset_head(RequestHead *head) noexcept nogil

# As `reset_head`, where `head` is DONE: a line that the next head, which must have the same limits, has in the same
# place is not parsed again. `before` has the bytes of what `head` holds, and keeps them as long as that goes on.
cdef void follow_head(RequestHead *head, const char *before) noexcept nogil

# Parse a request head. Arguments: all bytes of the request so far; `head` as `reset_head` or the last MORE left it.
# Returns MORE, DONE or a refusal. Linear in the bytes of each line; no line is parsed twice.
cdef int parse_head(const char *data, size_t size, const Limits *limits, RequestHead *head) noexcept nogil


# The state of one chunked body (RFC 9112 7.1). Zeroed by `reset_chunks`.
cdef struct ChunkDecoder:
    uint64_t left                     # of the current chunk: its size while being read, then bytes to come
    uint64_t total                    # bytes announced by all chunks so far
    uint32_t digits
    uint32_t line                     # bytes of the current extension or trailer line
    uint32_t extensions               # bytes of extensions in this message
    uint32_t trailer_lines
    uint32_t trailer_bytes
    uint32_t name_length
    uint8_t state
    char name[24]                     # the trailer's name in lower case, cut


cdef void reset_chunks(ChunkDecoder *decoder) noexcept nogil

# Decode chunked data in place. Sets `used` to the bytes consumed. DATA: `body` and `body_size` give a span of decoded
# bytes inside `data`; call again with the rest. MORE: all consumed. DONE: the last chunk and the trailers are over,
# what follows `used` belongs to the next request.
cdef int decode_chunks(
    ChunkDecoder *decoder, const char *data, size_t size, const Limits *limits,
    size_t *used, const char **body, size_t *body_size,
) noexcept nogil
