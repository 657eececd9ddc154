"""Draws charts with matplotlib, an optional extra: SVG for light and for dark pages, and PNG.

Labels stand beside what they name, so there is no legend, no grid and no axis of numbers. Our own
server has the colour, all others are grey.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.tables import Bars, Chart, Curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 8.0  # inches
ROW = 0.30  # inches that a bar has
HEADING = 0.75  # inches above the bars
BELOW = 0.12
TITLE = 64  # characters of a title that fit in its full size
LABELS = 0.26  # share of the width that the names have
VALUES = 0.11  # and the figures


class PlotsMissing(Exception):
    """matplotlib is not installed; the message says what to do."""


@dataclass(frozen=True)
class Theme:
    """Colours; the ground is transparent, but for PNG."""

    name: str
    ink: str
    faint: str
    ours: str
    others: str
    ground: str


LIGHT = Theme("light", "#1f2328", "#656d76", "#0a7f6f", "#c3cad2", "#ffffff")
DARK = Theme("dark", "#e6edf3", "#9198a1", "#2fbfa7", "#4b535d", "#0d1117")
SETTINGS = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "svg.hashsalt": "fastwsgi",  # the same chart gives the same file
    "svg.fonttype": "path",  # and looks the same everywhere
}


def require() -> Any:
    """matplotlib. Raises PlotsMissing."""
    try:
        import matplotlib  # noqa: PLC0415 - an optional extra
        import matplotlib.figure  # noqa: PLC0415
    except ImportError:
        raise PlotsMissing(
            "no plots: matplotlib is not installed: pip install '.[bench]'"
        ) from None
    return matplotlib


def draw(chart: Chart, theme: Theme, kind: str = "svg") -> bytes:
    """The picture of a chart: `svg` without a ground, or `png` with one. Raises PlotsMissing."""
    matplotlib = require()
    with matplotlib.rc_context(SETTINGS):
        figure = draw_bars(chart, theme) if isinstance(chart, Bars) else draw_curves(chart, theme)
        out = io.BytesIO()
        ground = theme.ground if kind == "png" else "none"
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(out, format=kind, dpi=150, facecolor=ground, metadata=metadata)
    return out.getvalue()


def empty_figure(chart: Chart, theme: Theme, height: float) -> tuple[Figure, Axes]:
    """A figure with title and subtitle, and the axes below them."""
    figure = require().figure.Figure((WIDTH, height))
    figure.text(
        0.012,
        1 - 0.12 / height,
        chart.title,
        va="top",
        size=min(12, 12 * TITLE / len(chart.title)),
        weight="bold",
        color=theme.ink,
    )
    figure.text(0.012, 1 - 0.40 / height, chart.about, va="top", size=8.5, color=theme.faint)
    bottom, top = BELOW / height, 1 - HEADING / height
    axes = figure.add_axes((LABELS, bottom, 1 - LABELS - VALUES, top - bottom))
    axes.patch.set_visible(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure, axes


def draw_bars(chart: Bars, theme: Theme) -> Figure:
    """With a reference, bars go from it, to the left where they are behind, by the logarithm."""
    figure, axes = empty_figure(chart, theme, HEADING + BELOW + ROW * len(chart.bars))
    origin = chart.reference or 0.0
    for place, bar in enumerate(chart.bars):
        weight = "bold" if bar.ours else "normal"
        colour = theme.ours if bar.ours else theme.others
        axes.barh(place, bar.value - origin, left=origin, height=0.62, color=colour)
        if bar.least is not None and bar.most is not None and bar.most > bar.least:
            axes.plot([bar.least, bar.most], [place, place], color=theme.ink, lw=1.1, alpha=0.75)
        axes.text(
            *(-0.012, place, bar.label),
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="center",
            color=theme.ink,
            weight=weight,
        )
        axes.annotate(
            bar.text,
            (max(bar.value, bar.most or 0, origin), place),
            (4, 0),
            textcoords="offset points",
            va="center",
            color=theme.ink,
            weight=weight,
            annotation_clip=False,
        )
    least = min(min(bar.value, bar.least or bar.value) for bar in chart.bars)
    most = max(max(bar.value, bar.most or 0) for bar in chart.bars)
    if chart.reference is None:
        axes.set_xlim(0, most or 1)
    else:
        axes.set_xscale("log")
        axes.set_xlim(min(least, origin) / 1.05, max(most, origin) * 1.05)
        axes.axvline(origin, color=theme.ink, lw=0.9)
    axes.set_ylim(len(chart.bars) - 0.5, -0.5)
    axes.set_xticks([], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_yticks([])
    return figure


def draw_curves(chart: Curves, theme: Theme) -> Figure:
    figure, axes = empty_figure(chart, theme, 3.4)
    axes.set_position((0.08, 0.15, 0.7, 0.60))
    furthest = 0.0
    for name, points in chart.curves.items():
        across, up = zip(*points, strict=True)
        ours = name in chart.ours
        colour = theme.ours if ours else theme.others
        axes.plot(across, up, color=colour, lw=2, marker="o" if len(points) == 1 else None)
        axes.annotate(
            name,
            (across[-1], up[-1]),
            (6, 0),
            textcoords="offset points",
            va="center",
            color=theme.ink,
            weight="bold" if ours else "normal",
            annotation_clip=False,
        )
        furthest = max(furthest, *up)
    axes.set_ylim(0, furthest * 1.15)
    axes.set_xlim(0)
    axes.set_xlabel(chart.across, color=theme.faint)
    axes.tick_params(colors=theme.faint, length=0)
    axes.spines["bottom"].set(visible=True, color=theme.others)
    return figure
