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

cdef extern from *:
    """
    #include <pthread.h>

    /* Bytes of a thread's or greenlet's first frames: CPython's DATA_STACK_CHUNK_SIZE. */
    #define FASTWSGI_CHUNK 16384
    #define FASTWSGI_KEPT 64

    /* Of the process, as the allocator is. In C, because a chunk is given back by a thread that ends, when it has no
       state any more: it must not ask for the GIL, as Cython's code does in builds that trace lines. */
    static struct {
        PyObjectArenaAllocator allocator;  /* whose they are */
        pthread_mutex_t mutex;             /* only ever tried: a fork may have left it locked */
        int count;
        void *kept[FASTWSGI_KEPT];
    } fastwsgi_chunks = {.mutex = PTHREAD_MUTEX_INITIALIZER};

    static void *fastwsgi_take_chunk(void *context, size_t size)
    {
        void *chunk = NULL;
        (void)context;
        if (size == FASTWSGI_CHUNK && pthread_mutex_trylock(&fastwsgi_chunks.mutex) == 0) {
            if (fastwsgi_chunks.count > 0)
                chunk = fastwsgi_chunks.kept[--fastwsgi_chunks.count];
            pthread_mutex_unlock(&fastwsgi_chunks.mutex);
        }
        return chunk ? chunk : fastwsgi_chunks.allocator.alloc(fastwsgi_chunks.allocator.ctx, size);
    }

    static void fastwsgi_give_chunk(void *context, void *chunk, size_t size)
    {
        int kept = 0;
        (void)context;
        if (size == FASTWSGI_CHUNK && pthread_mutex_trylock(&fastwsgi_chunks.mutex) == 0) {
            kept = fastwsgi_chunks.count < FASTWSGI_KEPT;
            if (kept)
                fastwsgi_chunks.kept[fastwsgi_chunks.count++] = chunk;
            pthread_mutex_unlock(&fastwsgi_chunks.mutex);
        }
        if (!kept)
            fastwsgi_chunks.allocator.free(fastwsgi_chunks.allocator.ctx, chunk, size);
    }

    static void fastwsgi_keep_chunks(void)
    {
        PyObjectArenaAllocator ours = {NULL, fastwsgi_take_chunk, fastwsgi_give_chunk};
        if (fastwsgi_chunks.allocator.alloc != NULL)
            return;
        PyObject_GetArenaAllocator(&fastwsgi_chunks.allocator);
        PyObject_SetArenaAllocator(&ours);
    }
    """
    # Have some chunks of the frames of greenlets that have ended kept. Once in a process; later calls do nothing.
    void keep_chunks "fastwsgi_keep_chunks"()


@cython.final
cdef class Greenlets(Elsewhere):
    """Runs the application in greenlets that `spawn(callable, *args)` makes and starts later.

    A request that overruns `request_timeout` is answered, then `end(greenlet)` is to raise something in its greenlet.
    The other arguments are those of `Elsewhere`.
    """

    def __init__(self, app, on_error, Clock clock not None, double request_timeout, on_overdue, *, spawn, end):
        super().__init__(app, on_error, clock, request_timeout, on_overdue)
        self.is_one_thread = True
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
            if self.cut_overdue(runner, runner.exchange, now):
                self.end(runner.who)
