"""A client that forgives nothing, for what must be unnoticeable."""

import http.client
import threading
from collections.abc import Callable
from functools import partial

from tests.support.server import PATIENCE, ServerProcess


class Visitor:
    """A strict client: a request after the other, and every one must be answered with 200.

    Keeps its connection as a browser does: only a connection that the server said it would close is
    opened anew. `connect` makes it, where it is not plain HTTP.
    """

    def __init__(
        self,
        server: ServerProcess,
        connect: Callable[[], http.client.HTTPConnection] | None = None,
    ) -> None:
        self.answers: list[bytes] = []
        self.failures: list[BaseException] = []
        self._connect = connect or partial(
            http.client.HTTPConnection, server.host, server.port, timeout=PATIENCE
        )
        self._over = threading.Event()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._visit)
        self._thread.start()

    def _visit(self) -> None:
        client = self._connect()
        try:
            while not self._over.is_set():
                client.request("GET", "/version")
                response = client.getresponse()
                with self._changed:
                    self.answers.append(response.read())
                    self._changed.notify_all()
                assert response.status == 200
        except BaseException as error:
            self.failures.append(error)
        finally:
            client.close()

    def wait_for(self, answer: bytes) -> None:
        """Wait until a request that begins now or later gives this answer."""
        with self._changed:
            start = len(self.answers)
            assert self._changed.wait_for(lambda: answer in self.answers[start:], PATIENCE)

    def leave(self) -> None:
        self._over.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
