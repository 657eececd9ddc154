"""`fastwsgi.server`: the object that programs of the earlier project of this name set attributes of.

    fastwsgi.server.backlog = 4096
    fastwsgi.run(app, "127.0.0.1", 8000)

The attributes are those of its version 0.0.9, with the values they had there. What was set goes below
the words that `fastwsgi.run` is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from fastwsgi.errors import ConfigError
from fastwsgi.process import program

# The words of fastwsgi.run for them.
SAME: Final[Mapping[str, str]] = {
    "host": "host",
    "port": "port",
    "backlog": "backlog",
    "loglevel": "loglevel",
    "num_workers": "workers",
    "add_header_server": "server_header",
    "max_content_length": "limit_request_body",
}


class Server:
    """One set of words. An attribute that nobody has set says nothing."""

    app: object = None
    host: str = program.RUN_HOST
    port: int = program.RUN_PORT
    backlog: int = 1024
    loglevel: int | str = 3
    num_workers: int = 1
    allow_keepalive: int | bool = 1
    add_header_date: int | bool = 1
    add_header_server: str = "fastwsgi"
    max_content_length: int | None = None
    max_chunk_size: int | None = None
    read_buffer_size: int | None = None
    tcp_nodelay: int = 0
    tcp_keepalive: int = 0
    tcp_send_buf_size: int = 0
    tcp_recv_buf_size: int = 0
    hook_sigint: int = 2
    nowait: int = 0

    def init(
        self,
        app: Callable[..., Any],
        host: str | None = None,
        port: int | None = None,
        loglevel: int | str | None = None,
        workers: int | None = None,
    ) -> int:
        """Note what `run` is to serve, and where. Returns 0."""
        said = {"host": host, "port": port, "loglevel": loglevel, "num_workers": workers}
        self.app = app
        vars(self).update({name: value for name, value in said.items() if value is not None})
        return 0

    def set_allow_keepalive(self, value: int | bool) -> None:
        """Say whether connections are kept after an answer."""
        self.allow_keepalive = value

    def run(self) -> int:
        """Serve until told to stop. Returns 0; raises ConfigError where the server cannot start."""
        program.run_application(self.app, self.words(), self.warnings())
        return 0

    def close(self) -> int:
        """Nothing: what `run` has opened is closed when it returns. Returns 0."""
        return 0

    def words(self) -> dict[str, object]:
        """What was set, in words of `fastwsgi.run`. ConfigError for `nowait`."""
        if self.nowait:
            raise ConfigError(
                "fastwsgi.server.nowait: the server has a loop of its own, which a program cannot"
                " turn; call fastwsgi.run last"
            )
        words = {
            ours: vars(self)[name]
            for name, ours in SAME.items()
            if vars(self).get(name) is not None
        }
        return words if self.allow_keepalive else {**words, "keepalive": 0}

    def warnings(self) -> list[str]:
        """Lines for the log, of what was set and changes nothing."""
        known = {*SAME, "app", "allow_keepalive", "nowait"}
        return [
            f"fastwsgi.server.{name} changes nothing here" for name in vars(self).keys() - known
        ]


# State of a module, which nothing else here has: that it is one for the whole program is its point.
server: Final = Server()
