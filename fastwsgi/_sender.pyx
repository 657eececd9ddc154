"""The sending thread: pieces leave while the next is made (PEP 3333, "Buffering and Streaming").

How it works: `send` copies a piece to the relay of its response, puts that into a ring and wakes the thread by an
eventfd, where it sleeps. The thread takes relays from the ring and sends what they have. A generator that is quick is
through before the thread has come to run; then `recall` gives back all that it made, for one send with the end of the
response. So eight pieces cost one wake-up and two sends, not nine sends; and one that takes its time sees each piece
leave without it.

Laws: everything is touched under the lock, but the `flying` of a relay that is SENDING, which is the thread's alone.
Whoever holds the lock does nothing else meanwhile: no Python code, no system call that waits, and no line is traced, as
that would be Python code. What the socket does not take the thread goes on with when it does; but nobody gives it more
until then.
"""

cimport cython
from libc.errno cimport EAGAIN, EINTR, ENOENT, errno
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy
from posix.types cimport pid_t

from fastwsgi._guard cimport latch_drop, latch_init, latch_take

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_t:
        pass
    ctypedef struct pthread_attr_t:
        pass
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    int pthread_attr_init(pthread_attr_t *attributes)
    int pthread_attr_destroy(pthread_attr_t *attributes)
    int pthread_attr_setstacksize(pthread_attr_t *attributes, size_t size)
    int pthread_create(pthread_t *thread, pthread_attr_t *attributes, void *(*body)(void *) noexcept nogil, void *given)
    int pthread_setname_np(pthread_t thread, const char *name)
    int pthread_join(pthread_t thread, void **result)
    int pthread_mutex_init(pthread_mutex_t *mutex, void *attributes)
    int pthread_mutex_lock(pthread_mutex_t *mutex)
    int pthread_mutex_unlock(pthread_mutex_t *mutex)
    int pthread_mutex_destroy(pthread_mutex_t *mutex)
    int pthread_cond_init(pthread_cond_t *condition, void *attributes)
    int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
    int pthread_cond_broadcast(pthread_cond_t *condition)
    int pthread_cond_destroy(pthread_cond_t *condition)

cdef extern from "<signal.h>" nogil:
    ctypedef struct sigset_t:
        pass
    const int SIG_SETMASK
    int sigfillset(sigset_t *signals)
    int pthread_sigmask(int how, const sigset_t *signals, sigset_t *before)

cdef extern from "<sched.h>" nogil:
    const int SCHED_BATCH
    struct sched_param:
        int sched_priority
    int sched_setscheduler(pid_t process, int policy, const sched_param *parameter)

cdef extern from "<sys/socket.h>" nogil:
    const int MSG_DONTWAIT
    const int MSG_NOSIGNAL
    ssize_t send_now "send"(int fd, const void *data, size_t size, int flags)

cdef extern from "<sys/epoll.h>" nogil:
    const uint32_t EPOLLIN
    const uint32_t EPOLLOUT
    const uint32_t EPOLLET
    const uint32_t EPOLLONESHOT
    const int EPOLL_CTL_ADD
    const int EPOLL_CTL_MOD
    const int EPOLL_CLOEXEC
    ctypedef union epoll_data_t:
        int fd
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int poller, int what, int fd, epoll_event *event)
    int epoll_wait(int poller, epoll_event *events, int most, int milliseconds)

cdef extern from "<sys/eventfd.h>" nogil:
    const int EFD_CLOEXEC
    const int EFD_NONBLOCK
    int eventfd(unsigned int start, int flags)
    int eventfd_write(int fd, uint64_t more)

cdef extern from "<unistd.h>" nogil:
    int close_fd "close"(int fd)
    pid_t getpid()

cdef enum:
    STACK = 65536                     # bytes; it calls nothing that is deep
    BEHIND = 32768                    # bytes of a response that wait; with more, the thread is behind
    EVENTS = 16


cdef struct Thread:
    pthread_t thread
    pthread_mutex_t lock
    pthread_cond_t landed             # something is no more SENDING
    int recalls                       # who waits for that
    Relay queue                       # a ring, of which this is only the seam
    Relay stalled
    int wake                          # an eventfd
    int poller                        # that, and the sockets of what is STALLED
    bint asleep
    bint ends
    pid_t process                     # a child that the application forks has no such thread


# -- rings -------------------------------------------------------------------------------------------------------------


@cython.linetrace(False)
cdef inline void link(Relay *ring, Relay *relay) noexcept nogil:
    relay.before, relay.behind = ring.before, ring
    ring.before.behind = relay
    ring.before = relay


