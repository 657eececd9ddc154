"""The HTTP/1.x connection cycle: one `Connection` is one client and, one after the other, its exchanges.

How it works: what comes with a connection is taken there and then (`arrive`); for whatever else has to be waited, the
reactor watches the socket and calls `on_event`. Bytes are received into the worker's one scratch buffer and parsed
there; only what is left of an incomplete request is copied into a buffer of the connection's own. Answers gather in
the buffer of a HeadWriter that the connection borrows and leave by a single send when the input is used up, so
pipelined requests share it. What the socket does not take becomes `pending`, and only then is EPOLLOUT watched (and
EPOLLIN not, so that a client that does not read cannot make the server read).

A dispatcher may have the exchange run elsewhere, in a thread or greenlet. Until that hands it back the connection is
RUNNING and all but its own: the reactor notes what events it misses and does nothing else. Handing back costs the
reactor nothing where everything is sent and nothing was missed; otherwise the connection goes on `returned`.

With TLS two things are different: what was received is decrypted before it is used (`take_in`), and everything that is
to be sent becomes pending and is encrypted a piece at a time (`seal`), in front of which nothing is sent. The handshake
is the first bytes that are decrypted; the connection is IDLE meanwhile.

Laws: everything a connection is doing is its `state`, and `ALLOWED` says which may follow which. The scratch buffer
belongs to the connection whose event is being handled and is empty in between. The GIL, or the connection's guard, is
the lock: what runs elsewhere touches the connection only in calls that neither release it nor run Python code, but for
`on_done`, the polls of `wait`, and OpenSSL; while that is at work the connection is `busy`, and neither cut off nor
closed. An idle connection owns no buffer. After a refusal nothing more is parsed: the answer is sent, the sending side
is closed, what still arrives is thrown away for a while, then the socket is closed (RFC 9112 9.6). A response that
could not be completed never ends like one that was.

    IDLE          nothing received since the last answer
    READING_HEAD  part of a head is here
    READING_BODY  the head is complete, the body is not
    RUNNING       the application has the request, here or elsewhere
    WRITING       a response is under way, or answers wait for the client to read them
    LINGERING     all is said; input is thrown away until the client closes
    CLOSED        the socket is gone
"""

import os

cimport cython
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memcpy, memmove

from fastwsgi._body cimport BodyMemory, RequestBody
from fastwsgi._clock cimport Clock, precise
from fastwsgi._exchange cimport (
    Dispatcher, Exchange, GO_ON, GONE, OpenFile, OVER, SUSPENDED, WAIT, put_last, take_all,
)
from fastwsgi._guard cimport (
    AWAY, FREE_THREADED, add_at_once, come_home, guard_enter, guard_leave, latch_drop, latch_init, latch_take,
    note_while_away,
)
from fastwsgi._parser cimport (
    ANY_METHOD, ANY_VERSION, ASKS_UPGRADE, BODY_TIMEOUT, BODY_TOO_LARGE, CASEFOLD_METHOD, ChunkDecoder, DATA, DONE,
    EXPECTS_CONTINUE, FOLDED_FIELDS, Field, GET_VERB, HEAD_TIMEOUT, HEAD_VERB, INCOMPLETE_REQUEST, KEEPS_ALIVE,
    MORE, NAME_SPACES, NO_STORAGE, NOT_TLS, RequestHead, decode_chunks, follow_head, parse_head, reset_chunks,
    reset_head,
)
from fastwsgi._segment cimport Segment, new_segment, send_all, send_front, set_nonblocking
from fastwsgi._sender cimport HERE, Relay, Sender, empty
from fastwsgi._sockets cimport (
    EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP, MSG_DONTWAIT, MSG_MORE, MSG_NOSIGNAL, POLLIN, POLLOUT,
    SHUT_WR, SOL_SOCKET, SO_LINGER, close_fd, linger_option, poll, pollfd, recv, send, setsockopt, shutdown,
)
from fastwsgi._tls cimport RECORD, Transport
from fastwsgi._writer cimport HeadWriter, Output, ResponseHead, append, prepend, put_chunk_size, put_length

from fastwsgi.errors import REASONS, REFUSALS, TOO_SLOW, ClientGone, RequestBodyError

cdef enum:
    SCRATCH_SIZE = 65536
    FULL_OUTPUT = 65536               # answers gathered before they are sent without waiting for more
    COPIED_BODY = 16384               # a larger block is sent from where it lies
    SEALED = 81920                    # bytes encrypted at once: a block of 64 KiB with its head
    LINGER_BYTES = 65536
    LINGER_MS = 2000
    BURST_MS = 4                      # pieces of a generator within it follow each other
    RATE_GRACE_MS = 10000             # before a body's rate counts
    WAIT_MS = 500                     # after which a thread that waits for its client looks whether it still should
    TURN_COST = 4096                  # bytes a send counts for at least, so that small blocks end a turn, too
    TURN_INPUT = 1048576              # bytes received before other connections have their turn

# What is watched for. Edge-triggered: the kernel need not look at the socket again after each event (a twentieth of
# what a request costs). So input is received until a buffer is not filled; where its end was announced, until it
# shows.
cdef uint32_t MASKS[3]
MASKS[:] = [0, EPOLLIN | EPOLLRDHUP | EPOLLET, EPOLLOUT | EPOLLET]  # by Watch
cdef uint32_t END = EPOLLRDHUP | EPOLLHUP | EPOLLERR

STATES = ("IDLE", "READING_HEAD", "READING_BODY", "RUNNING", "WRITING", "LINGERING", "CLOSED")

# Which state may follow which; `enter` refuses everything else.
TRANSITIONS = {
    "IDLE": ("READING_HEAD", "READING_BODY", "RUNNING", "WRITING", "CLOSED"),
    "READING_HEAD": ("READING_BODY", "RUNNING", "WRITING", "CLOSED"),
    "READING_BODY": ("RUNNING", "WRITING", "CLOSED"),
    "RUNNING": ("IDLE", "WRITING", "CLOSED"),
    "WRITING": ("IDLE", "READING_BODY", "LINGERING", "CLOSED"),
    "LINGERING": ("CLOSED",),
    "CLOSED": (),
}

cdef uint8_t ALLOWED[7]
for _state in range(7):
    ALLOWED[_state] = sum(1 << STATES.index(following) for following in TRANSITIONS[STATES[_state]])

# What may be loosened, by the name of gunicorn's setting.
LENIENCY = {
    "permit_unconventional_http_method": ANY_METHOD,
    "casefold_http_method": CASEFOLD_METHOD,
    "permit_unconventional_http_version": ANY_VERSION,
    "permit_obsolete_folding": FOLDED_FIELDS,
    "strip_header_spaces": NAME_SPACES,
}

cdef bytes CHUNK_END = b"\r\n"
cdef list PLAIN_TEXT = [("Content-Type", "text/plain; charset=utf-8")]
cdef list HEALTH = [*PLAIN_TEXT, ("Cache-Control", "no-store")]
cdef list LATER = [*PLAIN_TEXT, ("Retry-After", "1")]


