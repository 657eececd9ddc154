"""An application call that lasts exactly as long as a test wants: FIFOs instead of times."""

import os
from pathlib import Path

from tests.support.server import ServerProcess

REQUEST = "GET {} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


class HeldRequest:
    """A request whose application call has begun, and returns after `release`.

    The application opens the FIFO `started` in `folder` for writing, then `hold` for reading.
    """

    def __init__(self, server: ServerProcess, folder: Path, path: str = "/hold") -> None:
        self.hold = folder / "hold"
        for fifo in (self.hold, folder / "started"):
            if not fifo.exists():
                os.mkfifo(fifo)
        self.client = server.connect()
        self.client.sendall(REQUEST.format(path).encode())
        os.close(os.open(folder / "started", os.O_RDONLY))

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
