"""Master and workers under the names that gunicorn's hooks know.

Those are the attributes of `gunicorn.arbiter.Arbiter` and `gunicorn.workers.base.Worker`.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fastwsgi.config.settings import Settings
from fastwsgi.observe.logger import Logger
from fastwsgi.process import hooks
from fastwsgi.process.application import Application
from fastwsgi.process.scoreboard import Slot, State

if TYPE_CHECKING:
    from fastwsgi.process.child import Child
    from fastwsgi.process.generation import Generation
    from fastwsgi.process.worker import Worker
    from fastwsgi.serving import Server


class ServerFace:
    """What a hook may ask of the master."""

    settings: Settings
    generation: Generation
    children: dict[int, Child]
    log: Logger
    pid: int

    @property
    def cfg(self) -> Settings:
        return self.settings

    @property
    def app(self) -> Application:
        return self.generation.app

    @property
    def WORKERS(self) -> dict[int, Worker]:  # noqa: N802
        """All workers by their pid, those that are leaving too."""
        return {child.pid: child.worker for child in self.children.values()}

    @property
    def LISTENERS(self) -> list[ListenerFace]:  # noqa: N802
        """The listening sockets of the application, one for each address."""
        addresses = self.generation.sockets.addresses[: self.generation.public]
        return [ListenerFace(address.first, str(address)) for address in addresses]

    @property
    def num_workers(self) -> int:
        """How many workers there should be. Whoever sets it is told of, as by TTIN and TTOU."""
        return self.generation.count

    @num_workers.setter
    def num_workers(self, count: int) -> None:
        before, self.generation.count = self.generation.count, count
        hooks.call(self.settings, "nworkers_changed", self, count, before)


class ListenerFace:
    """A listening socket that shows itself as an address."""

    def __init__(self, sock: socket.socket, name: str) -> None:
        self.sock = sock
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)

    def __str__(self) -> str:
        return self._name


class WorkerFace:
    """What a hook may ask of a worker, in the worker or in the master."""

    settings: Settings
    slot: Slot
    log: Logger
    app: Application
    wsgi: Callable[..., Any]
    sockets: Sequence[socket.socket]
    server: Server
    master: int
    pid: int | str
    age: int

    @property
    def cfg(self) -> Settings:
        return self.settings

    @property
    def ppid(self) -> int:
        return self.master

    @property
    def nr(self) -> int:
        """How many requests it has begun; the master knows it up to a second late."""
        return self.server.requests if "server" in vars(self) else self.slot.requests

    @property
    def booted(self) -> bool:
        return self.slot.state is not State.BOOTING

    @property
    def alive(self) -> bool:
        """Whether it will stay. Set to False in the worker, it asks for a successor and leaves."""
        return self.slot.state in (State.BOOTING, State.READY)

    @alive.setter
    def alive(self, alive: bool) -> None:
        if not alive:
            self.wear_out()

    @property
    def tmp(self) -> Heartbeat:
        return Heartbeat(self.slot)

    def notify(self) -> None:
        """Show life, so that `timeout` begins anew."""
        self.tmp.notify()

    def wear_out(self) -> None:
        """Ask to be replaced: max_requests is reached, something is stuck, or somebody wants it so.

        The master sends TERM once a successor is ready.
        """
        if self.slot.state is State.READY:
            self.slot.state = State.WORN

    def __str__(self) -> str:
        return f"<Worker {self.pid}>"


class Heartbeat:
    """A worker's signs of life, which are a file in gunicorn."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot

    def notify(self) -> None:
        self._slot.pulse[0] = time.monotonic()

    def last_update(self) -> float:
        """Of the last one, in seconds of the monotonic clock."""
        return self._slot.heartbeat
