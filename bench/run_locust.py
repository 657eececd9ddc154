"""Runs the locust users headless against a server that it starts, and ends both.

`python bench/run_locust.py [--users N] [--seconds S] [--server NAME]` prints locust's tables, the
percentiles among them, and fails when a request has failed.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import servers
from servers import FOLDER, Running, ServerError, free_port, no_orphans

GRACE = 60.0  # seconds that locust may take beyond its time


def locust_command(port: int, users: int, seconds: int) -> list[str]:
    return [
        *(sys.executable, "-m", "locust", "--locustfile", str(FOLDER / "locustfile.py")),
        *("--headless", "--only-summary", "--users", str(users), "--spawn-rate", str(users)),
        *("--run-time", f"{seconds}s", "--stop-timeout", "10", "--exit-code-on-error", "1"),
        *("--host", f"http://127.0.0.1:{port}"),
    ]


def run_locust(port: int, users: int, seconds: int) -> int:
    """locust's exit status: 0 when all requests succeeded, 124 when it does not end."""
    with subprocess.Popen(
        locust_command(port, users, seconds), cwd=FOLDER, stdin=subprocess.DEVNULL
    ) as process:
        try:
            return process.wait(seconds + GRACE)
        except subprocess.TimeoutExpired:
            print("locust does not end", file=sys.stderr)
            return 124
        finally:
            process.kill()


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the locust users against a started server.")
    parser.add_argument("--users", type=int, default=50, metavar="N")
    parser.add_argument("--seconds", type=int, default=15, metavar="S")
    parser.add_argument("--server", choices=servers.NAMES, default="fastwsgi")
    parser.add_argument("--peers", type=Path, metavar="DIR", help="the peers' environment")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    if importlib.util.find_spec("locust") is None:
        print("locust is not installed: pip install '.[bench]'", file=sys.stderr)
        return 2
    programs = servers.default_programs()
    if options.peers:
        programs = replace(programs, peers=options.peers / "bin" / "python")
    port = free_port()
    command = programs.command(servers.find(options.server), port)
    command = [word.replace("apps:app", "shop:app") for word in command]
    command = [word.replace("from apps", "from shop") for word in command]
    try:
        with no_orphans(), Running(options.server, command, port) as server:
            status = run_locust(port, options.users, options.seconds)
            server.check()
    except ServerError as error:
        print(f"{options.server}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
