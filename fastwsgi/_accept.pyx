"""How connections are taken from the kernel: accept4(2), without an object and an exception for each.

An address becomes text only where it is not that of the client before: many come from one proxy.
"""

import os

cimport cython
from libc.errno cimport EAFNOSUPPORT, EAGAIN
from libc.string cimport memcmp, memcpy

cdef enum:
    TEXT_SIZE = 46                    # INET6_ADDRSTRLEN

cdef extern from "<sys/socket.h>" nogil:
    const int AF_INET
    const int AF_INET6
    const int SOCK_CLOEXEC

cdef extern from *:
    """
    #include <errno.h>
    #include <sys/socket.h>

    /* As accept4, but with what went wrong as a negative number: errno may change between two lines. */
    static inline int fastwsgi_accept(int fd, struct sockaddr *address, socklen_t *size, int flags)
    {
        int accepted = accept4(fd, address, size, flags);
        return accepted < 0 ? -errno : accepted;
    }
    """
    int accept4 "fastwsgi_accept"(int fd, sockaddr *address, socklen_t *size, int flags) noexcept nogil

cdef extern from "<netinet/in.h>" nogil:
    struct in_addr:
        pass
    struct in6_addr:
        pass
    struct sockaddr_in:
        unsigned short sin_port
        in_addr sin_addr
    struct sockaddr_in6:
        unsigned short sin6_port
        unsigned int sin6_flowinfo
        in6_addr sin6_addr
        unsigned int sin6_scope_id
    unsigned short ntohs(unsigned short number)
    unsigned int ntohl(unsigned int number)

cdef extern from "<arpa/inet.h>" nogil:
    const char *inet_ntop(int family, const void *network, char *text, socklen_t size)

cdef extern from "<unistd.h>" nogil:
    int close(int fd)


@cython.final
cdef class Acceptor:
    """Accepts at the listening, non-blocking socket of descriptor `fd`, which must stay open."""

    def __init__(self, int fd):
        self.fd = fd

    def accept(self):
        """Take the next connection: its descriptor, blocking and close-on-exec, and the address of its peer.

        The address is what `socket.accept` makes of it; "" for a client on a unix socket. Returns None where no
        connection waits. Raises OSError.
        """
        cdef sockaddr_storage peer
        cdef socklen_t size = sizeof(peer)
        cdef int fd = accept4(self.fd, <sockaddr *>&peer, &size, SOCK_CLOEXEC)
        if fd < 0:
            if fd == -EAGAIN:
                return None
            raise OSError(-fd, os.strerror(-fd))
        try:
            return fd, self.address_of(&peer)
        except BaseException:
            close(fd)
            raise

    cdef object address_of(self, const sockaddr_storage *peer):
        cdef const sockaddr_in *four = <const sockaddr_in *>peer
        cdef const sockaddr_in6 *six = <const sockaddr_in6 *>peer
        if peer.ss_family == AF_INET:
            self.note_host(AF_INET, &four.sin_addr, sizeof(in_addr))
            return self.host, ntohs(four.sin_port)
        if peer.ss_family == AF_INET6:
            self.note_host(AF_INET6, &six.sin6_addr, sizeof(in6_addr))
            return self.host, ntohs(six.sin6_port), ntohl(six.sin6_flowinfo), six.sin6_scope_id
        return ""

    cdef int note_host(self, int family, const void *network, size_t size) except -1:
        cdef char text[TEXT_SIZE]
        if self.host is not None and memcmp(self.network, network, size) == 0:
            return 0
        if inet_ntop(family, network, text, sizeof(text)) == NULL:
            raise OSError(EAFNOSUPPORT, os.strerror(EAFNOSUPPORT))
        self.host = text.decode("ascii")
        memcpy(self.network, network, size)
        return 0
