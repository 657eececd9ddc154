# The application in a greenlet for each request (gunicorn's gevent).

from fastwsgi._elsewhere cimport Elsewhere


cdef class Greenlets(Elsewhere):
    cdef object spawn                 # (callable, *args): the greenlet that will call it
    cdef object end                   # (greenlet)
    cdef set running                  # Runners, where there is a request_timeout
