"""Stepped servers for the corpus: one per transport and set of settings, as long as it behaves."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.loop import SteppedServer, Transport
from tests.support.models import Model
from tests.wire import apps
from tests.wire.corpus import Case
from tests.wire.recorder import Recorder

ERROR_LOG = logging.getLogger("gunicorn.error")


class LogTap(logging.Handler):
    """Keeps the messages of the error log."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@dataclass
class Bench:
    """A stepped server with its recorder and its error log, good for many cases."""

    server: SteppedServer
    recorder: Recorder
    log: LogTap = field(default_factory=LogTap)

    def reset(self, case: Case) -> None:
        self.recorder.calls.clear()
        self.recorder.target = getattr(apps, case.app)
        if case.logged or case.records is not None:
            self.server.advance(2)  # lines that repeat those of a second ago may be left out
        ERROR_LOG.addHandler(self.log)  # which each test finds as the process has it
        self.log.messages.clear()


class Benches:
    """Keeps benches for as many tests as they last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.open: dict[tuple[object, ...], Bench] = {}

    def get(self, transport: Transport, model: Model, settings: dict[str, int | str]) -> Bench:
        key = (transport, model.name, *sorted(settings.items()))
        if key not in self.open:
            recorder = Recorder(apps.echo)
            server = SteppedServer(recorder, self.folder, transport, **model.settings, **settings)
            bench = Bench(server, recorder)
            self.open[key] = bench
        return self.open[key]

    def discard(self, bench: Bench) -> None:
        """Ends a bench whose state a failure may have spoilt."""
        self.open = {key: kept for key, kept in self.open.items() if kept is not bench}
        ERROR_LOG.removeHandler(bench.log)
        bench.server.close()

    def close(self) -> None:
        for bench in list(self.open.values()):
            self.discard(bench)
