# Lines of the access log: their pieces, and who writes them.

from libc.stdint cimport int64_t

from fastwsgi._guard cimport Latch
from fastwsgi._writer cimport Output


# What stands for a piece of a line. The argument is in brackets.
cdef enum Kind:
    LITERAL                           # these bytes [bytes]
    VARIABLE                          # of the environ [str]
    CALL                              # a text or a number, or None for what is missing [(exchange) -> object]
    READY                             # the same, a text of ASCII that is not to be escaped [(exchange) -> str]
    CLOCK                             # the time, made once a second [(seconds since the epoch) -> str]
    CLIENT                            # REMOTE_ADDR, as the application may have corrected it
    REQUEST                           # the request line
    USER                              # of Authorization: as CALL, where there is one
    PATH                              # of the target, as the client sent it
    STATUS                            # its three digits
    BYTES                             # of the body
    WAITED                            # milliseconds, for a thread
    SECONDS
    MILLISECONDS
    MICROSECONDS
    DECIMAL                           # seconds with six decimals


cdef struct Piece:
    Kind kind
    void *argument                    # borrowed from `pieces`


# A form of lines. Texts are escaped, so that a line stays one.
cdef class Line:
    cdef Piece *plan
    cdef Py_ssize_t count
    cdef tuple pieces
    cdef bint json                    # texts stand in quotation marks, and what is missing is null
    cdef int64_t second               # of `clock`
    cdef str clock

    # Append the line of an exchange that is over, without its end.
    cdef int put(self, Output *out, object exchange) except -1
    cdef int put_piece(self, Output *out, const Piece *piece, object exchange, dict environ, int64_t *micros) except -1
    cdef int put_clock(self, Output *out, object make) except -1
    cdef int put_object(self, Output *out, object value) except -1
    cdef int put_text(self, Output *out, str text) except -1
    cdef int put_missing(self, Output *out) except -1


# What is called with each exchange that is over.
cdef class LineLog:
    cdef Line line
    cdef object handler               # the only one of the logger and as it was made: then it need not be asked
    cdef object formatter             # its own
    cdef int fd                       # of its file
    cdef dict logger_state            # the attributes of logger and handler, and of the manager of all loggers
    cdef dict handler_state
    cdef dict manager_state
    cdef Output spare                 # for a line at a time; who finds none takes another; behind the latch
    cdef Latch latch
    cdef object otherwise             # (exchange): what logs it where somebody has changed the logger

    cdef bint is_plain(self) except -1
    cdef int write(self, const Output *out) except -1
