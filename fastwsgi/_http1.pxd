# HTTP/1.x connections. `Http1` is what all connections of a worker share, `Connection` is one client.

from libc.stdint cimport int64_t, uint32_t, uint64_t, uint8_t

from fastwsgi._body cimport BodyMemory, RequestBody
from fastwsgi._clock cimport Clock
from fastwsgi._environ cimport EnvironBuilder
from fastwsgi._exchange cimport Dispatcher, Exchange, Flag, Queue
from fastwsgi._guard cimport Guard, Latch
from fastwsgi._parser cimport Limits, RequestHead
from fastwsgi._sender cimport Sender
from fastwsgi._tls cimport Transport
from fastwsgi._writer cimport HeadWriter, Output


cdef enum:
    LAST_LIMIT = 4096                 # longer heads are parsed anew each time
    DRAIN_MS = 1000                   # for a client whose next request may be on its way


cdef enum State:
    IDLE = 0
    READING_HEAD
    READING_BODY
    RUNNING
    WRITING
    LINGERING
    CLOSED


# How the end of a response's body shows on the wire (RFC 9112 6.3).
cdef enum Framing:
    UNDECIDED = 0                     # no head yet
    EMPTY                             # HEAD, 204, 304: whatever comes is dropped
    BY_LENGTH
    BY_CHUNKS
    BY_CLOSE


# What the reactor looks for on the socket.
cdef enum Watch:
    UNWATCHED = 0                     # it has not heard of it
    FOR_INPUT
    FOR_OUTPUT


cdef class Http1:
    cdef object reactor
    cdef Clock clock
    cdef Dispatcher dispatcher
    cdef Guard guard                  # of the reactor's thread
    cdef object wait_for              # (fd, events of poll, milliseconds): bool, instead of poll; or None
    cdef object make_socket           # (fd): a socket object that owns the descriptor
    cdef str server_header
    cdef HeadWriter spare             # the first of those that no response uses; behind the latch
    cdef Latch latch
    cdef Sender sender
    cdef int64_t piece_sent           # when a piece of any generator was sent last
    cdef Queue returned               # Connections whose exchange is back from elsewhere, for the reactor
    cdef Limits limits
    cdef RequestHead head             # scratch: the head being parsed, or the last one
    cdef uint64_t serial              # counts what `head` has held
    cdef char last[LAST_LIMIT]        # the bytes of `head`, where it is complete
    cdef size_t last_length           # 0: it is not complete, or too long
    cdef char *scratch                # scratch: bytes just received
    # Settings; times in milliseconds, sizes in bytes.
    cdef int64_t body_limit           # 0: none
    cdef BodyMemory body_memory
    cdef object open_spool
    cdef int64_t head_timeout
    cdef int64_t body_timeout
    cdef int64_t body_min_rate
    cdef bint streams                 # bodies are read by the application while they arrive
    cdef bytes health_path            # b"": none
    cdef bint health_counts           # such requests are logged and counted
    cdef int64_t send_timeout
    cdef int64_t keepalive
    cdef int64_t keepalive_requests
    cdef int64_t high_water
    # What others want to hear; None where nobody does.
    cdef object on_done               # (exchange): after each response
    cdef object on_refusal            # (remote_addr, Refusal): a request was refused
    cdef public object on_change      # (): a connection has ended; set by who waits for that
    cdef object on_max_requests       # (): the worker has answered what it should
    cdef int64_t max_requests         # 0: no end
    cdef Http1 elder                  # of the worker's first reactor; None: this is
    cdef size_t begun                 # requests of all reactors; counted without the GIL only
    cdef Py_buffer heartbeat          # one double: seconds at the last dispatch; or no buffer
    cdef readonly int64_t requests
    cdef readonly int64_t connections
    cdef readonly bint draining       # every answer announces the end of its connection
    cdef readonly bint leaving        # the whole server ends: what asks for its health is told so
    cdef object trusted_peers         # a container of addresses
    cdef void *first                  # Connection: head of the list of open ones

    cdef int64_t count(self) noexcept
    cdef HeadWriter take_writer(self)


