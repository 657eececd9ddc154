# A request body: collected while it arrives, then, or meanwhile, the application's wsgi.input.

from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from fastwsgi._exchange cimport Exchange
from fastwsgi._guard cimport Owner
from fastwsgi._parser cimport ChunkDecoder


cdef class BodyMemory:
    cdef size_t size                  # bytes
    cdef size_t taken                 # of it, or beyond by what is always granted

    # The most that a body may have in memory which has `held` bytes of it.
    cdef size_t most(self, size_t held) noexcept
    cdef void count(self, size_t more) noexcept


cdef class RequestBody:
    cdef BodyMemory memory
    cdef PyObject *block              # bytes that nobody else has seen; NULL once spooled, read or empty
    cdef char *data                   # in it
    cdef size_t length
    cdef size_t capacity              # of the block; what it has of `memory`
    cdef size_t position              # the application's
    cdef size_t announced             # bytes by Content-Length; 0: it is not known, or does not matter
    cdef object open_file             # returns a new temporary file, open for reading and writing
    cdef object file
    cdef readonly int64_t received    # bytes so far
    cdef ChunkDecoder *chunks         # owned; NULL: the body has a length
    cdef int64_t left                 # of that
    cdef int64_t since                # milliseconds: when it began, or began anew
    cdef Exchange source              # asked for more while the application reads; None: there is no more to come
    cdef Exchange keeper              # without the GIL: whose guard it stands under; None: its own
    cdef object error                 # why there is not, where the body is incomplete; raised by every read

    # Take bytes from the wire. Raises OSError where the temporary file cannot take them.
    cdef int collect(self, const char *data, size_t size) except -1
    # Where bytes may be received to, and how many; NULL: what comes has to be collected. `fill` says how many came.
    cdef char *room(self, size_t *size) except? NULL
    cdef int fill(self, size_t size) except -1
    # The body is complete: what follows are the application's reads.
    cdef int rewind(self) except -1
    # Release memory and file.
    cdef int close(self) except -1

    # Have `wanted` bytes in memory behind the position, or all there are.
    cdef int need(self, size_t wanted) except -1
    cdef bint grow(self, size_t needed) except -1
    cdef int resize(self, size_t capacity) except -1
    cdef Owner owner(self) noexcept
    cdef int spool(self) except -1
    cdef void release(self) noexcept
    cdef bytes take(self, size_t length)
    cdef bytes hand_over(self)
    cdef bytes take_line(self, size_t wanted)
    cdef size_t left_in_file(self) except? 0
    cdef size_t line_end(self, size_t limit) noexcept
