# accept(2), without the objects that the socket module makes of a connection.

cdef extern from "<sys/socket.h>" nogil:
    ctypedef unsigned int socklen_t
    struct sockaddr:
        pass
    struct sockaddr_storage:
        unsigned short ss_family


cdef class Acceptor:
    cdef int fd                       # of the listening socket, borrowed; all its clients are of one family
    cdef char network[16]             # the address of the last client
    cdef str host                     # its text; None: there was none

    cdef object address_of(self, const sockaddr_storage *peer)
    cdef int note_host(self, int family, const void *network, size_t size) except -1
