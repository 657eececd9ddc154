"""Charts that several sub-commands draw from their records."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from bench.record import Measurement, Record
from bench.tables import Bar, Bars

Text = Callable[[float], str]


def least_first(
    record: Record,
    workload: str,
    value: Callable[[Measurement], float],
    text: Text,
    *,
    name: str,
    title: str,
    about: str = "less is better",
) -> Bars:
    """A bar for each server: the median of its measurements, and their range where there are several."""
    found = []
    for server in record.servers:
        if values := [value(measured) for measured in record.of(server, workload)]:
            middle = median(values)
            least, most = (min(values), max(values)) if len(values) > 1 else (None, None)
            ours = server.startswith("fastwsgi")
            found.append(Bar(server, middle, text(middle), least, most, ours))
    return Bars(name, title, about, sorted(found, key=lambda bar: bar.value))
