# A request body: collected while it arrives, then the application's wsgi.input.

from libc.stdint cimport int64_t


cdef class RequestBody:
    cdef char *data                   # in memory; NULL once spooled or empty
    cdef size_t length
    cdef size_t capacity
    cdef size_t position              # the application's
    cdef size_t memory_limit          # bytes; beyond it everything goes to `file`
    cdef object open_file             # returns a new temporary file, open for reading and writing
    cdef object file
    cdef readonly int64_t received    # bytes so far

    # Take bytes from the wire. Raises OSError where the temporary file cannot take them.
    cdef int collect(self, const char *data, size_t size) except -1
    # The body is complete: what follows are the application's reads.
    cdef int rewind(self) except -1
    # Release memory and file.
    cdef int close(self) except -1

    cdef int spool(self) except -1
    cdef bytes take(self, size_t length)
    cdef size_t left_in_file(self, Py_ssize_t wanted) except? 0
    cdef size_t line_end(self, size_t limit) noexcept