@cython.linetrace(False)
cdef inline void unlink(Relay *relay) noexcept nogil:
    relay.before.behind = relay.behind
    relay.behind.before = relay.before


# -- the thread --------------------------------------------------------------------------------------------------------


@cython.linetrace(False)
cdef void *work(void *given) noexcept nogil:
    cdef Thread *thread = <Thread *>given
    cdef epoll_event events[EVENTS]
    cdef int found
    stand_back()
    pthread_mutex_lock(&thread.lock)
    while True:
        while thread.queue.behind != &thread.queue and not thread.ends:
            send_some(thread, thread.queue.behind)
        if thread.ends:
            break
        thread.asleep = True
        pthread_mutex_unlock(&thread.lock)
        found = epoll_wait(thread.poller, events, EVENTS, -1)
        pthread_mutex_lock(&thread.lock)
        thread.asleep = False
        if found > 1 or found == 1 and events[0].data.fd != thread.wake:
            retry(thread)
    pthread_mutex_unlock(&thread.lock)
    return NULL


# For the scheduler it is a thread that nobody waits for: woken on a busy processor it lets the generator go on, and so
# finds more to send.
@cython.linetrace(False)
cdef void stand_back() noexcept nogil:
    cdef sched_param ordinary
    ordinary.sched_priority = 0
    sched_setscheduler(0, SCHED_BATCH, &ordinary)


# Some of what is stalled may go on. Sockets are asked for anew where that is not so, which is rare: there are few.
@cython.linetrace(False)
cdef void retry(Thread *thread) noexcept nogil:
    cdef Relay *relay
    while thread.stalled.behind != &thread.stalled:
        relay = thread.stalled.behind
        unlink(relay)
        relay.stage = QUEUED
        link(&thread.queue, relay)


@cython.linetrace(False)
cdef void send_some(Thread *thread, Relay *relay) noexcept nogil:
    cdef ssize_t n
    cdef int wrong
    unlink(relay)
    relay.stage = SENDING
    if relay.sent == relay.flying.length:
        relay.flying, relay.waiting = relay.waiting, relay.flying
        relay.waiting.length = relay.sent = 0
    pthread_mutex_unlock(&thread.lock)
    n = send_now(
        relay.fd, relay.flying.data + relay.sent, relay.flying.length - relay.sent, MSG_DONTWAIT | MSG_NOSIGNAL
    )
    wrong = errno
    pthread_mutex_lock(&thread.lock)
    if n > 0:
        relay.sent += <size_t>n
    if n >= 0 and relay.sent == relay.flying.length and relay.waiting.length == 0:
        relay.stage = SENT
    elif n >= 0 or wrong == EINTR:
        relay.stage = QUEUED
        link(&thread.queue, relay)
    elif wrong == EAGAIN and watch(thread, relay.fd):
        relay.stage = STALLED
        link(&thread.stalled, relay)
    else:
        relay.stage = BROKEN
    if thread.recalls:
        pthread_cond_broadcast(&thread.landed)


# A socket stays known, asleep, until it is closed.
@cython.linetrace(False)
cdef bint watch(Thread *thread, int fd) noexcept nogil:
    cdef epoll_event event
    event.events = EPOLLOUT | EPOLLET | EPOLLONESHOT
    event.data.fd = fd
    if epoll_ctl(thread.poller, EPOLL_CTL_MOD, fd, &event) == 0:
        return True
    return errno == ENOENT and epoll_ctl(thread.poller, EPOLL_CTL_ADD, fd, &event) == 0


# -- who gives it work -------------------------------------------------------------------------------------------------


cdef int empty(Relay *relay) noexcept:
    relay.flying.length = relay.sent = relay.waiting.length = 0
    return 0


cdef void release_relay(Relay *relay) noexcept:
    if relay.stage == QUEUED or relay.stage == SENDING or relay.stage == STALLED:
        take_back(<Thread *>relay.thread, relay)
    free(relay.flying.data)
    free(relay.waiting.data)


# Returns whether it takes the piece; `sleeps` says whether the thread has to be woken.
@cython.linetrace(False)
cdef bint give(Thread *thread, Relay *relay, int fd, const char *data, size_t size, bint *sleeps) noexcept nogil:
    cdef bint taken
    pthread_mutex_lock(&thread.lock)
    taken = relay.stage != STALLED and relay.stage != BROKEN and put(&relay.waiting, data, size)
    if taken and (relay.stage == HERE or relay.stage == SENT):
        relay.fd = fd
        relay.thread = thread
        relay.stage = QUEUED
        link(&thread.queue, relay)
        sleeps[0] = thread.asleep
        thread.asleep = False
    pthread_mutex_unlock(&thread.lock)
    return taken


