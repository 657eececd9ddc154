# Where connections come in: what becomes of those that one listening socket accepts.

from libc.stdint cimport int64_t

from fastwsgi._environ cimport EnvironBuilder
from fastwsgi._http1 cimport Connection, Http1


cdef class Entrance:
    cdef Http1 http
    cdef EnvironBuilder environs
    cdef object endpoint              # `net.tls.Endpoint`; None: no TLS
    cdef int64_t most                 # connections
    cdef object on_full               # (): there are so many, or more
    cdef list admitted                # Connections that nobody has greeted yet
    cdef object last_addr             # the address of the last client
    cdef bint last_trusted

    cdef int begin(self, Connection connection, int verdict) except -1
    cdef Connection take_over(self, int fd, object address, dict extra, bint secured)
