"""Functions of a configuration file that are called when something happens.

A row without a flag is for the file only. What none is set for costs nothing.
"""

from __future__ import annotations

from typing import ClassVar

from fastwsgi.config.functions import function_of, function_of_some
from fastwsgi.config.setting import Setting


class Hooks:
    """The rows of this section."""

    SECTION: ClassVar = "Server hooks"

    on_starting = Setting(
        function_of("server"),
        None,
        text="In the master, when it starts: the pidfile is there, the sockets are not.",
    )
    on_reload = Setting(
        function_of("server"),
        None,
        text="In the master, at HUP: settings and sockets are the new ones, no worker is.",
    )
    when_ready = Setting(
        function_of("server"),
        None,
        text="In the master, when it listens, before the first worker is forked.",
    )
    pre_fork = Setting(
        function_of("server", "worker"),
        None,
        text="In the master, before a worker is forked.",
    )
    post_fork = Setting(
        function_of("server", "worker"),
        None,
        text="In a worker, as the first thing it does: it has all privileges and no application.",
    )
    post_worker_init = Setting(
        function_of("worker"),
        None,
        text="In a worker, when it has loaded the application, before the first request.",
    )
    worker_int = Setting(
        function_of("worker"),
        None,
        text="In a worker that leaves at once, because of INT, QUIT, or a changed file.",
    )
    worker_abort = Setting(
        function_of("worker"),
        None,
        text="In a worker that was silent for longer than timeout, or got ABRT.",
    )
    pre_exec = Setting(
        function_of("server"),
        None,
        text="At USR2, in the process that will be the new master.",
    )
    pre_request = Setting(
        function_of("worker", "req"),
        None,
        text="In a worker, before the application is called, in the thread or greenlet that will"
        " call it.",
    )
    post_request = Setting(
        function_of_some("worker", "req", "environ", "resp", at_least=2),
        None,
        text="In a worker, after a response is over, however it ended.",
    )
    child_exit = Setting(
        function_of("server", "worker"),
        None,
        text="In the master, after a worker has gone.",
    )
    worker_exit = Setting(
        function_of("server", "worker"),
        None,
        text="In a worker, as the last thing it does.",
    )
    nworkers_changed = Setting(
        function_of("server", "new_value", "old_value"),
        None,
        text="In the master, whenever the number of workers is set; at the start the old one is None.",
    )
    on_exit = Setting(
        function_of("server"),
        None,
        text="In the master, as the last thing it does.",
    )
    ssl_context = Setting(
        function_of("config", "default_ssl_context_factory"),
        None,
        text="Makes the ssl.SSLContext, of the default one that the second argument makes when it is"
        " called.",
    )
