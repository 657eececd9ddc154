"""What becomes of the connections that one listening socket accepts: a `Connection` each.

Laws: a descriptor belongs to whoever accepted it until there is a connection that has it; what goes wrong from there
on closes the connection and is no error of the caller. The guard of the reactor's thread is held while a connection
answers what came with it.
"""

cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from fastwsgi._environ cimport EnvironBuilder
from fastwsgi._guard cimport guard_enter, guard_leave, guard_ref, owner_of
from fastwsgi._http1 cimport Connection, DRAIN_MS, Http1
from fastwsgi._parser cimport DONE


@cython.final
cdef class Entrance:
    """Takes accepted sockets over for `http`, whose environs are those of `environs`.

    With an `endpoint` they speak TLS from the first byte. `on_full()` is called where there are `most` connections.
    """

    def __init__(self, Http1 http not None, EnvironBuilder environs not None, endpoint, int64_t most, on_full):
        self.http = http
        self.environs = environs
        self.endpoint = endpoint
        self.most = most
        self.on_full = on_full
        self.admitted = []

    def admit(self, int fd, address, dict extra=None):
        """Take over an accepted socket; `greet` has to follow. Returns the Connection.

        `address` is the peer's, as accept returned it. `extra` is put into every environ of the connection, over what
        stands there for all; where it has a REMOTE_ADDR, that is the client's address, for the logs too. A handshake
        of TLS is part of the time for the first head.
        """
        cdef Connection connection = self.take_over(fd, address, extra, True)
        self.admitted.append(connection)
        if self.http.connections >= self.most:
            self.on_full()
        return connection

    def greet(self):
        """Answer what came with the connections that were admitted; the others are watched from now on.

        Behind a batch of them: what arrives during an answer waits for its turn, as do signals and open connections.
        """
        while self.admitted:
            self.begin(self.admitted.pop(0), DONE)

    def connect(self, int fd, address, dict extra=None):
        """`admit` and `greet` a single one. Returns the Connection."""
        connection = self.admit(fd, address, extra)
        self.greet()
        return connection

    def refuse(self, int fd, address, int verdict):
        """Take over an accepted socket only to answer what came before its first request: a Verdict."""
        self.begin(self.take_over(fd, address, None, False), verdict)

    cdef int begin(self, Connection connection, int verdict) except -1:
        cdef Http1 http = self.http
        guard_enter(&http.guard, connection.owner)
        try:
            if verdict == DONE:
                connection.arrive()
            else:
                connection.refuse(verdict)
                connection.settle()
        except BaseException as error:
            connection.lose()
            if not isinstance(error, Exception):
                raise
            http.reactor.on_error(connection, error)
        finally:
            guard_leave(&http.guard)
        return 0

    cdef Connection take_over(self, int fd, object address, dict extra, bint secured):
        cdef Http1 http = self.http
        cdef Connection connection = Connection.__new__(Connection)
        connection.http = http
        connection.owner = owner_of(NULL if http.dispatcher.is_one_thread else <PyObject *>connection)
        connection.guard = guard_ref(&http.guard)
        connection.environs = self.environs
        connection.fd = fd
        connection.extra = extra
        if secured and self.endpoint is not None:
            connection.tls = self.endpoint.accept()
        connection.keeps_alive = True  # where a handshake waits for its client to read
        if type(address) is tuple:
            if self.last_addr != address[0]:  # behind a proxy all have one, and share it
                self.last_addr = address[0]
                self.last_trusted = address[0] in http.trusted_peers
            connection.remote_addr, connection.remote_port = self.last_addr, str(address[1])
            connection.trusted = self.last_trusted
        else:  # a client on a unix socket has no address, and is trusted as by gunicorn
            connection.remote_addr = ""
            connection.trusted = True
        if extra is not None:
            connection.remote_addr = extra.get("REMOTE_ADDR", connection.remote_addr)
        connection.peer_addr = connection.remote_addr
        connection.deadline = http.clock.now() + (DRAIN_MS if http.draining else http.head_timeout)
        connection.behind = http.first
        if http.first != NULL:
            (<Connection>http.first).before = <void *>connection
        http.first = <void *>connection
        http.connections += 1
        return connection
