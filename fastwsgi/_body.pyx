"""The request body as PEP 3333's input stream ("Input and Error Streams").

How it works: bytes are collected in memory up to a limit, beyond it in an unnamed temporary file. Memory grows with
what has arrived, never with what a Content-Length promises. When the body is complete the same object is wsgi.input.

Laws: a read never passes the end of the body, and the end is b"". The file has no name, so nothing is left behind.
"""

cimport cython
from libc.stdint cimport int64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memchr, memcpy

from cpython.bytes cimport PyBytes_FromStringAndSize


@cython.final
cdef class RequestBody:
    """A body in memory up to `memory_limit` bytes, then in the binary file that `open_file()` returns.

    Reading after the exchange is over raises ValueError where the body was in a file.
    """

    def __init__(self, size_t memory_limit, open_file):
        self.memory_limit = memory_limit
        self.open_file = open_file

    def __dealloc__(self):
        free(self.data)

    cdef int collect(self, const char *data, size_t size) except -1:
        cdef size_t capacity
        cdef char *grown
        self.received += <int64_t>size
        if self.file is None and size > self.memory_limit - self.length:
            self.spool()
        if self.file is not None:
            self.file.write(data[:size])
            return 0
        if size > self.capacity - self.length:
            capacity = self.length + size
            capacity += capacity // 2
            if capacity > self.memory_limit:
                capacity = self.memory_limit
            grown = <char *>realloc(self.data, capacity)
            if grown == NULL:
                raise MemoryError
            self.data, self.capacity = grown, capacity
        memcpy(self.data + self.length, data, size)
        self.length += size
        return 0

    cdef int spool(self) except -1:
        self.file = self.open_file()
        if self.length:
            self.file.write(self.data[:self.length])
        free(self.data)
        self.data = NULL
        self.length = self.capacity = 0
        return 0

    cdef int rewind(self) except -1:
        if self.file is not None:
            self.file.seek(0)
        return 0

    cdef int close(self) except -1:
        free(self.data)
        self.data = NULL
        self.length = self.capacity = self.position = 0
        if self.file is not None:
            try:
                self.file.close()
            except OSError:  # the last bytes did not fit; nobody wants them, and the descriptor is closed
                pass
        return 0

    cdef bytes take(self, size_t length):
        cdef bytes block = PyBytes_FromStringAndSize(self.data + self.position, <Py_ssize_t>length)
        self.position += length
        return block

    # Bytes from the position to the end of its line, at most `limit`.
    cdef size_t line_end(self, size_t limit) noexcept:
        cdef char *start = self.data + self.position
        cdef char *end = <char *>memchr(start, c"\n", limit) if limit else NULL
        return limit if end == NULL else <size_t>(end - start) + 1

    # A read for more than there is would have memory set aside for it.
    cdef size_t left_in_file(self, Py_ssize_t wanted) except? 0:
        return bounded(wanted, <size_t>(self.received - <int64_t>self.file.tell()))

    def read(self, size=-1):
        """Read at most `size` bytes; all that is left for a negative size or None. b"" at the end."""
        cdef Py_ssize_t wanted = number_of(size)
        if self.file is not None:
            return self.file.read(self.left_in_file(wanted))
        return self.take(bounded(wanted, self.length - self.position))

    def readline(self, size=-1):
        """Read one line with its line feed, at most `size` bytes of it."""
        cdef Py_ssize_t wanted = number_of(size)
        if self.file is not None:
            return self.file.readline(self.left_in_file(wanted))
        return self.take(self.line_end(bounded(wanted, self.length - self.position)))

    def readlines(self, hint=-1):
        """Read the lines that are left; with a positive `hint` stop once so many bytes are read."""
        cdef list lines = []
        cdef Py_ssize_t total = 0
        cdef Py_ssize_t enough = 0 if hint is None else hint
        for line in self:
            lines.append(line)
            total += len(line)
            if 0 < enough <= total:
                break
        return lines

    def __iter__(self):
        return self

    def __next__(self):
        cdef bytes line = self.readline()
        if not line:
            raise StopIteration
        return line


# To be known before what is left: an __index__ may read, too, or let another thread end the request.
cdef Py_ssize_t number_of(object size) except? -1:
    return -1 if size is None else size


cdef size_t bounded(Py_ssize_t wanted, size_t left) noexcept:
    return left if wanted < 0 or <size_t>wanted > left else <size_t>wanted
