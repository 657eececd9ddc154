# What stands for the GIL where there is none (PEP 703, the free-threaded builds of CPython).
#
# An exchange, and all that goes on with it, is touched only by who is inside its guard, so that threads meet where they
# have the same client and nowhere else. A guard is a critical section of CPython's: as the GIL, it is given up by
# whoever waits for anything, and taken back before he goes on; so what is said here of the GIL is true of it. Unlike
# the GIL it is left while the application's own code runs.
#
# What several exchanges share is the reactor's thread's alone, or stands behind a latch: a lock for a few lines of C,
# to be taken inside a guard or outside. Behind it nothing waits, nothing is allocated and no reference is given up
# but such as were taken there, as any of that may wait for all other threads, and one of those for the latch.
#
# On other builds all of this is nothing: the types have no size and the calls no code.

from cpython.object cimport PyObject
from libc.stdint cimport uint32_t

cdef extern from *:
    """
    #ifdef Py_GIL_DISABLED
    #include <pthread.h>
    #include <stdint.h>
    #define AWAY (1u << 27)
    #define FREE_THREADED 1
    typedef struct { pthread_mutex_t mutex; } Latch;
    #define latch_init(latch) pthread_mutex_init(&(latch)->mutex, NULL)
    #define latch_take(latch) pthread_mutex_lock(&(latch)->mutex)
    #define latch_drop(latch) pthread_mutex_unlock(&(latch)->mutex)
    #define add_at_once(sum, more) __atomic_add_fetch(sum, more, __ATOMIC_RELAXED)
    typedef PyObject *Owner;
    typedef struct { PyCriticalSection section; PyObject *owner; int inside; } Guard;
    typedef Guard *GuardRef;
    #define owner_of(object) (object)
    #define guard_ref(guard) (guard)
    static inline void guard_in(Guard *guard) {
        if (guard->owner != NULL && !guard->inside) {
            PyCriticalSection_Begin(&guard->section, guard->owner);
            guard->inside = 1;
        }
    }
    static inline void guard_out(Guard *guard) {
        if (guard->inside) {
            guard->inside = 0;
            PyCriticalSection_End(&guard->section);
        }
    }
    static inline void guard_enter(Guard *guard, PyObject *owner) {
        guard->owner = owner;
        guard->inside = 0;
        guard_in(guard);
    }
    static inline int note_while_away(uint32_t *noted, uint32_t events) {
        uint32_t seen = __atomic_load_n(noted, __ATOMIC_RELAXED);
        while (seen & AWAY)
            if (__atomic_compare_exchange_n(noted, &seen, seen | events, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
                return 1;
        return 0;
    }
    static inline int come_home(uint32_t *noted) {
        uint32_t seen = AWAY;
        return __atomic_compare_exchange_n(noted, &seen, 0, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    }
    #else
    #define AWAY 0
    #define FREE_THREADED 0
    #define note_while_away(noted, events) 0
    #define come_home(noted) (*(noted) == 0)
    typedef struct {} Latch;
    #define latch_init(latch) ((void)(latch))
    #define latch_take(latch) ((void)(latch))
    #define latch_drop(latch) ((void)(latch))
    #define add_at_once(sum, more) (*(sum) += (more))
    typedef struct {} Owner;
    typedef struct {} Guard;
    typedef struct {} GuardRef;
    #define owner_of(object) ((void)(object), (Owner){})
    #define guard_ref(guard) ((void)(guard), (GuardRef){})
    #define guard_in(guard) ((void)(guard))
    #define guard_out(guard) ((void)(guard))
    #define guard_enter(guard, owner) ((void)(guard), (void)(owner))
    #endif
    #define guard_out_with(guard, object) (guard_out(guard), (object))
    #define guard_leave(guard) guard_out(guard_ref(guard))
    """
    const bint FREE_THREADED
    # Whose guard it is; of no object: of nobody, where all is one thread.
    ctypedef struct Owner:
        pass
    # One thread's place inside or outside; used by that thread only.
    ctypedef struct Guard:
        pass
    ctypedef struct GuardRef:
        pass
    Owner owner_of(PyObject *object) noexcept nogil
    GuardRef guard_ref(Guard *guard) noexcept nogil
    # Go inside, and for good outside again.
    void guard_enter(Guard *guard, Owner owner) noexcept
    void guard_leave(Guard *guard) noexcept
    # Outside while the application's own code runs, and back. Nothing happens to who is there already.
    void guard_out(GuardRef guard) noexcept
    void guard_in(GuardRef guard) noexcept
    # The same, and returns the object: so that what is passed on beside it is read while still inside.
    PyObject *guard_out_with(GuardRef guard, PyObject *object) noexcept
    ctypedef struct Latch:
        pass
    void latch_init(Latch *latch) noexcept nogil
    void latch_take(Latch *latch) noexcept nogil
    void latch_drop(Latch *latch) noexcept nogil
    # A sum that any thread may add to; returns what it is then.
    size_t add_at_once(size_t *sum, size_t more) noexcept nogil
    # What one thread notes for another, which has what it is about, without waiting for it: bits beside AWAY, while
    # that is set. Coming home clears it, and succeeds where nothing was noted.
    const uint32_t AWAY
    bint note_while_away(uint32_t *noted, uint32_t events) noexcept nogil
    bint come_home(uint32_t *noted) noexcept nogil
