# What connections use of the kernel: socket(7), epoll(7), poll(2).

from libc.stdint cimport uint32_t

cdef extern from "<sys/socket.h>" nogil:
    const int MSG_DONTWAIT
    const int MSG_MORE
    const int MSG_NOSIGNAL
    const int SHUT_WR
    const int SOL_SOCKET
    const int SO_LINGER
    struct linger_option "linger":
        int l_onoff
        int l_linger
    ssize_t recv(int fd, void *data, size_t size, int flags)
    ssize_t send(int fd, const void *data, size_t size, int flags)
    int shutdown(int fd, int how)
    int setsockopt(int fd, int level, int name, const void *value, unsigned int size)

cdef extern from "<sys/epoll.h>" nogil:
    const uint32_t EPOLLIN
    const uint32_t EPOLLOUT
    const uint32_t EPOLLRDHUP
    const uint32_t EPOLLHUP
    const uint32_t EPOLLERR
    const uint32_t EPOLLET

cdef extern from "<poll.h>" nogil:
    const short POLLIN
    const short POLLOUT
    struct pollfd:
        int fd
        short events
        short revents
    int poll(pollfd *fds, unsigned long count, int milliseconds)

cdef extern from "<unistd.h>" nogil:
    int close_fd "close"(int fd)
