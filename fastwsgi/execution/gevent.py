"""What gevent gives to a worker: patches, greenlets, and waiting that lets other greenlets run.

How it works: our reactor stays as it is and runs in the main greenlet. Its epoll descriptor becomes readable when
something is ready in it, so gevent's hub waits for that one descriptor on behalf of all connections. While the reactor
waits, the hub runs the greenlets of the requests.

This is the only module that imports gevent. Importing it raises ConfigError where that cannot be done.
"""

from __future__ import annotations

from collections.abc import Callable
from select import POLLIN
from typing import Any, Final

from fastwsgi._epoll import Poller
from fastwsgi.errors import ConfigError, RequestTimeout

try:
    import gevent
    from gevent import monkey
    from gevent.hub import Waiter
    from gevent.socket import wait_read, wait_write
except ImportError as error:
    raise ConfigError(
        f"the worker class gevent is not there: {error}; install it with pip install 'fastwsgi[gevent]'"
    ) from None

READABLE: Final = 1  # of a watcher, libev's EV_READ

Poll = Callable[[float | None], Poller]


class RequestGreenlet(gevent.Greenlet):  # type: ignore[type-arg]
    """A greenlet that does not note where it was spawned: by the reactor, always, and noting it costs much."""

    spawning_stack_limit = 0


Spawn = Callable[[Callable[..., object], object, object], RequestGreenlet]


def spawner() -> Spawn:
    """Return what spawns a greenlet that will call the first argument with the others.

    A greenlet shares the `spawn_tree_locals` of the one that spawned it. The main greenlet has none,
    so each request's are its own; but to be asked for what is not there costs an exception. So it
    has some, new ones each time, as long as it spawns.
    """
    present = vars(gevent.getcurrent())
    own = "spawn_tree_locals" in present

    def spawn(run: Callable[..., object], first: object, second: object) -> RequestGreenlet:
        if not own:
            present["spawn_tree_locals"] = {}
        greenlet = RequestGreenlet(run, first, second)
        if not own:
            del present["spawn_tree_locals"]
        greenlet.start()
        return greenlet

    return spawn


def patch() -> None:
    """Make the waiting of the standard library cooperative, and the hub this process's own.

    To be called before the application is imported; in a process forked from one that was patched, again.
    """
    monkey.patch_all()
    gevent.reinit()


def cooperative_poll(poller: Poller) -> Poll:
    """Return `poller.wait` as a function that lets greenlets run until something is ready.

    Its argument is the most seconds to wait, or None. It belongs to the present thread.
    """
    hub = gevent.get_hub()
    ready = hub.loop.io(poller.fd, READABLE)

    def poll(timeout: float | None) -> Poller:
        waiter: Waiter[None] = Waiter(hub)
        timer = hub.loop.timer(poller.patience(timeout))
        ready.start(waiter.switch, None)
        timer.start(waiter.switch, None)
        try:
            waiter.get()
        finally:
            # Both, at once: a watcher that runs while nobody waits for it would spin.
            ready.stop()
            timer.close()
        return poller.wait(0)

    return poll


def wait_for(fd: int, events: int, milliseconds: int) -> bool:
    """Suspend the greenlet until `fd` is ready for `events`, POLLIN or POLLOUT; False where it is not in time."""
    wait = wait_read if events & POLLIN else wait_write
    try:
        wait(fd, milliseconds / 1000)
    except TimeoutError:
        return False
    return True


def end(greenlet: gevent.Greenlet[..., Any]) -> None:
    """Raise RequestTimeout where `greenlet` waits, as soon as the present one waits, too."""
    greenlet.kill(RequestTimeout, block=False)
