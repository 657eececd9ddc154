"""Stretches of memory, or of a file, on their way to a socket that does not block.

Law: what goes wrong is returned and not left in errno, where whatever runs between two lines may change it.
"""

cimport cython
from cpython.buffer cimport PyBUF_READ
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport int64_t
from libc.string cimport memset

from fastwsgi._exchange cimport OpenFile

cdef extern from *:
    """
    #include <errno.h>
    #include <sys/ioctl.h>
    #include <sys/sendfile.h>
    #include <sys/socket.h>

    #define FASTWSGI_OR_ERRNO(n, call) ((n) = (call)) < 0 ? -errno : (n)

    static inline ssize_t fastwsgi_send(int fd, const void *data, size_t size, int flags)
    {
        ssize_t n;
        return FASTWSGI_OR_ERRNO(n, send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL | flags));
    }

    static inline ssize_t fastwsgi_sendmsg(int fd, const struct msghdr *message, int flags)
    {
        ssize_t n;
        return FASTWSGI_OR_ERRNO(n, sendmsg(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL | flags));
    }

    static inline ssize_t fastwsgi_sendfile(int fd, int source, off_t *offset, size_t count)
    {
        ssize_t n;
        return FASTWSGI_OR_ERRNO(n, sendfile(fd, source, offset, count));
    }
    """
    struct iovec:
        void *iov_base
        size_t iov_len
    struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen
    const unsigned long FIONBIO
    int ioctl(int fd, unsigned long request, ...) nogil
    ssize_t send "fastwsgi_send"(int fd, const void *data, size_t size, int flags) noexcept nogil
    ssize_t sendmsg "fastwsgi_sendmsg"(int fd, const msghdr *message, int flags) noexcept nogil
    ssize_t sendfile "fastwsgi_sendfile"(int fd, int source, off_t *offset, size_t count) noexcept nogil

cdef extern from "<unistd.h>" nogil:
    ssize_t pread(int fd, void *data, size_t size, off_t offset)

cdef enum:
    VECTOR = 8                        # stretches of memory in one call


@cython.final
cdef class Segment:
    """What stands between the output buffer and a slow client: bytes, or a stretch of a file."""

    cdef object cut(self, int64_t limit):
        cdef Py_ssize_t size = <Py_ssize_t>min(self.left, limit)
        if self.data != NULL:
            piece = PyMemoryView_FromMemory(<char *>self.data, size, PyBUF_READ)
        else:
            piece = PyBytes_FromStringAndSize(NULL, size)
            size = pread(self.fd, PyBytes_AS_STRING(piece), <size_t>size, self.offset)
            if size <= 0:
                return None
            piece = piece[:size]
        self.skip(size)
        return piece

    cdef int skip(self, int64_t size) noexcept:
        if self.data != NULL:
            self.data += size
        else:
            self.offset += size
        self.left -= size
        return 0

    cdef int close(self) noexcept:
        if self.data == NULL:
            (<OpenFile>self.owner).close()
        return 0


cdef Segment new_segment(object owner, const char *data, int fd, int64_t offset, int64_t length):
    cdef Segment segment = Segment.__new__(Segment)
    segment.owner, segment.data, segment.fd, segment.offset, segment.left = owner, data, fd, offset, length
    return segment


cdef ssize_t send_front(list segments, int fd, int64_t most) noexcept:
    cdef Segment segment = <Segment>segments[0]
    cdef bint sealed = segment.sealed
    cdef off_t offset = segment.offset
    cdef iovec parts[VECTOR]
    cdef msghdr message
    cdef size_t count = 0
    if segment.data == NULL:
        return sendfile(fd, segment.fd, &offset, <size_t>min(segment.left, most))
    if len(segments) == 1:
        return send(fd, segment.data, <size_t>segment.left, 0)
    for segment in segments:
        if count == VECTOR or segment.data == NULL or segment.sealed != sealed:
            break
        parts[count].iov_base, parts[count].iov_len = <void *>segment.data, <size_t>segment.left
        count += 1
    memset(&message, 0, sizeof(message))
    message.msg_iov, message.msg_iovlen = parts, count
    return sendmsg(fd, &message, 0)


cdef ssize_t send_all(
    int fd, const char *gathered, size_t length, const char *block, size_t size, const char *end, size_t end_size,
    int flags,
) noexcept nogil:
    cdef iovec parts[3]
    cdef msghdr message
    if size == 0:
        return send(fd, gathered, length, flags)
    parts[0].iov_base, parts[0].iov_len = <void *>gathered, length
    parts[1].iov_base, parts[1].iov_len = <void *>block, size
    parts[2].iov_base, parts[2].iov_len = <void *>end, end_size
    memset(&message, 0, sizeof(message))
    message.msg_iov, message.msg_iovlen = parts, 3 if end_size else 2
    return sendmsg(fd, &message, flags)


cdef void set_nonblocking(int fd) noexcept nogil:
    cdef int on = 1
    ioctl(fd, FIONBIO, &on)
