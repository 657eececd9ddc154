# What stands for the GIL where there is none (PEP 703, the free-threaded builds of CPython).
#
# All that the reactor's thread and the application's threads share belongs to one server, and is touched only by who
# is inside the guard of that server's dispatcher. A guard is a critical section of CPython's: as the GIL, it is given
# up by whoever waits for anything, and taken back before he goes on; so what is said here of the GIL is true of it.
# Unlike the GIL it is left while the application's own code runs, and no two servers share one.
#
# On other builds all of this is nothing: the types have no size and the calls no code.

from cpython.object cimport PyObject

cdef extern from *:
    """
    #ifdef Py_GIL_DISABLED
    #define FREE_THREADED 1
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
    #else
    #define FREE_THREADED 0
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
