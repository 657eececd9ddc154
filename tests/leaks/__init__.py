"""Nothing is left of a request, of whatever shape: counted exactly, in an interpreter that serves one shape alone.

The server's reactor and its clients share a thread, so between two windows of requests there is a moment at which
nothing is under way, and everything that is allocated can be compared. The short form is a test; `make leaks` has a
million requests of each shape.
"""
