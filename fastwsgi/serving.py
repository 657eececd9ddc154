"""A server: reactors, what listens on them, and how all of that ends.

The first reactor runs in the thread that calls `Server.run`; it has the signals, the sweeps and what
else there is one of. Where there are several, each of the others has a thread, and listens on the same
sockets.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from fastwsgi._elsewhere import Elsewhere
from fastwsgi._entrance import Entrance
from fastwsgi._environ import EnvironBuilder
from fastwsgi._http1 import Http1
from fastwsgi.net.listener import Factory, Listener
from fastwsgi.net.reactor import Reactor
from fastwsgi.observe.reports import Reports

if TYPE_CHECKING:
    from fastwsgi.net.proxy_protocol import ProxyProtocol
    from fastwsgi.net.tls import Endpoint


class Server:
    """One worker's server: a reactor, its listeners and their connections.

    `connections` bounds how many connections are open at once.
    """

    def __init__(self, reactor: Reactor, connections: int) -> None:
        self.reactor = reactor
        self._limit = connections
        self._listeners: list[Listener] = []
        self._draining = False
        self._on_quiet: Callable[[], object] | None = None
        self.elsewhere: Elsewhere | None = None
        self._beside: tuple[Server, ...] = ()
        self._abreast: tuple[Abreast, ...] = ()
        self._preambles: ProxyProtocol | None = None
        self._endpoint: Endpoint | None = None
        self._reports: Reports | None = None

    @property
    def requests(self) -> int:
        """Requests dispatched so far."""
        return self._http.requests + sum(other.server.requests for other in self._abreast)

    @property
    def connections(self) -> int:
        """Connections open now."""
        return self._open + sum(other.server.connections for other in self._abreast)

    @property
    def _open(self) -> int:
        """Those of its own reactor."""
        begun: int = self._http.connections
        return begun if self._preambles is None else begun + len(self._preambles)

    def run(self) -> None:
        """Serve until `stop`, or until a `drain` is complete. Raises what another reactor ended with."""
        for other in self._abreast:
            other.start()
        self.reactor.run()
        if self._draining:
            self._finish()
        for other in self._abreast:
            other.end()

    def announce(self) -> None:
        """Serve on, but say that the server ends: on every answer, and to whoever asks for its health."""
        for server in (self, *self._beside):
            server._http.announce()
        for other in self._abreast:
            other.server.announce()

    def say_end(self) -> None:
        """Serve on, but announce on every answer the end of its connection."""
        self._http.say_end()
        for other in self._abreast:
            other.server.say_end()

    def drain(self, on_quiet: Callable[[], object] | None = None) -> None:
        """Take what is queued, answer what is under way, then let `run` return. Safe in a signal handler.

        `on_quiet()` is called when nothing is left in the queues of the listening sockets.
        """
        if on_quiet is not None and self._abreast:
            on_quiet = Last(1 + len(self._abreast), on_quiet)
        self._draining = True
        self._on_quiet = on_quiet
        self.reactor.stop()
        for other in self._abreast:
            other.server.drain(on_quiet)

    def stop(self) -> None:
        """Let `run` return at once. Safe in a signal handler."""
        self._draining = False
        self.reactor.stop()
        for other in self._abreast:
            other.server.stop()

    def close(self) -> None:
        """Close the connections and the reactor, but not the listening sockets."""
        for server in (self, *self._beside):
            server._close_connections()
        for other in self._abreast:
            other.server.close()
        if self.elsewhere is not None:
            self.elsewhere.close()
        if self._reports is not None:
            self._reports.sweep()
        self.reactor.close()

    def run_abreast(self, server: Server) -> None:
        """Let `server`, on a reactor and thread of its own, begin and end with this one."""
        self._abreast += (Abreast(self, server),)

    def run_beside(self, server: Server) -> None:
        """Let `server`, on the same reactor, end with this one."""
        self._beside += (server,)

    def speak(self, http: Http1) -> None:
        """Serve connections by `http` from now on."""
        self._http = http
        self.reactor.every_second(lambda: http.sweep(self.reactor.moment))
        self.reactor.every_wake(http.take_returned)

    def report(self, reports: Reports) -> None:
        """Let `reports` say once a second, and in the end, what it did not say at once."""
        self._reports = reports
        self.reactor.every_second(reports.sweep)

    def expect_proxies(self, preambles: ProxyProtocol) -> None:
        """Let connections of the listeners that follow begin with a PROXY header."""
        self._preambles = preambles

    def speak_tls(self, endpoint: Endpoint) -> None:
        """Let connections begin with the handshake of `endpoint`."""
        self._endpoint = endpoint

    def run_elsewhere(self, dispatcher: Elsewhere) -> None:
        """Let `dispatcher`, which runs the application in threads or greenlets, see to its bounds."""
        self.elsewhere = dispatcher
        self.reactor.every_second(dispatcher.sweep)

    def listen(self, sock: socket.socket, environs: EnvironBuilder, **how: Any) -> None:
        """Accept from `sock`; see `Listener` for `how`."""
        entrance = Entrance(self._http, environs, self._endpoint, self._limit, self.adjust)
        factory: Factory = entrance.admit
        if self._preambles is not None:
            factory = partial(self._preambles.accept, entrance.connect, entrance.refuse)
        self._listeners.append(
            Listener(
                sock,
                self.reactor,
                factory,
                on_starved=self._await_end,
                greet=entrance.greet,
                **how,
            )
        )

    def adjust(self) -> None:
        """Accept, or rest where the worker is full; called when the number of connections has changed.

        Where all listeners accept, a connection that ends changes nothing.
        """
        full = self._open >= self._limit
        self._await_end(full)
        for listener in self._listeners:
            if full:
                listener.pause()
            else:
                listener.resume()

    def _await_end(self, wanted: bool = True) -> None:
        """Have `adjust` called when a connection ends; while draining it is called after each turn."""
        self._http.on_change = self.adjust if wanted and not self._draining else None

    def _close_connections(self) -> None:
        for listener in self._listeners:
            listener.close()
        if self._preambles is not None:
            self._preambles.close()
        self._http.close()

    def _drain_connections(self) -> None:
        self._draining = True
        self._http.drain()
        for listener in self._listeners:
            listener.drain()
        if self._preambles is not None:
            self._preambles.drain()

    def _finish(self) -> None:
        servers = (self, *self._beside)
        for server in servers:
            server._drain_connections()
        listeners = [listener for server in servers for listener in server._listeners]
        # Idle connections are let go in a second, and so is the next time that somebody looks.
        self.reactor.sweep()
        while self._draining:
            for server in servers:
                server.adjust()
            if self._on_quiet is not None and all(listener.stopped for listener in listeners):
                self._on_quiet()
                self._on_quiet = None
            if any(server._open for server in servers) or any(map(Abreast.is_alive, self._abreast)):
                self.reactor.turn()
            elif not any(listener.paused for listener in listeners):
                break


class Abreast(threading.Thread):
    """The thread of a server that runs abreast of the first, on a reactor of its own."""

    def __init__(self, first: Server, server: Server) -> None:
        super().__init__(name="fastwsgi-reactor", daemon=True)
        self.server = server
        self._first = first
        self._error: BaseException | None = None

    def run(self) -> None:
        """Serve; what goes wrong ends all of them."""
        try:
            self.server.run()
        except BaseException as error:
            self._error = error
            self._first.stop()
        self._first.reactor.wake()

    def end(self) -> None:
        """Wait for its end. Raises what it ended with."""
        self.join()
        if self._error is not None:
            raise self._error


class Last:
    """Calls `action` at the last of `count` calls, which may come in any thread."""

    def __init__(self, count: int, action: Callable[[], object]) -> None:
        self._left = count
        self._action = action
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last:
            self._action()
