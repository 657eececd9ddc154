"""What reliability means, as scenarios against a real server: S1 to S22 and S25, each a module with its number.

Reloads, upgrades and signals; deaths of workers and of the master; clocks, disks and containers; slow
clients and hanging applications. A scenario starts a server under one execution model, drives it over
sockets and gives figures, each beside its limit. The short forms are tests; `python -m tests.chaos` runs
the long ones.
"""
