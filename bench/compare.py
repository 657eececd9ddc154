"""Measures fastwsgi against the physical limit and against other Python servers, in one run.

`python bench/compare.py` starts all servers on one core and puts load on them from the others, one
server at a time. In each round every workload goes to every server, and the order rotates, so
that a slow minute of the machine hits all alike. See bench/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import load
import servers
import workloads
import wrk
from load import LoadError, Outcome
from probe import ProbeError, probe
from report import Measurement, Report
from servers import Programs, Running, Server, ServerError, free_port, no_orphans, pinned
from workloads import Workload

WARM_UP = 1  # seconds of load on each started server that are not counted
LoadGenerator = Callable[[int, Workload, int, int, Sequence[int]], Outcome]


@dataclass(frozen=True)
class Cores:
    """Which cores the server and the load run on; empty means not pinned."""

    server: tuple[int, ...]
    load: tuple[int, ...]

    @classmethod
    def split(cls, available: Sequence[int]) -> Cores:
        """The first for the server, all others for the load; with a single core both share it."""
        first, *others = sorted(available)
        return cls((first,), tuple(others)) if others else cls((), ())

    def __str__(self) -> str:
        if not self.server:
            return "one core for server and load together: absolute figures mean little"
        return f"server on core {self.server[0]}, load on {', '.join(map(str, self.load))}"


@dataclass
class Comparison:
    """One run: what to measure, with what, and the report that it fills."""

    servers: Sequence[Server]
    workloads: Sequence[Workload]
    rounds: int
    seconds: int
    connections: int
    cores: Cores
    programs: Programs
    generate: LoadGenerator
    report: Report
    say: Callable[[str], None]

    def run(self) -> None:
        """Fills the report; a KeyboardInterrupt leaves in it what was measured before."""
        self.prepare()
        for number in range(self.rounds):
            with ExitStack() as stack:
                running = self.start_servers(number, stack)
                for place, workload in enumerate(self.workloads):
                    asked = [r for r in running if workload.includes(servers.find(r.name))]
                    for server in rotated(asked, number + place):
                        self.measure(number, server, workload)

    def prepare(self) -> None:
        for server in self.servers:
            try:
                self.report.versions[server.name] = self.programs.version(server)
                if server.name == "limit":
                    self.programs.compile_limit()
                if server.model == "tls":
                    self.programs.make_certificate()
            except ServerError as error:
                self.fail(server.name, "", str(error))

    def fail(self, server: str, workload: str, reason: str) -> None:
        self.report.failures[server, workload] = reason
        self.say(f"{server}{workload and ' ' + workload}: {reason}")

    def start_servers(self, number: int, stack: ExitStack) -> list[Running]:
        """Starts those that can be started; the others become failures."""
        running = []
        for server in self.servers:
            if self.report.failure(server.name, ""):
                continue
            self.say(f"round {number + 1} of {self.rounds}: starting {server.name}")
            try:
                port = free_port()
                command = self.programs.command(server, port)
                started = Running(server.name, command, port, self.cores.server)
                running.append(stack.enter_context(started))
                asked = (workload for workload in self.workloads if workload.includes(server))
                self.apply_load(started, next(asked), WARM_UP)
            except (ServerError, LoadError) as error:
                self.fail(server.name, "", str(error))
        return running

    def apply_load(self, server: Running, workload: Workload, seconds: int) -> Outcome:
        with pinned(self.cores.load):
            cpus = self.cores.load or (0,)
            return self.generate(server.port, workload, self.connections, seconds, cpus)

    def measure(self, number: int, server: Running, workload: Workload) -> None:
        """Verifies the server's answers, then measures it; what goes wrong becomes a failure."""
        if server.name == "limit" and not workload.fits_limit:
            self.report.failures[server.name, workload.name] = "knows only the hello answer"
        if self.report.failure(server.name, workload.name):
            return
        try:
            server.check()
            finding = probe(server.port, workload)
            if not finding.keeps_alive:
                self.report.closing.add((server.name, workload.name))
            if not finding.streams:
                self.report.withholding.add((server.name, workload.name))
            cpu_before = server.cpu_seconds()
            outcome = self.apply_load(server, workload, self.seconds)
            cpu_seconds = server.cpu_seconds() - cpu_before
            server.check()
        except (ServerError, ProbeError, LoadError) as error:
            self.fail(server.name, workload.name, str(error))
            return
        if cpu_seconds <= 0 or outcome.requests == 0:
            self.fail(server.name, workload.name, f"{outcome.requests} requests answered")
            return
        measurement = Measurement(
            round=number,
            server=server.name,
            workload=workload.name,
            requests=outcome.requests,
            seconds=outcome.seconds,
            cpu_seconds=cpu_seconds,
            p50=outcome.p50,
            p99=outcome.p99,
            errors=outcome.errors,
        )
        self.report.measurements.append(measurement)
        self.say(
            f"round {number + 1} of {self.rounds}: {workload.name} {server.name} "
            f"{measurement.rate:,.0f} req/s, {measurement.efficiency:,.0f} req/CPU-s"
        )


