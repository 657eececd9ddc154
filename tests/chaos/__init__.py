"""Slow clients, hanging applications and full disks against a real server: S9 to S15, each a module.

A scenario starts a server under one execution model, drives it over sockets and gives figures, each
beside its limit. The short forms are tests; `python -m tests.chaos` runs the long ones.
"""
