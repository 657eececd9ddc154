"""What hooks and loggers ask of gunicorn's Config object beside the settings themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from fastwsgi.net.listener import parse_address

if TYPE_CHECKING:
    from fastwsgi.config.setting import Setting


class Value(NamedTuple):
    """One of `cfg.settings`."""

    name: str
    section: str
    value: object

    def get(self) -> object:
        return self.value


class NamedAsGunicorn:
    """Properties of `server.cfg` and `worker.cfg` by gunicorn's names."""

    ROWS: ClassVar[Mapping[str, Setting[object]]]
    bind: tuple[str, ...]
    raw_env: tuple[str, ...]
    certfile: str | None
    keyfile: str | None
    user: int
    group: int

    @property
    def address(self) -> list[tuple[str, int] | str | int]:
        """What to listen on: pairs of host and port, paths of unix sockets, descriptors."""
        return [parse_address(text) for text in self.bind]

    @property
    def env(self) -> dict[str, str]:
        """The variables of `raw_env`."""
        return {name: value for name, _, value in (pair.partition("=") for pair in self.raw_env)}

    @property
    def is_ssl(self) -> bool:
        return bool(self.certfile or self.keyfile)

    @property
    def uid(self) -> int:
        return self.user

    @property
    def gid(self) -> int:
        return self.group

    @property
    def settings(self) -> dict[str, Value]:
        """All of them by name, each with its `value`."""
        return {
            name: Value(name, row.section, getattr(self, name)) for name, row in self.ROWS.items()
        }