@cython.final
cdef class Http1:
    """What all HTTP/1.x connections of one worker share: limits, buffers, callbacks and the list of open ones.

    Times are in seconds, sizes in bytes; a limit of 0 means none where the setting says so. `make_socket(fd)` returns
    a socket object that owns the descriptor, for `gunicorn.socket`. `wait_for(fd, events,
    milliseconds)` blocks what runs elsewhere until the socket is ready, as poll(2) does where it is None, and returns
    whether it is. `on_done(exchange)`, `on_refusal(remote_addr, refusal)` and `on_max_requests()` may be
    None. `trusted_peers` has the addresses, as accept returns them, of proxies that may say where a request comes from;
    `leniency` is the sum of what `LENIENCY` has. Where a worker has several reactors, `elder` is what the first of them
    has: `max_requests` is of all together.
    """

    def __cinit__(self):
        self.scratch = <char *>malloc(SCRATCH_SIZE)
        if self.scratch == NULL:
            raise MemoryError

    def __init__(
        self, *, reactor, Clock clock not None, Dispatcher dispatcher not None, wait_for, make_socket,
        str server_header, int limit_request_line, int limit_request_fields, int limit_request_field_size,
        int limit_request_head, int64_t limit_request_body, BodyMemory body_memory not None, open_spool,
        double header_timeout, double body_timeout, int64_t body_min_rate, bint request_streaming,
        str health_path, bint health_log, double send_timeout, double keepalive, int64_t keepalive_requests,
        int64_t output_buffer_size, int64_t max_requests, heartbeat, on_done, on_refusal, on_max_requests,
        trusted_peers, int leniency, Http1 elder=None,
    ):
        self.reactor = reactor
        self.elder = elder
        self.clock = clock
        self.dispatcher = dispatcher
        self.wait_for = wait_for
        self.make_socket = make_socket
        self.server_header = server_header
        latch_init(&self.latch)
        latch_init(&self.returned.latch)
        self.spare = HeadWriter(server_header)
        self.sender = Sender()
        self.limits.request_line = limit_request_line
        self.limits.fields = limit_request_fields
        self.limits.field = limit_request_field_size
        self.limits.head = limit_request_head
        self.limits.leniency = leniency
        self.trusted_peers = trusted_peers
        self.head.fields = <Field *>malloc(self.limits.fields * sizeof(Field))
        if self.head.fields == NULL:
            raise MemoryError
        self.body_limit = limit_request_body
        self.body_memory = body_memory
        self.open_spool = open_spool
        self.head_timeout = <int64_t>(header_timeout * 1000)
        self.body_timeout = <int64_t>(body_timeout * 1000)
        self.body_min_rate = body_min_rate
        self.streams = request_streaming
        self.health_path = health_path.encode()
        self.health_counts = health_log
        self.send_timeout = <int64_t>(send_timeout * 1000)
        self.keepalive = <int64_t>(keepalive * 1000)
        self.keepalive_requests = keepalive_requests
        self.high_water = output_buffer_size
        self.max_requests = max_requests
        if heartbeat is not None:
            PyObject_GetBuffer(heartbeat, &self.heartbeat, PyBUF_WRITABLE)
            if self.heartbeat.len != sizeof(double):
                raise ValueError("a heartbeat is one double")
        self.on_done = on_done
        self.on_refusal = on_refusal
        self.on_max_requests = on_max_requests

    def __dealloc__(self):
        PyBuffer_Release(&self.heartbeat)
        free(self.scratch)
        free(self.head.fields)

    cdef HeadWriter take_writer(self):
        latch_take(&self.latch)
        cdef HeadWriter writer = self.spare
        if writer is not None:
            self.spare = writer.next
            writer.next = None
        latch_drop(&self.latch)
        return HeadWriter(self.server_header) if writer is None else writer

    def take_returned(self):
        """Go on with connections whose exchange is back from elsewhere. To be called when the reactor was woken."""
        cdef void *next
        cdef Connection connection
        latch_take(&self.returned.latch)
        next = take_all(&self.returned)
        latch_drop(&self.returned.latch)
        while next != NULL:
            connection = <Connection>next
            next = connection.next
            Py_DECREF(connection)
            guard_enter(&self.guard, connection.owner)
            try:
                connection.come_back()
            except Exception as error:
                connection.lose()
                self.reactor.on_error(connection, error)
            finally:
                guard_leave(&self.guard)

    def sweep(self, double moment):
        """Close or answer every connection whose deadline lies before `moment`, in seconds of the clock.

        To be called once a second, with a moment up to which everything that had arrived was handled.
        """
        cdef void *next
        cdef Connection connection
        next = self.first
        while next != NULL:
            connection = <Connection>next
            next = connection.behind
            guard_enter(&self.guard, connection.owner)
            try:
                connection.expire(<int64_t>(moment * 1000))
            finally:
                guard_leave(&self.guard)

    # Of the requests of all reactors, which this one is.
    cdef int64_t count(self) noexcept:
        self.requests += 1
        if not FREE_THREADED:
            return self.requests
        return <int64_t>add_at_once(&self.begun if self.elder is None else &self.elder.begun, 1)

    def say_end(self):
        """Announce from now on, on every answer, the end of its connection."""
        self.draining = True

    def announce(self):
        """Say from now on that the server ends: on every answer, and to whoever asks for its health."""
        self.draining = self.leaving = True

    def drain(self):
        """Announce the end on every answer from now on, and let idle connections go soon.

        An idle connection stays a second longer: its next request may be on its way, and is answered.
        """
        cdef void *next
        cdef Connection connection
        cdef int64_t soon = self.clock.now() + DRAIN_MS
        self.draining = True
        next = self.first
        while next != NULL:
            connection = <Connection>next
            next = connection.behind
            guard_enter(&self.guard, connection.owner)
            if connection.state == IDLE and connection.deadline > soon:
                connection.deadline = soon
            guard_leave(&self.guard)

    def close(self):
        """Close every connection at once."""
        cdef Connection connection
        while self.first != NULL:
            connection = <Connection>self.first
            guard_enter(&self.guard, connection.owner)
            try:
                while connection.busy:  # some thread is in OpenSSL, and does not wait there
                    connection.tls.acquire()
                    connection.tls.release()
                connection.lose()
            finally:
                guard_leave(&self.guard)
        self.sender.close()
        # The collector would drop the owner of the buffer without releasing it.
        PyBuffer_Release(&self.heartbeat)
        self.heartbeat.buf = NULL


