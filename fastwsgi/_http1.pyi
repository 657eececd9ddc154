from collections.abc import Callable, Container
from typing import Any, BinaryIO, final

from fastwsgi._body import BodyMemory
from fastwsgi._clock import Clock
from fastwsgi._exchange import Dispatcher, Exchange
from fastwsgi.errors import REASONS as REASONS
from fastwsgi.errors import REFUSALS as REFUSALS
from fastwsgi.errors import Refusal

LENIENCY: dict[str, int]
STATES: tuple[str, ...]
TRANSITIONS: dict[str, tuple[str, ...]]

@final
class Http1:
    requests: int
    connections: int
    draining: bool
    leaving: bool
    on_change: Callable[[], object] | None
    def __init__(
        self,
        *,
        reactor: Any,
        clock: Clock,
        dispatcher: Dispatcher,
        wait_for: Callable[[int, int, int], bool] | None,
        make_socket: Callable[[int], object],
        server_header: str,
        limit_request_line: int,
        limit_request_fields: int,
        limit_request_field_size: int,
        limit_request_head: int,
        limit_request_body: int,
        body_memory: BodyMemory,
        open_spool: Callable[[], BinaryIO],
        header_timeout: float,
        body_timeout: float,
        body_min_rate: int,
        request_streaming: bool,
        health_path: str,
        health_log: bool,
        send_timeout: float,
        keepalive: float,
        keepalive_requests: int,
        output_buffer_size: int,
        max_requests: int,
        heartbeat: memoryview[Any] | None,
        on_done: Callable[[Exchange], object] | None,
        on_refusal: Callable[[str, Refusal], object] | None,
        on_max_requests: Callable[[], object] | None,
        trusted_peers: Container[str],
        leniency: int,
        elder: Http1 | None = None,
    ) -> None: ...
    def take_returned(self) -> None: ...
    def sweep(self, moment: float) -> None: ...
    def say_end(self) -> None: ...
    def announce(self) -> None: ...
    def drain(self) -> None: ...
    def close(self) -> None: ...

@final
class Connection(Exchange):
    @property
    def state_name(self) -> str: ...
    def on_event(self, events: int, /) -> None: ...
