"""FastWSGI: a strict, fast WSGI server.

`fastwsgi module:name` on a command line, or `fastwsgi.run(app)` in a program. Every compiled module
imports this package first, so it imports nothing itself.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastwsgi.earlier import server

__all__ = ["__version__", "run", "server"]

__version__ = "0.1.0"


def run(
    wsgi_app: object,
    host: str | None = None,
    port: int | None = None,
    loglevel: str | int | None = None,
    workers: int | None = None,
    **settings: object,
) -> None:
    """Serve `wsgi_app`, an application or its name as on a command line, until told to stop.

    Without `host` and `port` the server listens on 0.0.0.0:5000, or where `bind` among the settings
    says. `settings` are those of a configuration file, and `config` names such a file. Returns when
    the server was told to stop; raises fastwsgi.errors.ConfigError when it cannot start. To be
    called from the main thread, as the server takes the signals of the process.
    """
    # Here and not above: the server is a floor above what imports this package.
    from fastwsgi.earlier import server  # noqa: PLC0415
    from fastwsgi.process.program import run_application  # noqa: PLC0415

    words = {"host": host, "port": port, "loglevel": loglevel, "workers": workers, **settings}
    given = {name: value for name, value in words.items() if value is not None}
    run_application(wsgi_app, {**server.words(), **given}, server.warnings())


def __getattr__(name: str) -> object:
    """`server`, whose attributes `run` takes, as the earlier project of this name has it."""
    if name == "server":
        from fastwsgi.earlier import server  # noqa: PLC0415

        return server
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