@cython.final
cdef class Connection(Exchange):
    """One client on HTTP/1.x and the exchange that is under way with it."""

    @property
    def state_name(self):
        """The name of the state, one of STATES."""
        return STATES[<int>self.state]

    def __dealloc__(self):
        free(self.input)
        free(self.partial)

    cdef int enter(self, State state) except -1:
        if not (ALLOWED[<int>self.state] >> <int>state) & 1:
            raise RuntimeError(f"a connection cannot go from {STATES[<int>self.state]} to {STATES[<int>state]}")
        self.state = state
        return 0

    def on_event(self, uint32_t events):
        """Do what the socket is ready for. Called by the reactor with an EPOLL* mask."""
        if note_while_away(&self.missed, events):
            return
        guard_enter(&self.http.guard, self.owner)
        self.turn = 0
        try:
            if self.state == WRITING:
                if self.send_pending() == GONE:
                    self.lose()
                elif self.pending is None and self.task is not None:
                    self.go_on()
                self.settle()
            elif self.state == RUNNING:
                self.missed |= events
            elif self.state == LINGERING:
                self.discard_input()
            elif self.state != CLOSED:
                self.read(events)
        except BaseException:
            self.lose()
            raise
        finally:
            guard_leave(&self.http.guard)

    # -- input ---------------------------------------------------------------------------------------------------------

    # Most clients send as soon as they are connected. What came by now is answered before the reactor hears of the
    # socket, which it need not where the connection is not to stay.
    cdef int arrive(self) except -1:
        self.read(EPOLLIN)
        return self.watch(FOR_INPUT) if self.state <= READING_BODY else 0

    cdef int read(self, uint32_t events) except -1:
        cdef size_t room = 0
        cdef ssize_t n
        cdef char *data
        cdef size_t taken = 0
        while taken < TURN_INPUT:
            data = self.make_room(&room)
            n = recv(self.fd, data, room, MSG_DONTWAIT)
            if n <= 0:
                return self.read_nothing(n)
            if self.tls is not None:
                self.take_in(data, <size_t>n)
                if self.tls is not None and self.tls.ended:
                    events |= EPOLLRDHUP
            elif self.input_length:
                self.consume(self.input, <size_t>self.input_length + <size_t>n)
            elif data != self.http.scratch:
                self.take_body(<size_t>n)
            else:
                self.consume(data, <size_t>n)
            self.settle()
            if self.state == RUNNING and (<size_t>n == room or events & END):
                self.missed |= events
            if self.state > READING_BODY or (<size_t>n < room and not events & END):
                return 0
            taken += <size_t>n
        return self.rewatch()

    # The end, nothing yet, or a connection that is gone.
    cdef int read_nothing(self, ssize_t n) except -1:
        if n < 0 and errno != EAGAIN and errno != EINTR:
            return self.lose()
        return self.end_of_input() if n == 0 or self.tls is not None and self.tls.ended else 0

    # Where to receive: the scratch buffer, behind the input that waits for the rest of its head, or where a body lies.
    cdef char *make_room(self, size_t *room) except NULL:
        cdef size_t capacity
        cdef char *grown
        if self.input_length == 0:
            if self.state == READING_BODY and self.body.chunks == NULL and self.tls is None:
                grown = self.body.room(room)
                if grown != NULL:
                    return grown
            room[0] = SCRATCH_SIZE
            return self.http.scratch
        if self.input_capacity - self.input_length < 4096:
            capacity = 2 * <size_t>self.input_length + 4096
            grown = <char *>realloc(self.input, capacity)
            if grown == NULL:
                raise MemoryError
            self.input, self.input_capacity = grown, <uint32_t>capacity
        room[0] = self.input_capacity - self.input_length
        return self.input + self.input_length

    cdef int end_of_input(self) except -1:
        if self.state == IDLE:
            return self.close()
        self.refuse(INCOMPLETE_REQUEST)
        self.lingers = False
        return self.settle()

    # Decrypt what was received, and use it up.
    cdef int take_in(self, const char *data, size_t size) except -1:
        cdef Transport tls = self.tls
        try:
            plain = self.unseal(data, size)
        except OSError as error:
            return self.break_tls(error)
        if not plain:
            return self.lose() if self.send_pending() == GONE else 0
        if not tls.described:  # now the handshake is over
            self.extra = tls.describe(self.extra)
        if self.input_length:
            return self.consume_behind(plain)
        return self.consume(PyBytes_AS_STRING(plain), <size_t>PyBytes_GET_SIZE(plain))

    cdef int consume_behind(self, bytes plain) except -1:
        cdef size_t size = <size_t>PyBytes_GET_SIZE(plain)
        cdef char *grown
        cdef size_t capacity = 2 * <size_t>self.input_length + size
        if self.input_capacity - self.input_length < size:
            grown = <char *>realloc(self.input, capacity)
            if grown == NULL:
                raise MemoryError
            self.input, self.input_capacity = grown, <uint32_t>capacity
        memcpy(self.input + self.input_length, PyBytes_AS_STRING(plain), size)
        return self.consume(self.input, <size_t>self.input_length + size)

    # Where the answer of the application follows, it takes along what TLS itself has to say.
    cdef bytes unseal(self, const char *data, size_t size):
        cdef Transport tls = self.tls
        cdef bytes received = PyBytes_FromStringAndSize(data, <Py_ssize_t>size)  # others may want the scratch buffer
        cdef bytes plain = None
        self.busy += 1
        tls.acquire()
        try:
            plain = tls.open(received)
        finally:
            if not plain:
                self.queue_sealed(tls.take())
            tls.release()
            self.busy -= 1
        return plain

    # What came is no TLS, or not the client's.
    cdef int break_tls(self, object error) except -1:
        cdef Transport tls = self.tls
        if error.reason == "HTTP_REQUEST":  # OpenSSL knows the first bytes of one
            self.tls = None
            return self.refuse(NOT_TLS)
        tls.report(self.remote_addr, error)
        self.send_pending()  # the alert
        self.tls = None
        return self.lose()

    # Use up bytes: as many requests as are complete, until an answer has to wait. `data` may lie in `self.input`.
    cdef int consume(self, const char *data, size_t size) except -1:
        cdef size_t offset = 0
        cdef ssize_t used
        while offset < size and self.state <= READING_BODY and self.pending is None:
            if self.state == READING_BODY:
                used = self.consume_body(data + offset, size - offset)
            else:
                used = self.consume_head(data + offset, size - offset)
                if used == 0:
                    break
            offset += <size_t>used
            if self.writer is not None and self.writer.out.length > FULL_OUTPUT and self.push(None, NULL, 0) == GONE:
                return self.lose()
        if offset == size or self.state == CLOSED:
            return self.forget_input()
        if self.state == WRITING and self.task is None and not self.keeps_alive:
            self.lingers = True  # what the client sent behind its last request is not read
            return self.forget_input()
        return self.keep(data + offset, size - offset)

    cdef int keep(self, const char *data, size_t size) except -1:
        cdef char *grown
        if self.input_capacity < size:
            grown = <char *>malloc(size)
            if grown == NULL:
                raise MemoryError
            memcpy(grown, data, size)
            free(self.input)
            self.input, self.input_capacity = grown, <uint32_t>size
        else:
            memmove(self.input, data, size)
        self.input_length = <uint32_t>size
        return 0

    cdef int forget_input(self) except -1:
        if self.input != NULL:
            free(self.input)
            self.input = NULL
            self.input_length = self.input_capacity = 0
        return 0

    # Returns the bytes of the head and of what else was used up, 0 where the head is incomplete.
    cdef ssize_t consume_head(self, const char *data, size_t size) except -1:
        cdef Http1 http = self.http
        cdef RequestHead *head = &http.head
        cdef uint32_t length, flags
        cdef int verdict = DONE
        # The same bytes have the same meaning: clients on keep-alive often repeat themselves.
        if (
            http.last_length == 0 or size < http.last_length or self.partial != NULL
            or memcmp(data, http.last, http.last_length) != 0
        ):
            verdict = self.parse(data, size)
        if verdict == DONE:
            length, flags = head.length, head.flags
            self.start_request(data)
            if length == size and self.state == READING_BODY and flags & EXPECTS_CONTINUE:
                append(self.gather(), b"HTTP/1.1 100 Continue\r\n\r\n", 25)
            return length
        if verdict == MORE:
            return self.await_head(head)
        self.refuse(verdict)
        return <ssize_t>size

    # Parse into the worker's scratch head, from where this connection's last call has left off.
    cdef int parse(self, const char *data, size_t size) noexcept:
        cdef Http1 http = self.http
        cdef RequestHead *head = &http.head
        cdef Field *fields = head.fields
        cdef int verdict
        http.serial += 1
        if self.partial == NULL:
            if http.last_length:
                follow_head(head, http.last)
            else:
                reset_head(head)
        else:
            memcpy(head, self.partial, sizeof(RequestHead))
            head.fields = fields
            memcpy(fields, self.partial + 1, head.field_count * sizeof(Field))
            free(self.partial)
            self.partial = NULL
        http.last_length = 0
        verdict = parse_head(data, size, &http.limits, head)
        if verdict == DONE and head.length <= LAST_LIMIT:
            memcpy(http.last, data, head.length)
            http.last_length = head.length
        return verdict

    cdef int await_head(self, const RequestHead *head) except -1:
        if self.state == IDLE:
            self.enter(READING_HEAD)
            if self.answered:  # the first head's time runs from the accept
                self.deadline = self.http.clock.now() + self.http.head_timeout
        if head.position:
            self.partial = <RequestHead *>malloc(sizeof(RequestHead) + head.field_count * sizeof(Field))
            if self.partial == NULL:
                raise MemoryError
            memcpy(self.partial, head, sizeof(RequestHead))
            memcpy(self.partial + 1, head.fields, head.field_count * sizeof(Field))
        return 0

    cdef int start_request(self, const char *data) except -1:
        cdef Http1 http = self.http
        cdef RequestHead *head = &http.head
        cdef bint healthy = self.asks_health(data, head)
        cdef int verdict
        if not healthy or http.health_counts:
            if http.count() == http.max_requests and http.on_max_requests is not None:
                http.on_max_requests()
        self.http_1_0 = head.minor_version == 0
        self.head_only = head.verb == HEAD_VERB
        self.keeps_alive = (
            head.flags & KEEPS_ALIVE != 0 and not http.draining and http.keepalive > 0
            and (http.keepalive_requests == 0 or self.answered + 1 < http.keepalive_requests)
        )
        verdict = self.environs.lend(self, data, head, http.serial)
        if healthy:
            return self.answer_health()
        if head.flags & ASKS_UPGRADE and not self.http_1_0 and self.tls is None:
            self.lend_socket()
        if verdict != DONE:
            return self.refuse(verdict)
        if head.content_length <= 0 and not head.chunked:
            return self.run()
        if http.body_limit and head.content_length > http.body_limit:
            return self.refuse(BODY_TOO_LARGE)
        self.body = RequestBody(http.body_memory, http.open_spool)
        if head.chunked:
            self.body.chunks = <ChunkDecoder *>malloc(sizeof(ChunkDecoder))
            if self.body.chunks == NULL:
                raise MemoryError
            reset_chunks(self.body.chunks)
        self.body.left = head.content_length
        self.body.since = http.clock.now()
        if FREE_THREADED:
            self.body.keeper = self
        if http.streams:
            self.body.source = self
            self.expects_continue = head.flags & EXPECTS_CONTINUE != 0
            return self.run()
        self.body.announced = <size_t>max(head.content_length, <int64_t>0)
        self.deadline = self.body.since + http.body_timeout
        return self.enter(READING_BODY)

    # For libraries that speak the other protocol themselves: they answer by it, and end by StopIteration.
    cdef int lend_socket(self) except -1:
        self.push(None, NULL, 0)  # the answers before this one
        self.lent = self.http.make_socket(os.dup(self.fd))
        self.environ["gunicorn.socket"] = self.lent
        return 0

    # So many bytes of the body were received to where it lies.
    cdef int take_body(self, size_t size) except -1:
        self.deadline = self.http.clock.now() + self.http.body_timeout
        self.body.fill(size)
        self.body.left -= <int64_t>size
        return self.run() if self.body.left == 0 else 0

    cdef ssize_t consume_body(self, const char *data, size_t size) except -1:
        self.deadline = self.http.clock.now() + self.http.body_timeout
        if self.body.chunks != NULL:
            return self.consume_chunks(data, size)
        if <int64_t>size > self.body.left:
            size = <size_t>self.body.left
        if self.collect(data, size):
            self.body.left -= <int64_t>size
            if self.body.left == 0:
                self.run()
        return <ssize_t>size

    cdef ssize_t consume_chunks(self, const char *data, size_t size) except -1:
        cdef size_t offset = 0, used = 0, length = 0
        cdef const char *body = NULL
        cdef int verdict
        while offset < size:
            verdict = decode_chunks(
                self.body.chunks, data + offset, size - offset, &self.http.limits, &used, &body, &length
            )
            offset += used
            if verdict == DATA:
                if not self.collect(body, length):
                    break
            elif verdict != MORE:
                if verdict != DONE:
                    self.refuse(verdict)
                    break
                self.environ["CONTENT_LENGTH"] = str(self.body.received)  # RFC 9112 7.1.3
                self.run()
                break
            if self.http.body_limit and <int64_t>self.body.chunks.total > self.http.body_limit:
                self.refuse(BODY_TOO_LARGE)
                break
        return <ssize_t>offset

    # -- a body that the application reads while it arrives, in its own thread or greenlet ----------------------------

    cdef int receive(self) except -1:
        cdef char *scratch = self.http.scratch
        if not FREE_THREADED:
            return self.receive_into(scratch)
        scratch = <char *>malloc(SCRATCH_SIZE)  # the other is in use by the reactor
        if scratch == NULL:
            raise MemoryError
        try:
            return self.receive_into(scratch)
        finally:
            free(scratch)

    cdef int receive_into(self, char *scratch) except -1:
        cdef ssize_t n = 0
        cdef bytes plain
        if self.input_length:
            if self.stream_kept(self.input, self.input_length) == 0:
                self.forget_input()
            return 0
        if self.expects_continue:
            self.expects_continue = False
            append(self.gather(), b"HTTP/1.1 100 Continue\r\n\r\n", 25)
            self.push(None, NULL, 0)
        while True:
            n = recv(self.fd, scratch, SCRATCH_SIZE, MSG_DONTWAIT)
            if n > 0 and self.tls is not None:
                plain = self.unseal_body(scratch, <size_t>n)
                if plain:
                    self.stream_kept(PyBytes_AS_STRING(plain), <size_t>PyBytes_GET_SIZE(plain))
                    return 0
            elif n > 0:
                self.stream_kept(scratch, <size_t>n)
                return 0
            elif n == 0 or errno != EAGAIN and errno != EINTR:
                self.break_off(INCOMPLETE_REQUEST)
            else:
                self.await_input()

    # What of these bytes is not the body's is kept. Returns whether anything was.
    cdef int stream_kept(self, const char *data, size_t size) except -1:
        cdef size_t used = self.stream(data, size)
        if used == size:
            return 0
        self.keep(data + used, size - used)
        return 1

    cdef bytes unseal_body(self, const char *data, size_t size):
        cdef Transport tls = self.tls
        try:
            plain = self.unseal(data, size)
        except OSError:
            plain = None
        if self.task is None:  # it was closed meanwhile
            raise RequestBodyError(TOO_SLOW)
        self.send_pending()
        if plain is None or not plain and tls.ended:
            self.break_off(INCOMPLETE_REQUEST)
        return plain

    # Take what belongs to the body; returns how many bytes that was.
    cdef size_t stream(self, const char *data, size_t size) except? 0:
        cdef size_t offset = 0, used = 0, length = 0
        cdef const char *body = NULL
        cdef int verdict = MORE
        if self.body.chunks == NULL:
            size = <size_t>min(<int64_t>size, self.body.left)
            self.body.collect(data, size)
            self.body.left -= <int64_t>size
            if self.body.left == 0:
                self.body.source = None
            return size
        while offset < size and verdict != DONE:
            verdict = decode_chunks(
                self.body.chunks, data + offset, size - offset, &self.http.limits, &used, &body, &length
            )
            offset += used
            if verdict == DATA:
                self.body.collect(body, length)
            elif verdict < 0:
                self.break_off(verdict)
            if self.http.body_limit and <int64_t>self.body.chunks.total > self.http.body_limit:
                self.break_off(BODY_TOO_LARGE)
        if verdict == DONE:
            self.body.source = None
        return offset

    cdef int await_input(self) except -1:
        cdef bint came = self.wait_ready(POLLIN, self.http.body_timeout)
        if self.task is None:
            raise RequestBodyError(TOO_SLOW)
        if not came or self.is_slow(self.http.clock.now()):
            self.break_off(BODY_TIMEOUT)
        return 0

    # The body will never be complete: this read raises, and every further one.
    cdef int break_off(self, int verdict) except -1:
        self.keeps_alive = False
        self.lingers = True
        self.body.source = None
        error = self.body.error = RequestBodyError(REFUSALS[verdict])
        if self.http.on_refusal is not None:  # meanwhile the exchange may be cut off, and its body gone
            self.http.on_refusal(self.remote_addr, REFUSALS[verdict])
        raise error

    # -- health --------------------------------------------------------------------------------------------------------

    cdef bint asks_health(self, const char *data, const RequestHead *head) noexcept:
        cdef Py_ssize_t length = PyBytes_GET_SIZE(self.http.health_path)
        return (
            length != 0 and head.path.length == <uint32_t>length
            and memcmp(data + head.path.start, PyBytes_AS_STRING(self.http.health_path), <size_t>length) == 0
            and head.content_length <= 0 and not head.chunked
            and (head.verb == GET_VERB or head.verb == HEAD_VERB)
        )

    # Answered here, so that nothing the application does can hold it up.
    cdef int answer_health(self) except -1:
        cdef bytes body = b"leaving\n" if self.http.leaving else b"ok\n"
        self.enter(RUNNING)
        self.deadline = 0
        self.mistake = None
        if self.http.on_done is not None:
            self.started = precise()
        self.begin("503 Service Unavailable" if self.http.leaving else "200 OK", HEALTH, len(body))
        self.write(body)
        if self.http.health_counts:
            self.end_exchange()
        else:
            self.forget_exchange()
        return self.leave()

    # -- the body before the application is called ---------------------------------------------------------------------

    # Store body bytes; False where there is no room for them and the request has been refused.
    cdef bint collect(self, const char *data, size_t size) except -1:
        try:
            self.body.collect(data, size)
        except OSError:
            self.refuse(NO_STORAGE)
            return False
        return True

    # -- the exchange --------------------------------------------------------------------------------------------------

    cdef int run(self) except -1:
        cdef int progress
        if self.body is not None:
            try:
                self.body.rewind()
            except OSError:
                return self.refuse(NO_STORAGE)
            self.environs.give_input(self, self.body)
        self.enter(RUNNING)
        self.deadline = 0
        self.mistake = None
        self.beat()
        if self.http.on_done is not None:
            self.started = precise()
        if self.http.dispatcher.is_elsewhere:
            self.watch(FOR_INPUT)  # an answer before this one may have waited for its client
            self.push(None, NULL, 0)  # and what is gathered need not wait for this one
        progress = self.http.dispatcher.dispatch(self)
        if progress == SUSPENDED:
            return self.enter(WRITING)
        if progress == OVER:
            return self.leave()
        self.missed |= AWAY
        return 0

    cdef int go_on(self) except -1:
        self.beat()
        return self.leave() if self.http.dispatcher.resume(self) == OVER else 0

    # The application is about to be called, and may keep this thread for long.
    cdef int beat(self) except -1:
        if self.http.heartbeat.buf != NULL:
            (<double *>self.http.heartbeat.buf)[0] = self.http.clock.now() / 1000.0
        return 0

    cdef int refuse(self, int verdict) except -1:
        refusal = REFUSALS[verdict]
        self.environs.take_back(self)
        self.keeps_alive = False
        self.lingers = True
        self.started = 0
        self.put_error(refusal)
        if self.http.on_refusal is not None:
            self.http.on_refusal(self.remote_addr, refusal)
        self.end_exchange()
        return self.leave()

    cdef int put_error(self, object refusal) except -1:
        cdef str line = f"{refusal.status} {REASONS[refusal.status]}"
        cdef bytes body = f"{line}: {refusal.message}\n".encode()
        self.begin(line, LATER if refusal.status == 503 else PLAIN_TEXT, len(body))
        self.write(body)
        return 0

    cdef int hint(self, object headers) except -1:
        if self.begun() or self.http_1_0 or self.state != RUNNING:
            return 0
        self.gather()
        self.writer.put_interim(headers)
        self.push(None, NULL, 0)
        return 0

    cdef bint begun(self) noexcept:
        return self.framing != UNDECIDED

    cdef int begin(self, object status, object headers, int64_t length) except -1:
        cdef ResponseHead head
        cdef Http1 http = self.http
        cdef Output *out = self.gather()
        cdef HeadWriter writer = self.writer
        writer.put(status, headers, http.clock.wall(), &head)
        if self.gone:  # lost while headers that are no list ran code of their own
            raise ClientGone
        if http.on_done is not None:
            self.status = status
            self.headers = headers
        if self.body is not None and self.body.source is not None:  # nobody may ever read the rest
            self.keeps_alive = False
            self.lingers = True
        if writer.dropped is not None:
            self.mistake = f"the hop-by-hop header {writer.dropped} was left out of the response"
        # An interim status as the final one leaves nothing to rely on.
        if head.close_asked or head.status < 200 or http.draining:
            self.keeps_alive = False
        self.body_bytes = 0
        self.put_framing(head.status, length if head.content_length < 0 else head.content_length)
        if head.content_length < 0 and self.framing == BY_LENGTH:
            put_length(out, self.left)
        if self.head_only:
            self.framing = EMPTY
        if not self.keeps_alive:
            append(out, b"Connection: close\r\n\r\n", 21)
        elif self.http_1_0:
            append(out, b"Connection: keep-alive\r\n\r\n", 26)
        else:
            append(out, b"\r\n", 2)
        return 0

    # Decide how the body ends (RFC 9112 6.3); a HEAD gets the fields that a GET would get.
    cdef int put_framing(self, int status, int64_t length) except -1:
        if status < 200 or status == 204 or status == 304 or (self.head_only and length == 0):
            self.framing = EMPTY
        elif length >= 0:
            self.framing = BY_LENGTH
            self.left = length
        elif not self.http_1_0:
            self.framing = BY_CHUNKS
            append(&self.writer.out, b"Transfer-Encoding: chunked\r\n", 28)
        else:
            self.framing = BY_CLOSE
            self.keeps_alive = False
        return 0

    cdef bint write(self, bytes data) except -1:
        cdef const char *p = PyBytes_AS_STRING(data)
        cdef size_t size = <size_t>PyBytes_GET_SIZE(data)
        cdef Output *out
        cdef bint cut = False
        if self.framing == EMPTY:
            return False
        if self.framing == BY_LENGTH:
            cut = <int64_t>size > self.left
            if cut:
                size = <size_t>self.left
                self.keeps_alive = False
                self.mistake = "the body is longer than its Content-Length; it was cut"
            self.left -= <int64_t>size
        if size:
            self.body_bytes += <int64_t>size
            out = self.gather()
            if self.framing == BY_CHUNKS:
                put_chunk_size(out, size)
            if size > COPIED_BODY:
                self.push(data, p, size)
            else:
                append(out, p, size)
                if self.framing == BY_CHUNKS:
                    append(out, b"\r\n", 2)
        return not cut

    cdef int sendfile(self, OpenFile file, int64_t offset, int64_t length) except -1:
        cdef bint idle
        if self.framing == EMPTY:
            return 0
        length = min(length, self.left)
        self.left -= length
        self.body_bytes += length
        if length == 0:
            return 0
        if not self.nonblocking and self.tls is None:
            self.nonblocking = True
            set_nonblocking(self.fd)
        idle = self.push(None, NULL, 0) == GO_ON
        self.queue(file, NULL, file.fd, offset, length)
        if idle:
            self.send_pending()
        return 0

    cdef int flush(self) except -1:
        cdef int flow
        if self.relay():
            return GO_ON
        flow = self.push(None, NULL, 0)
        if flow == GO_ON and self.turn >= self.http.high_water:
            flow = WAIT
        return flow

    cdef int wait(self) except -1:
        if self.relay():
            return 0
        while True:
            self.turn = 0
            if self.push(None, NULL, 0) == GONE or self.send_pending() == GONE:
                raise ClientGone
            if self.pending is None:
                return 0
            if not self.wait_ready(POLLOUT, self.http.send_timeout) or self.task is None:  # too slow, or cut off
                raise ClientGone

    # Block until the socket is ready, or the exchange is cut off. Returns False after so many milliseconds without.
    cdef bint wait_ready(self, short events, int64_t milliseconds) except -1:
        cdef int64_t deadline = self.http.clock.now() + milliseconds
        cdef bint ready = False
        self.waiting = True
        while not ready and self.task is not None and self.http.clock.now() < deadline:
            ready = self.wait_for(events, min(milliseconds, WAIT_MS))
        self.waiting = False
        return ready or self.task is None

    cdef bint wait_for(self, short events, int64_t milliseconds) except -1:
        cdef pollfd watched
        cdef int found
        if self.http.wait_for is not None:
            return self.http.wait_for(self.fd, events, milliseconds)
        watched.fd, watched.events, watched.revents = self.fd, events, 0
        with nogil:
            found = poll(&watched, 1, <int>milliseconds)
        if found < 0:
            PyErr_CheckSignals()
        return found > 0

    cdef int finish(self, bint send_now) except -1:
        if self.framing == BY_CHUNKS:
            append(self.gather(), b"0\r\n\r\n", 5)
        elif self.framing == BY_LENGTH and self.left > 0:
            self.mistake = "the body is shorter than its Content-Length; the connection was closed"
            self.keeps_alive = False
        self.end_exchange()
        return self.push(None, NULL, 0) if send_now else 0

    cdef int fail(self, object refusal) except -1:
        self.put_error(refusal)
        return self.end_exchange()

    cdef int cut(self, object refusal) except -1:
        if self.task is None:  # all is said; only the iterable's close() still runs
            self.keeps_alive = False
        elif self.begun() or self.lent is not None:  # nobody knows what was said on a socket that was lent
            self.abort()
        else:
            self.keeps_alive = False
            self.fail(refusal)
        self.lingers = True
        return self.hand_back()

    cdef int abort(self) except -1:
        if self.framing == BY_CLOSE:  # only a reset tells such a client that the body is not complete
            self.reset_at_close()
        self.keeps_alive = False
        return self.end_exchange()

    # A log that fails costs nobody an answer: `noexcept` hands the error to sys.unraisablehook.
    cdef void tell_done(self) noexcept:
        self.http.on_done(self)

    # The response is complete, or as complete as it will be. The bytes may still be on their way.
    cdef int end_exchange(self) except -1:
        if self.http.on_done is not None:
            self.tell_done()
        return self.forget_exchange()

    cdef int forget_exchange(self) except -1:
        self.status = self.headers = None
        self.answered += 1
        if self.lent is not None:
            self.lent.close()
            self.lent = None
        if self.body is not None:
            self.body.close()
            self.body = None
        self.task = None
        self.framing = UNDECIDED
        self.head_only = False
        return 0

    # The handler has left the exchange.
    cdef int leave(self) except -1:
        self.environs.take_back(self)
        if self.state == RUNNING and self.keeps_alive:
            return self.enter(IDLE)
        return 0 if self.state == WRITING else self.enter(WRITING)

    cdef int hand_back(self) except -1:
        cdef bint first
        if self.state != RUNNING:  # it was cut off
            return 0
        self.environs.take_back(self)
        if (
            self.push(None, NULL, 0) == GO_ON and self.keeps_alive and self.input_length == 0
            and come_home(&self.missed)
        ):
            self.enter(IDLE)
            return self.idle()
        Py_INCREF(self)
        latch_take(&self.http.returned.latch)
        first = self.http.returned.first == NULL
        put_last(&self.http.returned, <void *>self)
        latch_drop(&self.http.returned.latch)
        if first:
            self.http.reactor.wake()
        return 0

    # Back on the reactor's thread.
    cdef int come_back(self) except -1:
        cdef uint32_t missed = self.missed & ~AWAY
        if self.state != RUNNING:
            return 0
        self.missed = 0
        self.turn = 0
        self.leave()
        if self.input_length or missed & EPOLLIN:
            self.lingers = not self.keeps_alive
        self.settle()
        if self.state == RUNNING:
            self.missed |= missed
        elif missed and self.state < RUNNING:
            self.read(missed)
        return 0

    cdef int idle(self) except -1:
        self.deadline = self.http.clock.now() + (DRAIN_MS if self.http.draining else self.http.keepalive)
        return 0

    # -- output --------------------------------------------------------------------------------------------------------

    # After every event: send, then wait for what has to be waited for. The end of the stream is said at once behind the
    # last answer, and leaves with it in one segment.
    cdef int settle(self) except -1:
        while self.state != CLOSED and self.state != RUNNING:
            if self.push_with(None, NULL, 0, MSG_MORE if self.ends() else 0) == GONE:
                return self.lose()
            if self.pending is not None or (self.state == WRITING and self.task is not None):
                if self.state != WRITING:
                    self.enter(WRITING)
                if self.watched != FOR_OUTPUT:
                    self.deadline = self.http.clock.now() + self.http.send_timeout
                    return self.watch(FOR_OUTPUT)
                # The turn may have ended before the socket was full; then no edge would come.
                return self.rewatch() if self.turn >= self.http.high_water else 0
            if self.state == IDLE and self.input_length:
                self.consume(self.input, self.input_length)
                continue
            if self.state != WRITING:
                if self.state == IDLE and self.answered:
                    self.idle()
                return 0 if self.watched == FOR_INPUT else self.watch(FOR_INPUT)
            if self.ends():
                return self.say_end()
            if self.body is None:
                self.enter(IDLE)
            else:  # its time begins anew: while answers waited for the client, nothing was read
                self.enter(READING_BODY)
                self.body.since = self.http.clock.now()
                self.deadline = self.body.since + self.http.body_timeout
            if self.input_length:
                self.consume(self.input, self.input_length)
        return 0

    # The buffer for what is to be sent.
    cdef Output *gather(self) except NULL:
        if self.writer is None:
            self.writer = self.http.take_writer()
            self.writer.out.length = 0
        return &self.writer.out

    # Send what is gathered and, from where it lies, `size` bytes of `owner` at `body`, where that is a chunk with its
    # end. What the socket does not take becomes pending, behind what is pending already. Returns a Flow.
    cdef int push(self, object owner, const char *body, size_t size) except -1:
        return self.push_with(owner, body, size, 0)

    cdef int push_with(self, object owner, const char *body, size_t size, int flags) except -1:
        cdef Output *out
        cdef size_t end = 2 if size and self.framing == BY_CHUNKS else 0
        cdef size_t sent = 0
        cdef ssize_t n
        if self.gone:  # it may have left while the exchange was elsewhere
            if self.writer is not None:
                self.put_away()
            return GONE
        if self.writer is None:
            return GO_ON if self.pending is None else WAIT
        if self.tls is not None:
            return self.push_sealed(owner, body, size, end)
        out = &self.writer.out
        if self.writer.relay.stage != HERE:
            self.recall()
        if self.pending is None:
            n = send_all(self.fd, out.data, out.length, body, size, CHUNK_END, end, flags)
            if n < 0:
                if n != -EAGAIN and n != -EINTR:
                    self.gone = True
                    self.put_away()
                    return GONE
                n = 0
            sent = <size_t>n
            if sent and self.state == WRITING:
                self.deadline = self.http.clock.now() + self.http.send_timeout
            self.turn += max(<int64_t>sent, <int64_t>TURN_COST)
        if sent < out.length:
            self.queue_rest(PyBytes_FromStringAndSize(out.data + sent, <Py_ssize_t>(out.length - sent)))
            sent = 0
        else:
            sent -= out.length
        self.put_away()
        if sent < size:
            self.queue(owner, body + sent, -1, 0, <int64_t>(size - sent))
            sent = size
        if sent < size + end:
            self.queue_rest(CHUNK_END[<Py_ssize_t>(sent - size):])
        return GO_ON if self.pending is None else WAIT

    # `push` with TLS: all of it becomes pending, and is encrypted as the socket takes it.
    cdef int push_sealed(self, object owner, const char *body, size_t size, size_t end) except -1:
        cdef Output *out = &self.writer.out
        cdef bint waits = self.pending is not None
        if out.length:
            self.queue_rest(PyBytes_FromStringAndSize(out.data, <Py_ssize_t>out.length))
        self.put_away()
        if size:
            self.queue(owner, body, -1, 0, <int64_t>size)
        if end:
            self.queue_rest(CHUNK_END)
        if waits:
            return WAIT
        if self.send_pending() == GONE:
            self.gone = True
            return GONE
        return GO_ON if self.pending is None else WAIT

    cdef int put_away(self) except -1:
        if self.writer.relay.stage != HERE:
            self.http.sender.recall(&self.writer.relay)
            empty(&self.writer.relay)
        latch_take(&self.http.latch)
        self.writer.next = self.http.spare
        self.http.spare = self.writer
        latch_drop(&self.http.latch)
        self.writer = None
        return 0

    # Leave what is gathered to the sending thread, where it is one of pieces that follow each other so closely that
    # the next will be there before the thread has come to it. The first of a turn is better sent at once.
    cdef bint relay(self) except -1:
        cdef int64_t now = self.http.clock.now()
        cdef bint follows = now - self.http.piece_sent <= BURST_MS and self.turn > 0
        cdef HeadWriter writer = self.writer
        self.http.piece_sent = now
        if not follows or writer is None or self.pending is not None or self.tls is not None or self.gone:
            return False
        self.turn += TURN_COST
        if self.turn >= self.http.high_water:
            return False
        if writer.out.length and not self.http.sender.send(&writer.relay, self.fd, writer.out.data, writer.out.length):
            return False
        writer.out.length = 0
        return True

    # What the thread has not sent stands in front of what is gathered.
    cdef int recall(self) except -1:
        cdef Relay *relay = &self.writer.relay
        cdef Output *out = &self.writer.out
        self.http.sender.recall(relay)
        prepend(out, relay.waiting.data, relay.waiting.length)
        prepend(out, relay.flying.data + relay.sent, relay.flying.length - relay.sent)
        return empty(relay)

    # Make a stretch of memory, or where `data` is NULL of the file `fd`, wait for the client.
    cdef int queue(self, object owner, const char *data, int fd, int64_t offset, int64_t length) except -1:
        if self.pending is None:
            self.pending = []
        self.pending.append(new_segment(owner, data, fd, offset, length))
        return 0

    cdef int queue_rest(self, bytes rest) except -1:
        return self.queue(rest, PyBytes_AS_STRING(rest), -1, 0, PyBytes_GET_SIZE(rest))

    # Send of what is pending as much as the client takes and the turn allows. Returns a Flow.
    cdef int send_pending(self) except -1:
        cdef Segment segment
        cdef ssize_t n
        while self.pending is not None:
            segment = <Segment>self.pending[0]
            if self.tls is not None and not segment.sealed:
                if self.seal() == GONE:
                    return GONE
                continue
            n = send_front(self.pending, self.fd, self.http.high_water)
            if n < 0:
                return WAIT if n == -EAGAIN or n == -EINTR else GONE
            if n == 0:  # the file has become shorter than it was
                return GONE
            if self.state == WRITING:  # what runs elsewhere sees to its time itself, while it waits
                self.deadline = self.http.clock.now() + self.http.send_timeout
            self.turn += max(<int64_t>n, <int64_t>TURN_COST)
            self.drop_sent(n)
            if self.turn >= self.http.high_water:
                break
        return GO_ON if self.pending is None else WAIT

    # The client has taken `size` bytes of what is pending.
    cdef int drop_sent(self, int64_t size) except -1:
        cdef Segment segment
        cdef int64_t part
        while size > 0:
            segment = <Segment>self.pending[0]
            part = min(size, segment.left)
            segment.skip(part)
            size -= part
            if segment.left == 0:
                self.drop_first()
        return 0

    # The front of what is pending is sent, or never will be.
    cdef int drop_first(self) except -1:
        (<Segment>self.pending[0]).close()
        del self.pending[0]
        if not self.pending:
            self.pending = None
        return 0

    # Encrypt some of what is pending, for one send. Nothing else is sent before it.
    cdef int seal(self) except -1:
        cdef Transport tls = self.tls
        cdef Segment segment  # keeps what its pieces show
        cdef list parts = []
        cdef int64_t left = SEALED
        cdef int64_t held = 0  # bytes that are encrypted and not taken
        cdef int64_t size
        cdef int flow = GO_ON
        self.busy += 1
        tls.acquire()
        try:
            while left > 0 and self.pending is not None and not (<Segment>self.pending[0]).sealed:
                segment = <Segment>self.pending[0]
                size = segment.left
                piece = segment.cut(min(left, <int64_t>RECORD))
                if piece is None:
                    flow = GONE
                    break
                if segment.left == 0:
                    self.drop_first()
                size -= segment.left
                left -= size
                held += size
                tls.seal(piece)
                if held >= RECORD:
                    parts.append(tls.take())
                    held = 0
            if self.pending is None and self.ends() and not self.resets:
                tls.end()  # leaves with the last answer
        except OSError:
            flow = GONE
        finally:
            parts.append(tls.take())
            for part in parts:
                self.queue_sealed(part)
            tls.release()
            self.busy -= 1
        return flow

    # In front of what waits to be encrypted.
    cdef int queue_sealed(self, bytes data) except -1:
        cdef Segment segment
        cdef Py_ssize_t place = 0
        if not data or self.gone:
            return 0
        segment = new_segment(data, PyBytes_AS_STRING(data), -1, 0, PyBytes_GET_SIZE(data))
        segment.sealed = True
        if self.pending is None:
            self.pending = []
        while place < len(self.pending) and (<Segment>self.pending[place]).sealed:
            place += 1
        self.pending.insert(place, segment)
        return 0

    cdef int watch(self, Watch wanted) except -1:
        if self.watched == wanted:
            return 0
        if self.watched == UNWATCHED:
            self.http.reactor.add(self.fd, self, MASKS[<int>wanted])
            self.watched = wanted
            return 0
        self.watched = wanted
        return self.rewatch()

    # Have the kernel look at the socket anew: what is ready now is an event again.
    cdef int rewatch(self) except -1:
        self.http.reactor.modify(self.fd, MASKS[<int>self.watched])
        return 0

    # -- the end -------------------------------------------------------------------------------------------------------

    # What was cut short, or is still pending, does not end like what is complete.
    cdef int say_goodbye(self) except -1:
        cdef Transport tls = self.tls
        cdef bytes notice
        self.tls = None
        if self.resets or self.pending is not None or self.busy:
            return 0
        tls.end()
        notice = tls.take()
        if notice:
            send(self.fd, PyBytes_AS_STRING(notice), <size_t>PyBytes_GET_SIZE(notice), MSG_DONTWAIT | MSG_NOSIGNAL)
        return 0

    # The last answer is complete, or as complete as it will be, and nothing is read any more.
    cdef bint ends(self) noexcept:
        return self.state == WRITING and self.task is None and not self.keeps_alive and self.body is None

    cdef int say_end(self) except -1:
        if self.resets:
            return self.close()
        if self.tls is not None:
            self.say_goodbye()
        shutdown(self.fd, SHUT_WR)  # before a close that might find input that came too late, and so send a reset
        return self.linger() if self.lingers else self.close()

    cdef int linger(self) except -1:
        self.enter(LINGERING)
        self.forget_input()
        self.left = LINGER_BYTES
        self.deadline = self.http.clock.now() + LINGER_MS
        self.discard_input()
        return self.watch(FOR_INPUT) if self.state == LINGERING else 0

    cdef int discard_input(self) except -1:
        cdef ssize_t n = 1
        while n > 0 and self.left > 0:
            n = recv(self.fd, self.http.scratch, SCRATCH_SIZE, MSG_DONTWAIT)
            if n < 0 and (errno == EAGAIN or errno == EINTR):
                return 0
            self.left -= n
        return self.close()

    cdef int expire(self, int64_t now) except -1:
        if self.state == READING_BODY and (now >= self.deadline or self.is_slow(now)):
            self.refuse(BODY_TIMEOUT)
            return self.settle()
        if self.deadline == 0 or now < self.deadline:
            return 0
        if self.state == READING_HEAD:
            self.refuse(HEAD_TIMEOUT)
            return self.settle()
        return self.lose()

    cdef bint is_slow(self, int64_t now) noexcept:
        cdef int64_t age = now - self.body.since
        return age > RATE_GRACE_MS and self.body.received * 1000 < self.http.body_min_rate * age

    # The client is gone, or has to go.
    cdef int lose(self) except -1:
        if self.state == CLOSED:
            return 0
        self.gone = True
        if self.task is not None:
            self.http.dispatcher.cancel(self)
        if self.framing != UNDECIDED or self.pending is not None:
            self.reset_at_close()
        while self.pending is not None:
            self.drop_first()
        if self.writer is not None:
            self.put_away()
        if self.framing != UNDECIDED:
            self.keeps_alive = False
            self.end_exchange()
        self.environs.take_back(self)
        return self.close()

    # What is on its way is given up: the client sees that the response is not complete, however it would have ended,
    # and the kernel holds nothing for it any more.
    cdef int reset_at_close(self) except -1:
        cdef linger_option reset
        self.resets = True
        reset.l_onoff, reset.l_linger = 1, 0
        setsockopt(self.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset))
        return 0

    cdef int close(self) except -1:
        cdef Http1 http = self.http
        if self.tls is not None:
            self.say_goodbye()
        self.enter(CLOSED)
        if self.before != NULL:
            (<Connection>self.before).behind = self.behind
        else:
            http.first = self.behind
        if self.behind != NULL:
            (<Connection>self.behind).before = self.before
        if self.watched != UNWATCHED:
            http.reactor.remove(self.fd)
        close_fd(self.fd)
        self.fd = -1
        self.gone = True
        self.forget_input()
        if self.body is not None and self.task is None:  # it was not complete
            self.body.close()
        http.connections -= 1
        if http.on_change is not None:
            http.on_change()
        return 0
