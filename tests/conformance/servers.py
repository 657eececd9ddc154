"""The compared servers, started as the benchmark starts them, each with one worker and one thread."""

from collections.abc import Mapping
from pathlib import Path

from bench.programs import ROOT, Programs, default_programs, printed
from bench.running import Running, free_port
from bench.servers import ServerError, find

APPLICATION = "tests.conformance.application"
KNOWN_TO_GUNICORN = "import gunicorn.config as c; print(*c.make_settings())"
LENIENT = {"forwarded_allow_ips": ""}  # how those are who believe nobody


class Column:
    """One server of the table: what it can be asked, and how it is started."""

    def __init__(self, name: str, tls: str = "", programs: Programs | None = None) -> None:
        self.name = name
        self._tls = tls
        self._programs = programs or default_programs()
        self.version = ""
        self.absence = ""
        self._settings: set[str] | None = set()

    def prepare(self) -> None:
        """Finds out its version, or why there is none."""
        try:
            self.version = self._programs.version(find(self.name))
            if self.is_gunicorn:
                self._settings = set(
                    printed(self._programs.peers, KNOWN_TO_GUNICORN, "none").split()
                )
        except ServerError as error:
            self.absence = str(error)
        if self.name == "fastwsgi":
            self._settings = None

    @property
    def is_gunicorn(self) -> bool:
        return self.name.startswith("gunicorn")

    def can_be_asked(self, settings: Mapping[str, int | str], transport: str) -> bool:
        """Whether it has these settings, and that transport."""
        if transport == "tls":
            return bool(self._tls) and not settings
        if self._settings is None or settings == LENIENT:
            return True
        return set(settings) <= self._settings

    def start(self, settings: Mapping[str, int | str], transport: str, folder: Path) -> Running:
        """Starts it. Raises ServerError."""
        port = free_port()
        row = find(self._tls if transport == "tls" else self.name)
        command = self._programs.command(row, port, APPLICATION)
        if transport == "tls" and not self._programs.certificate.exists():
            self._programs.make_certificate()
        if settings and (self.is_gunicorn or self.name == "fastwsgi"):
            file = folder / "settings.py"
            file.write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()))
            command += ["--config", str(file)]
            if "keepalive" in settings:  # the command line has one, and goes before the file
                command += ["--keep-alive", str(settings["keepalive"])]
        return Running(self.name, command, port, environment={"PYTHONPATH": str(ROOT)})


def columns() -> list[Column]:
    """Every server of the table, our own first."""
    return [
        Column("fastwsgi", tls="fastwsgi-tls"),
        Column("gunicorn-gthread", tls="gunicorn-threads-tls"),
        Column("waitress"),
        Column("granian", tls="granian-tls"),
        Column("cheroot"),
        Column("uwsgi"),
        Column("bjoern"),
    ]
