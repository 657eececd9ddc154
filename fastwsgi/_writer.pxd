# From a status and headers to bytes. Every byte of a head is validated while it is copied.

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint32_t

from fastwsgi._sender cimport Relay


# Bytes on their way out.
cdef struct Output:
    char *data
    size_t length
    size_t capacity


cdef int reserve(Output *out, size_t more) except -1
cdef int append(Output *out, const char *data, size_t length) except -1
cdef int prepend(Output *out, const char *data, size_t length) except -1
cdef void release(Output *out) noexcept


cdef enum ResponseField:
    ORDINARY
    LENGTH
    CONNECTION
    HOP_BY_HOP
    SERVERS_OWN                       # Date, Server


# What a serialised head says about framing.
cdef struct ResponseHead:
    int status
    int64_t content_length            # as the application gave it, or -1
    bint close_asked                  # the application sent Connection: close


cdef enum:
    LINES = 64                        # a power of two
    LINE_LIMIT = 104                  # longer lines are made anew each time
    WHOLE_FIELDS = 16                 # heads of more fields, or longer ones, are put together each time
    WHOLE_LIMIT = 1024


# A field line as it was made from a tuple of two str, which cannot change while it is kept.
cdef struct FieldLine:
    PyObject *field                   # the tuple, owned; NULL: free
    int64_t content_length            # -1: it is no Content-Length
    uint32_t length
    char text[LINE_LIMIT]


# A response at a time; reused for others.
cdef class HeadWriter:
    cdef HeadWriter next              # of those that no response uses
    cdef Output out                   # what it has written, and bodies between
    cdef Relay relay                  # what was in front of that, where a thread sends it
    cdef FieldLine lines[LINES]
    cdef object status                # the str of the status line below
    cdef int status_code
    cdef size_t status_length
    cdef char status_line[64]
    cdef bytes server                 # the whole Server line, or nothing
    cdef object dropped               # the hop-by-hop field left out of the last head (RFC 9110 7.6.1), or None
    cdef int64_t second               # of the Date line below
    cdef char common[512]             # "Date: …" and the Server line
    cdef size_t common_length
    # A head that was put together of what stands above, to be known by its objects:
    cdef int whole                    # its fields; -1: there is none
    cdef PyObject *fields[WHOLE_FIELDS]  # owned by `lines`
    cdef ResponseHead meaning
    cdef size_t text_length
    cdef char text[WHOLE_LIMIT]

    # Append status line, Date, Server and the application's fields, without framing fields and without the empty line.
    # `wall` is the time in seconds since the epoch. Raises ApplicationError and leaves `out` as it was.
    cdef int put(self, object status, object headers, int64_t wall, ResponseHead *head) except -1

    # Append a whole 103 Early Hints (RFC 8297) with these headers. Raises ApplicationError likewise.
    cdef int put_interim(self, object headers) except -1

    cdef int put_status(self, Output *out, object status) except -1
    cdef bint put_known(self, Output *out, const FieldLine *line, ResponseHead *head) except -1
    cdef int learn(
        self, FieldLine *line, tuple field, const Output *out, size_t start, int64_t content_length,
    ) except -1
    cdef bint repeats(self, object status, object headers, int64_t wall) noexcept
    cdef int keep_whole(self, list headers, size_t start, const ResponseHead *head) noexcept
    # Returns whether all of them had their line among `lines`.
    cdef bint put_fields(self, Output *out, object headers, ResponseHead *head) except -1
    cdef int put_pair(self, Output *out, object field, ResponseHead *head) except -1
    cdef int put_field(self, Output *out, object name, object value, ResponseHead *head) except -1
    cdef int drop_field(
        self, ResponseField kind, object name, const unsigned char *v, Py_ssize_t length, ResponseHead *head,
    ) except -1
    cdef int put_common(self, Output *out, int64_t wall) except -1


# "Content-Length: N" CR LF
cdef int put_length(Output *out, int64_t length) except -1
# N in hexadecimal CR LF: the size line of a chunk
cdef int put_chunk_size(Output *out, size_t size) except -1
