"""The request body as PEP 3333's input stream ("Input and Error Streams").

How it works: bytes are collected in a bytes object that grows with what has arrived, never with what a Content-Length
promises. Its memory is of a budget that all bodies of a worker share; a body that gets no more of it goes to an unnamed
temporary file. When the body is complete the same object is wsgi.input, and who reads all of it at once gets the very
bytes object, without a copy.

A body that is streamed is wsgi.input from the start. It has a `source`, which it asks for more when a read needs more
than there is; so nothing is taken from the client that nobody wants, and nothing is spooled.

Laws: a read never passes the end of the body, and the end is b"". The file has no name, so nothing is left behind.
What a body has of the budget is `capacity`, and goes back with the memory: when it is spooled, read, closed or gone.
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.buffer cimport PyBUF_READ
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, SIZE_MAX
from libc.stdlib cimport free
from libc.string cimport memchr, memcpy, memmove

from fastwsgi._guard cimport Guard, Owner, add_at_once, guard_enter, guard_leave, owner_of

cdef extern from "Python.h":
    PyObject *new_bytes "PyBytes_FromStringAndSize"(const char *data, Py_ssize_t size) except NULL
    int resize_bytes "_PyBytes_Resize"(PyObject **block, Py_ssize_t size) except -1
    char *start_of "PyBytes_AS_STRING"(PyObject *block) noexcept
    void Py_CLEAR(PyObject *block) noexcept

cdef enum:
    ALWAYS = 16384                    # bytes of each body that need not ask what others have
    GROWTH = 8                        # times what has arrived of an announced body is the most that is set aside for it


@cython.final
cdef class BodyMemory:
    """The memory that request bodies of one worker may have together: `size` bytes.

    The first 16 KiB of each (or `size`, where that is less) are granted in any case. No body gets more than what it
    leaves for the others.
    """

    def __init__(self, size_t size):
        self.size = size

    cdef size_t most(self, size_t held) noexcept:
        cdef size_t others = self.taken - held
        return max(min(self.size, <size_t>ALWAYS), (self.size - others) // 2 if others < self.size else 0)

    # A body may go in any thread.
    cdef void count(self, size_t more) noexcept:
        add_at_once(&self.taken, more)


# Without tp_clear, so that the budget still is there when the body goes.
@cython.final
@cython.no_gc_clear
cdef class RequestBody:
    """A body in memory as far as `memory` grants it, then in the binary file that `open_file()` returns.

    Reading after the exchange is over raises ValueError where the body was in a file.
    """

    def __init__(self, BodyMemory memory not None, open_file):
        self.memory = memory
        self.open_file = open_file

    def __dealloc__(self):
        self.release()
        free(self.chunks)

    cdef void release(self) noexcept:
        Py_CLEAR(self.block)
        self.data = NULL
        if self.memory is not None:
            self.memory.count(0 - self.capacity)
        self.length = self.capacity = self.position = 0

    cdef inline Owner owner(self) noexcept:
        return owner_of(<PyObject *>self) if self.keeper is None else self.keeper.owner

    cdef int collect(self, const char *data, size_t size) except -1:
        if self.file is None and size > self.capacity - self.length and not self.grow(self.length + size):
            self.spool()
        self.received += <int64_t>size
        if self.file is not None:
            self.file.write(PyMemoryView_FromMemory(<char *>data, <Py_ssize_t>size, PyBUF_READ))
            return 0
        memcpy(self.data + self.length, data, size)
        self.length += size
        return 0

    cdef char *room(self, size_t *size) except? NULL:
        if self.file is not None or self.length == self.capacity and not self.grow(self.length + 1):
            return NULL
        size[0] = self.capacity - self.length
        return self.data + self.length

    cdef int fill(self, size_t size) except -1:
        self.length += size
        self.received += <int64_t>size
        return 0

    # Have memory for `needed` bytes. Returns whether there is.
    cdef bint grow(self, size_t needed) except -1:
        cdef size_t most = self.memory.most(self.capacity)
        cdef size_t capacity = needed + needed // 2
        if self.announced:
            capacity = min(GROWTH * needed, self.announced)
            if self.announced > most:  # it will not be complete in memory, so not much of it need be there
                most = min(most, <size_t>ALWAYS)
        if needed > most:
            return False
        self.resize(min(capacity, most))
        return True

    cdef int resize(self, size_t capacity) except -1:
        try:
            if self.block == NULL:
                self.block = new_bytes(NULL, <Py_ssize_t>capacity)
            else:
                resize_bytes(&self.block, <Py_ssize_t>capacity)
        except MemoryError as error:  # what was there is lost, too
            self.release()
            self.error = error
            raise
        self.data = start_of(self.block)
        self.memory.count(capacity - self.capacity)
        self.capacity = capacity
        return 0

    cdef int spool(self) except -1:
        self.file = self.open_file()
        if self.length:
            self.file.write(PyMemoryView_FromMemory(self.data, <Py_ssize_t>self.length, PyBUF_READ))
        self.release()
        return 0

    cdef int need(self, size_t wanted) except -1:
        while self.length - self.position < wanted:
            if self.error is not None:
                raise self.error
            if self.source is None:
                return 0
            if self.position:  # what was read makes room
                self.length -= self.position
                memmove(self.data, self.data + self.position, self.length)
                self.position = 0
            self.source.receive()
        return 0

    cdef int rewind(self) except -1:
        if self.file is not None:
            self.file.seek(0)
        return 0

    cdef int close(self) except -1:
        self.release()
        self.source = None
        if self.file is not None:
            try:
                self.file.close()
            except OSError:  # the last bytes did not fit; nobody wants them, and the descriptor is closed
                pass
        return 0

    cdef bytes take(self, size_t length):
        cdef bytes block
        if length and self.position == 0 and length == self.length:
            return self.hand_over()
        block = PyBytes_FromStringAndSize(self.data + self.position, <Py_ssize_t>length)
        self.position += length
        return block

    # What is here, as it is; from now on it is the application's.
    cdef bytes hand_over(self):
        cdef object block
        if self.length < self.capacity:
            self.resize(self.length)
        block = <object>self.block
        self.release()
        return block

    # Bytes from the position to the end of its line, at most `limit`.
    cdef size_t line_end(self, size_t limit) noexcept:
        cdef char *start = self.data + self.position
        cdef char *end = <char *>memchr(start, c"\n", limit) if limit else NULL
        return limit if end == NULL else <size_t>(end - start) + 1

    # A read for more than there is would have memory set aside for it.
    cdef size_t left_in_file(self) except? 0:
        return <size_t>(self.received - <int64_t>self.file.tell())

    def read(self, size=-1):
        """Read at most `size` bytes; all that is left for a negative size or None. b"" at the end."""
        cdef size_t wanted = wanted_bytes(size)
        cdef Guard guard
        guard_enter(&guard, self.owner())
        try:
            if self.file is not None:
                return self.file.read(min(wanted, self.left_in_file()))
            self.need(wanted)
            return self.take(min(wanted, self.length - self.position))
        finally:
            guard_leave(&guard)

    def readline(self, size=-1):
        """Read one line with its line feed, at most `size` bytes of it."""
        cdef size_t wanted = wanted_bytes(size)
        cdef Guard guard
        guard_enter(&guard, self.owner())
        try:
            return self.take_line(wanted)
        finally:
            guard_leave(&guard)

    cdef bytes take_line(self, size_t wanted):
        cdef size_t here, end
        if self.file is not None:
            return self.file.readline(min(wanted, self.left_in_file()))
        while True:
            here = self.length - self.position
            end = self.line_end(min(wanted, here))
            if (
                end < here or end == wanted or self.source is None and self.error is None
                or end and self.data[self.position + end - 1] == c"\n"
            ):
                return self.take(end)
            self.need(here + 1)

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


# What a `size` asks for. It may run code of the application (__index__), so the caller looks at the body afterwards.
cdef size_t wanted_bytes(object size) except? 0:
    cdef Py_ssize_t wanted = -1 if size is None else size
    return SIZE_MAX if wanted < 0 else <size_t>wanted