def rotated(running: Sequence[Running], steps: int) -> list[Running]:
    if not running:
        return []
    first = steps % len(running)
    return [*running[first:], *running[:first]]


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


def facts(options: argparse.Namespace, cores: Cores) -> dict[str, str]:
    return {
        "machine": f"{cpu_model()}, {len(os.sched_getaffinity(0))} cores, {cores}",
        "system": f"{platform.system()} {platform.release()}, "
        f"{platform.python_implementation()} {platform.python_version()}",
        "load": f"{options.load}, {options.connections} connections, "
        f"{options.rounds} rounds of {options.seconds} s",
        "figures": "medians of the rounds; ratios are of requests per server CPU-second (where the "
        "application sleeps, per second), paired by round (min-max)",
    }


def at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Compare fastwsgi with the physical limit and other Python servers.",
        epilog="Interrupted by Ctrl-C it reports what has been measured and ends with 130.",
    )
    parser.add_argument("--rounds", type=at_least_one, default=5, metavar="N")
    parser.add_argument(
        "--seconds", type=at_least_one, default=3, metavar="S", help="for each measurement (3)"
    )
    parser.add_argument("--connections", type=at_least_one, default=64, metavar="N")
    parser.add_argument(
        "--workloads",
        nargs="+",
        choices=workloads.NAMES,
        default=workloads.NAMES,
        metavar="NAME",
        help=", ".join(workloads.NAMES),
    )
    parser.add_argument(
        "--servers",
        nargs="+",
        choices=servers.NAMES,
        default=servers.NAMES,
        metavar="NAME",
        help=", ".join(servers.NAMES),
    )
    parser.add_argument(
        "--load", choices=("wrk", "python"), help="wrk where it is installed, else the bundled one"
    )
    parser.add_argument(
        "--peers", type=Path, metavar="DIR", help="the peers' virtual environment (.venv-bench)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement there")
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    options = parser.parse_args(arguments)
    options.load = options.load or ("wrk" if wrk.present() else "python")
    return options


def build(options: argparse.Namespace, programs: Programs) -> Comparison:
    """The comparison that the arguments ask for."""
    cores = Cores.split(tuple(os.sched_getaffinity(0)))
    asked = [workload for workload in workloads.TABLE if workload.name in options.workloads]
    chosen = [
        server
        for server in servers.TABLE
        if server.name in options.servers and any(workload.includes(server) for workload in asked)
    ]
    return Comparison(
        servers=chosen,
        workloads=asked,
        rounds=options.rounds,
        seconds=options.seconds,
        connections=options.connections,
        cores=cores,
        programs=programs,
        generate=wrk.run if options.load == "wrk" else load.run,
        report=Report(
            names=tuple(server.name for server in chosen),
            workloads=tuple(workload.name for workload in asked),
            connections=options.connections,
            facts=facts(options, cores),
        ),
        say=say,
    )


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    programs = servers.default_programs()
    if options.peers:
        programs = replace(programs, peers=options.peers / "bin" / "python")
    comparison = build(options, programs)
    report = comparison.report
    try:
        with no_orphans():
            comparison.run()
    except KeyboardInterrupt:
        report.interrupted = True
    print(report.render(markdown=options.markdown), end="")
    if options.json:
        options.json.write_text(json.dumps(report.as_json(), indent=1) + "\n")
    return 130 if report.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
