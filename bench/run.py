"""One run of a measuring sub-command: what all of them share.

`conduct` makes the record and the `Run`, has the sub-command measure, and prints its tables whatever
happened: Ctrl-C and SIGTERM leave what was measured before, on disk too, and no process.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from bench import machine, programs, servers
from bench.answer import MalformedAnswerError
from bench.load import LoadError, Outcome, generators
from bench.machine import Cores
from bench.probe import ProbeError, probe
from bench.programs import BUILT, Programs
from bench.record import Record, Value
from bench.running import START, Running, free_port, no_orphans, pinned
from bench.servers import Server, ServerError
from bench.tables import Chart, Table, markdown_table, text_table
from bench.workloads import Workload

# What may be wrong with a server, a tool or a load: a row that says so.
FAULTS = (ServerError, ProbeError, LoadError, MalformedAnswerError, OSError)
INTERRUPTED = 130  # the exit code after Ctrl-C, as the shell has it


class Command(Protocol):
    """What a module of `bench.commands` that measures has."""

    ABOUT: str
    """One line for `--help`."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def measure(self, run: Run) -> None:
        """Fill `run.record`; a KeyboardInterrupt leaves in it what was measured before."""

    def tables(self, record: Record) -> list[Table]: ...

    def charts(self, record: Record) -> list[Chart]: ...

    def faults(self, record: Record) -> list[str]:
        """What is not as it must be: a line each, and exit code 1."""


@dataclass
class Run:
    """What a sub-command measures with."""

    options: argparse.Namespace
    record: Record
    programs: Programs
    cores: Cores = field(default_factory=Cores.here)
    steps: int = 0
    """How many there will be, for the progress that is shown; 0: not known."""
    done: int = 0
    begun: float = field(default_factory=time.monotonic)

    def say(self, line: str) -> None:
        """Progress, to standard error."""
        print(line, file=sys.stderr, flush=True)

    def step(self, line: str) -> None:
        """Says what was done, how much of all that is, and how long the rest may take."""
        self.done += 1
        left = (time.monotonic() - self.begun) / self.done * (self.steps - self.done)
        of = f"[{self.done}/{self.steps}, {duration(left)} left] " if self.steps else ""
        self.say(of + line)

    @contextmanager
    def attempt(self, server: str, workload: str = "") -> Iterator[None]:
        """What goes wrong with the server inside becomes a row that says so."""
        try:
            yield
        except FAULTS as error:
            self.record.fail(server, workload, str(error))
            self.say(f"{server}{workload and ' ' + workload}: {error}")

    def ready(self, chosen: Sequence[Server]) -> list[Server]:
        """Those of them that can be started here; the versions go into the record."""
        found = []
        for server in chosen:
            with self.attempt(server.name):
                self.record.versions[server.name] = self.programs.ready(server)
                found.append(server)
        return found

    def start(
        self,
        server: Server,
        module: str = "apps",
        *,
        workers: int = 1,
        cpus: Sequence[int] | None = None,
        within: Sequence[str] = (),
        environment: Mapping[str, str] = MappingProxyType({}),
        patience: float = START,
    ) -> Running:
        """The server on a free port, pinned to its cores, as arguments of the command `within`.

        Raises ServerError.
        """
        port = free_port()
        command = [*within, *self.programs.command(server, port, module, workers)]
        return Running(
            server.name,
            command,
            port,
            self.cores.server if cpus is None else cpus,
            environment=environment,
            patience=patience,
        )

    def put_load(
        self, server: Running, workload: Workload, seconds: int, cores: Cores | None = None
    ) -> Outcome:
        """The workload by the generator that was chosen. Raises LoadError."""
        cpus = (cores or self.cores).load
        connections = workload.connections or self.options.connections
        with pinned(cpus):
            generate = generators.TABLE[self.options.load]
            return generate(server.port, workload, connections, seconds, cpus or (0,))

    def figures_of(
        self, server: Running, workload: Workload, cores: Cores | None = None
    ) -> dict[str, Value]:
        """Verifies the server's answers, then measures it. Raises any of FAULTS."""
        server.check()
        finding = probe(server.port, workload)
        before, said = server.cpu_seconds(), server.said()
        outcome = self.put_load(server, workload, self.options.seconds, cores)
        used = server.cpu_seconds() - before
        server.check()
        if used <= 0 or outcome.requests == 0:
            raise LoadError(f"{outcome.requests} requests answered")
        return {
            "requests": outcome.requests,
            "seconds": outcome.seconds,
            "cpu_seconds": used,
            "p50": outcome.p50,
            "p99": outcome.p99,
            "errors": outcome.errors,
            "memory": server.memory(),
            "said": server.said() - said,
            "keeps_alive": finding.keeps_alive,
            "withholds": finding.withholds,
            "attends": finding.attends,
        }


def duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def count(text: str) -> int:
    """An argument that is a number, at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def add_servers(
    parser: argparse.ArgumentParser, names: Sequence[str], default: Sequence[str] | None = None
) -> None:
    """--servers, of these names."""
    parser.add_argument(
        "--servers",
        nargs="+",
        choices=names,
        default=list(default or names),
        metavar="NAME",
        help=", ".join(names),
    )


def add_load(parser: argparse.ArgumentParser, seconds: int) -> None:
    """--seconds, --connections and --load."""
    parser.add_argument(
        "--seconds",
        type=count,
        default=seconds,
        metavar="S",
        help="for each measurement (%(default)s)",
    )
    parser.add_argument(
        "--connections",
        type=count,
        default=64,
        metavar="N",
        help="where the workload does not say (%(default)s)",
    )
    parser.add_argument(
        "--load",
        choices=tuple(generators.TABLE),
        default=generators.best_here(),
        help="wrk where it is installed, else the bundled one (python)",
    )


def add_common(parser: argparse.ArgumentParser, name: str) -> None:
    """What every measuring sub-command takes."""
    parser.add_argument(
        "--peers", type=Path, metavar="DIR", help="the peers' environment (.venv-bench)"
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        default=BUILT / f"{name}.json",
        help="where every measurement is written (%(default)s)",
    )
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")


def new_record(name: str, options: argparse.Namespace) -> Record:
    """An empty record of what was asked for."""
    left_out = {"command", "json", "markdown", "peers", "name"}
    asked: dict[str, Any] = {k: v for k, v in vars(options).items() if k not in left_out}
    return Record(name, asked, facts=machine.facts(), path=options.json)


def conduct(name: str, command: Command, options: argparse.Namespace) -> int:
    """Measures, prints what there is, and returns the exit code."""
    record = new_record(name, options)
    run = Run(options, record, programs.default_programs(options.peers))
    try:
        with no_orphans():
            command.measure(run)
    except KeyboardInterrupt:
        record.interrupted = True
    record.save()
    print(rendered(command, record, markdown=options.markdown), end="")
    if record.interrupted:
        return INTERRUPTED
    faults = command.faults(record)
    for fault in faults:
        print(fault, file=sys.stderr)
    return int(bool(faults))


def rendered(command: Command, record: Record, *, markdown: bool) -> str:
    """The facts, then each table and what it says."""
    lines = [f"{key}: {value}" for key, value in record.facts.items()]
    if known := [f"{name} {version}" for name, version in record.versions.items() if version]:
        lines.append("versions: " + ", ".join(known))
    if record.interrupted:
        lines.append("INTERRUPTED: what had been measured by then")
    if markdown:
        lines = [f"- {line}" for line in lines]
    for table in command.tables(record):
        lines += ["", f"{'### ' if markdown else ''}{table.title}", ""]
        lines += markdown_table(table) if markdown else text_table(table)
        if table.note:
            lines += ["", table.note]
    return "\n".join(lines) + "\n"


def chosen_servers(run: Run) -> list[Server]:
    """The rows of the table that were asked for, in its order."""
    return [server for server in servers.TABLE if server.name in run.options.servers]
