"""The application in a greenlet of its own for each request (gunicorn's gevent), the reactor in the main one.

Nothing queues here: a request runs as soon as it is read, beside all others that wait for something. All is one thread,
and switches only where the application, or `Exchange.wait`, waits.

Since CPython 3.11 the first Python frame of a greenlet takes a chunk of memory from the allocator of arenas, by mmap,
and its end gives it back: a quarter of what a request costs. `keep_chunks` has some of them kept for the next ones.
"""

cimport cython
from libc.stdint cimport int64_t

from fastwsgi._clock cimport Clock
from fastwsgi._elsewhere cimport Elsewhere, Runner
from fastwsgi._exchange cimport ELSEWHERE, Exchange
from fastwsgi._guard cimport owner_of

cdef extern from "Python.h":
    ctypedef struct PyObjectArenaAllocator:
        void *ctx
        void *(*alloc)(void *ctx, size_t size) noexcept nogil
        void (*free)(void *ctx, void *block, size_t size) noexcept nogil

    void PyObject_GetArenaAllocator(PyObjectArenaAllocator *allocator)
    void PyObject_SetArenaAllocator(PyObjectArenaAllocator *allocator)

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass

    int pthread_mutex_init(pthread_mutex_t *mutex, void *attributes)
    int pthread_mutex_trylock(pthread_mutex_t *mutex)
    int pthread_mutex_unlock(pthread_mutex_t *mutex)

cdef enum:
    CHUNK = 16384                     # bytes of a thread's or greenlet's first frames: CPython's DATA_STACK_CHUNK_SIZE
    KEPT = 64                         # chunks

# Of the process, as the allocator is.
cdef struct Chunks:
    PyObjectArenaAllocator allocator  # whose they are
    pthread_mutex_t mutex             # only ever tried: a fork may have left it locked
    void *kept[KEPT]
    int count

cdef Chunks chunks


# Have some chunks of the frames of greenlets that have ended kept. Once in a process; later calls do nothing.
cdef void keep_chunks() noexcept:
    cdef PyObjectArenaAllocator ours
    if chunks.allocator.alloc != NULL:
        return
    pthread_mutex_init(&chunks.mutex, NULL)
    PyObject_GetArenaAllocator(&chunks.allocator)
    ours.ctx, ours.alloc, ours.free = NULL, take_chunk, give_chunk
    PyObject_SetArenaAllocator(&ours)


cdef void *take_chunk(void *ctx, size_t size) noexcept nogil:
    cdef void *chunk = NULL
    if size == CHUNK and pthread_mutex_trylock(&chunks.mutex) == 0:
        if chunks.count > 0:
            chunks.count -= 1
            chunk = chunks.kept[chunks.count]
        pthread_mutex_unlock(&chunks.mutex)
    return chunks.allocator.alloc(chunks.allocator.ctx, size) if chunk == NULL else chunk


cdef void give_chunk(void *ctx, void *chunk, size_t size) noexcept nogil:
    cdef bint kept = False
    if size == CHUNK and pthread_mutex_trylock(&chunks.mutex) == 0:
        if chunks.count < KEPT:
            chunks.kept[chunks.count] = chunk
            chunks.count += 1
            kept = True
        pthread_mutex_unlock(&chunks.mutex)
    if not kept:
        chunks.allocator.free(chunks.allocator.ctx, chunk, size)


@cython.final
cdef class Greenlets(Elsewhere):
    """Runs the application in greenlets that `spawn(callable, *args)` makes and starts later.

    A request that overruns `request_timeout` is answered, then `end(greenlet)` is to raise something in its greenlet.
    The other arguments are those of `Elsewhere`.
    """

    def __init__(self, app, on_error, Clock clock not None, double request_timeout, on_overdue, *, spawn, end):
        super().__init__(app, on_error, clock, request_timeout, on_overdue)
        self.owner = owner_of(NULL)
        self.spawn = spawn
        self.end = end
        self.running = set()
        keep_chunks()

    cdef int dispatch(self, Exchange exchange) except -1:
        cdef Runner runner = Runner.__new__(Runner)
        exchange.task = self
        greenlet = self.spawn(self.start, runner, exchange)
        if self.request_timeout:
            runner.who = greenlet
            self.running.add(runner)
        return ELSEWHERE

    def start(self, Runner runner, Exchange exchange):
        """What a greenlet does in its life."""
        self.run(runner, exchange)
        self.running.discard(runner)

    def sweep(self):
        """End what has run for too long."""
        cdef int64_t now = self.clock.now()
        cdef Runner runner
        for runner in list(self.running):
            if self.cut_overdue(runner, now):
                self.end(runner.who)