cdef class Connection(Exchange):
    cdef Http1 http
    cdef EnvironBuilder environs
    cdef Transport tls                # None: plain HTTP
    cdef void *before                 # neighbours among the open connections; borrowed
    cdef void *behind
    cdef int fd
    cdef uint32_t missed              # epoll events that came while the exchange was elsewhere
    cdef uint32_t answered            # requests on this connection
    cdef uint8_t state                # a State
    cdef uint8_t framing              # a Framing: of the response
    cdef Flag head_only
    cdef Flag http_1_0
    cdef Flag expects_continue        # of a body that is streamed
    cdef Flag keeps_alive
    cdef Flag lingers                 # input may follow that nobody will read
    cdef Flag resets                  # the connection, when it is closed: the response is not complete
    cdef Flag gone                    # nothing can be sent any more
    cdef Flag nonblocking             # the socket itself, for sendfile
    cdef uint8_t watched              # a Watch
    cdef int64_t deadline             # milliseconds; 0: none
    # input
    cdef char *input                  # bytes not parsed yet, own copy; NULL when there are none
    cdef uint32_t input_length        # no more than a head and what one call received; heads are below 2**31
    cdef uint32_t input_capacity
    cdef RequestHead *partial         # what is known of an incomplete head, with its fields behind it; or NULL
    cdef RequestBody body             # of the request; None: it has none
    # the response
    cdef HeadWriter writer            # has what was gathered; None when there is nothing
    cdef int64_t left                 # of a body BY_LENGTH; of the input while LINGERING
    cdef int64_t turn                 # bytes sent since the reactor gave this connection its turn
    cdef list pending                 # Segments the socket did not take; None when there are none

    cdef int enter(self, State state) except -1
    cdef int arrive(self) except -1
    cdef int read(self, uint32_t events) except -1
    cdef int read_nothing(self, ssize_t n) except -1
    cdef char *make_room(self, size_t *room) except NULL
    cdef int consume(self, const char *data, size_t size) except -1
    cdef ssize_t consume_head(self, const char *data, size_t size) except -1
    cdef int take_body(self, size_t size) except -1
    cdef ssize_t consume_body(self, const char *data, size_t size) except -1
    cdef ssize_t consume_chunks(self, const char *data, size_t size) except -1
    cdef int receive_into(self, char *scratch) except -1
    cdef size_t stream(self, const char *data, size_t size) except? 0
    cdef int stream_kept(self, const char *data, size_t size) except -1
    cdef bytes unseal_body(self, const char *data, size_t size)
    cdef int await_input(self) except -1
    cdef int break_off(self, int verdict) except -1
    cdef bint asks_health(self, const char *data, const RequestHead *head) noexcept
    cdef int answer_health(self) except -1
    cdef bint wait_ready(self, short events, int64_t milliseconds) except -1
    cdef bint wait_for(self, short events, int64_t milliseconds) except -1
    cdef int parse(self, const char *data, size_t size) noexcept
    cdef int await_head(self, const RequestHead *head) except -1
    cdef int keep(self, const char *data, size_t size) except -1
    cdef int forget_input(self) except -1
    cdef int take_in(self, const char *data, size_t size) except -1
    cdef int consume_behind(self, bytes plain) except -1
    cdef bytes unseal(self, const char *data, size_t size)
    cdef int break_tls(self, object error) except -1
    cdef int start_request(self, const char *data) except -1
    cdef int lend_socket(self) except -1
    cdef bint collect(self, const char *data, size_t size) except -1
    cdef int run(self) except -1
    cdef int go_on(self) except -1
    cdef int beat(self) except -1
    cdef int refuse(self, int verdict) except -1
    cdef int put_error(self, object refusal) except -1
    cdef int put_framing(self, int status, int64_t length) except -1
    cdef void tell_done(self) noexcept
    cdef int end_exchange(self) except -1
    cdef int forget_exchange(self) except -1
    cdef int leave(self) except -1
    cdef int idle(self) except -1
    cdef int come_back(self) except -1
    cdef Output *gather(self) except NULL
    cdef int put_away(self) except -1
    cdef bint relay(self) except -1
    cdef int recall(self) except -1
    cdef int settle(self) except -1
    cdef int push(self, object owner, const char *body, size_t size) except -1
    cdef int push_with(self, object owner, const char *body, size_t size, int flags) except -1
    cdef bint ends(self) noexcept
    cdef int say_end(self) except -1
    cdef int queue(self, object owner, const char *data, int fd, int64_t offset, int64_t length) except -1
    cdef int queue_rest(self, bytes rest) except -1
    cdef int send_pending(self) except -1
    cdef int drop_first(self) except -1
    cdef int drop_sent(self, int64_t size) except -1
    cdef int push_sealed(self, object owner, const char *body, size_t size, size_t end) except -1
    cdef int seal(self) except -1
    cdef int queue_sealed(self, bytes data) except -1
    cdef int say_goodbye(self) except -1
    cdef int watch(self, Watch wanted) except -1
    cdef int rewatch(self) except -1
    cdef int end_of_input(self) except -1
    cdef int linger(self) except -1
    cdef int discard_input(self) except -1
    cdef int expire(self, int64_t now) except -1
    cdef bint is_slow(self, int64_t now) noexcept
    cdef int lose(self) except -1
    cdef int reset_at_close(self) except -1
    cdef int close(self) except -1
