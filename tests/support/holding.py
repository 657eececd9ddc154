"""An application call that lasts exactly as long as a test wants: FIFOs instead of times."""

import os
from pathlib import Path

from tests.support.server import ServerProcess

REQUEST = "GET {} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


class HeldRequest:
    """A request whose application call has begun, and returns after `release`.

    The application opens the FIFO `started` in `folder` for writing, then `hold` for reading; both with `name`
    behind them, so that several requests are held at once.
    """

    def __init__(
        self, server: ServerProcess, folder: Path, path: str = "/hold", *, name: str = ""
    ) -> None:
        self.hold = folder / f"hold{name}"
        started = folder / f"started{name}"
        for fifo in (self.hold, started):
            if not fifo.exists():
                os.mkfifo(fifo)
        self.client = server.connect()
        target = f"{path}?{name}" if name else path
        self.client.sendall(REQUEST.format(target).encode())
        os.close(os.open(started, os.O_RDONLY))

    def release(self) -> None:
        os.close(os.open(self.hold, os.O_WRONLY))

    def answer(self) -> bytes:
        """All that comes until the end; empty where the connection was reset."""
        received = b""
        with self.client:
            try:
                while data := self.client.recv(65536):
                    received += data
            except ConnectionResetError:
                return b""
        return received