@cython.linetrace(False)
cdef bint put(Pieces *waiting, const char *data, size_t size) noexcept nogil:
    cdef size_t length = waiting.length + size
    cdef size_t capacity
    cdef char *grown
    if length > BEHIND:
        return False
    if length > waiting.capacity:
        capacity = min(2 * length + 1024, <size_t>BEHIND)
        grown = <char *>realloc(waiting.data, capacity)
        if grown == NULL:
            return False
        waiting.data, waiting.capacity = grown, capacity
    memcpy(waiting.data + waiting.length, data, size)
    waiting.length = length
    return True


@cython.linetrace(False)
cdef void take_back(Thread *thread, Relay *relay) noexcept nogil:
    pthread_mutex_lock(&thread.lock)
    thread.recalls += 1
    while relay.stage == SENDING:
        pthread_cond_wait(&thread.landed, &thread.lock)
    thread.recalls -= 1
    if relay.stage == QUEUED or relay.stage == STALLED:
        unlink(relay)
    relay.stage = HERE
    pthread_mutex_unlock(&thread.lock)


@cython.linetrace(False)
cdef void finish(Thread *thread) noexcept nogil:
    pthread_mutex_lock(&thread.lock)
    thread.ends = True
    pthread_mutex_unlock(&thread.lock)
    wake(thread)
    pthread_join(thread.thread, NULL)
    retry(thread)
    while thread.queue.behind != &thread.queue:
        thread.queue.behind.stage = BROKEN
        unlink(thread.queue.behind)


@cython.linetrace(False)
cdef void wake(Thread *thread) noexcept nogil:
    eventfd_write(thread.wake, 1)  # edge-triggered: nobody reads it


cdef Thread *start() noexcept:
    cdef Thread *thread = <Thread *>calloc(1, sizeof(Thread))
    cdef epoll_event event
    if thread == NULL:
        return NULL
    thread.queue.before = thread.queue.behind = &thread.queue
    thread.stalled.before = thread.stalled.behind = &thread.stalled
    thread.process = getpid()
    pthread_mutex_init(&thread.lock, NULL)
    pthread_cond_init(&thread.landed, NULL)
    thread.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
    thread.poller = epoll_create1(EPOLL_CLOEXEC)
    event.events, event.data.fd = EPOLLIN | EPOLLET, thread.wake
    if (
        thread.wake < 0 or thread.poller < 0
        or epoll_ctl(thread.poller, EPOLL_CTL_ADD, thread.wake, &event) != 0 or not spawn(thread)
    ):
        drop(thread)
        return NULL
    return thread


# No signal is ever handled there: handlers are Python's.
cdef bint spawn(Thread *thread) noexcept:
    cdef pthread_attr_t attributes
    cdef sigset_t every, before
    cdef bint spawned
    sigfillset(&every)
    pthread_attr_init(&attributes)
    pthread_attr_setstacksize(&attributes, STACK)
    pthread_sigmask(SIG_SETMASK, &every, &before)
    spawned = pthread_create(&thread.thread, &attributes, work, thread) == 0
    pthread_sigmask(SIG_SETMASK, &before, NULL)
    if spawned:
        pthread_setname_np(thread.thread, b"fastwsgi-send")
    pthread_attr_destroy(&attributes)
    return spawned


cdef void drop(Thread *thread) noexcept:
    if thread.wake >= 0:
        close_fd(thread.wake)
    if thread.poller >= 0:
        close_fd(thread.poller)
    pthread_cond_destroy(&thread.landed)
    pthread_mutex_destroy(&thread.lock)
    free(thread)


@cython.final
cdef class Sender:
    """Sends pieces of responses while the application makes the next."""

    def __cinit__(self):
        latch_init(&self.latch)

    def __dealloc__(self):
        self.close()

    cdef bint send(self, Relay *relay, int fd, const char *data, size_t size) noexcept:
        cdef bint sleeps = False
        if self.thread == NULL:
            latch_take(&self.latch)
            if self.thread == NULL:
                self.thread = start()
            latch_drop(&self.latch)
        if self.thread == NULL or not give(<Thread *>self.thread, relay, fd, data, size, &sleeps):
            return False
        if sleeps:
            wake(<Thread *>self.thread)
        return True

    cdef void recall(self, Relay *relay) noexcept:
        take_back(<Thread *>self.thread, relay)

    cdef int close(self) noexcept:
        cdef Thread *thread = <Thread *>self.thread
        if thread != NULL and thread.process == getpid():
            finish(thread)
            drop(thread)
        self.thread = NULL
        return 0
