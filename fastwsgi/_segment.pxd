# Stretches of memory, or of a file, on their way to a socket that does not block.

from libc.stdint cimport int64_t

cdef extern from "<sys/types.h>" nogil:
    ctypedef long off_t


cdef class Segment:
    cdef object owner                 # keeps memory alive; of a file, its OpenFile
    cdef const char *data             # NULL: a file
    cdef int fd
    cdef off_t offset
    cdef int64_t left
    cdef bint sealed                  # it is encrypted

    # Take up to `limit` bytes from its front; None where the file has become shorter than it was.
    cdef object cut(self, int64_t limit)
    # `size` bytes of its front, no more than are left, have gone.
    cdef int skip(self, int64_t size) noexcept
    # It will not be sent any more, or all of it was.
    cdef int close(self) noexcept


# `length` bytes at `data`, which `owner` keeps alive; or where that is NULL, of the file `fd` from `offset`.
cdef Segment new_segment(object owner, const char *data, int fd, int64_t offset, int64_t length)
# Send some of the front of `segments`, which is not empty: in one call what lies in memory and is encrypted like the
# first, or of a file no more than `most` bytes. Returns how many, or what went wrong as a negative number.
cdef ssize_t send_front(list segments, int fd, int64_t most) noexcept
# What was gathered, a block and what ends it, in one call with more `flags` of MSG_*. Returns how many bytes the socket
# took, or what went wrong as a negative number.
cdef ssize_t send_all(
    int fd, const char *gathered, size_t length, const char *block, size_t size, const char *end, size_t end_size,
    int flags,
) noexcept nogil
# sendfile has no flag for one call, as send has.
cdef void set_nonblocking(int fd) noexcept nogil
