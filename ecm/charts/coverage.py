"""The picture of honesty: how often the load was above each stated quantile, per hour of the day."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ecm.charts.rows import CoverageRow
from ecm.charts.style import BLUE, VERMILLION, Form, clean, empty, picture

_WIDTH: Final = 10.0
_HEIGHT: Final = 2.5
_HEAD: Final = 0.7


def coverage(rows: Sequence[CoverageRow], form: Form, *, title: str = "") -> bytes:
    """Return a panel per quantile, one below the other: exceedance in per cent, its interval, and the nominal line.

    Hours of the day are as the rows count them (UTC or local: the title says which).
    """
    size = (_WIDTH, _HEAD + _HEIGHT * max(1, len(rows)))
    return picture(lambda figure: _draw(figure, rows, title), size, form, "coverage")


def _draw(figure: Figure, rows: Sequence[CoverageRow], title: str) -> None:
    if title:
        figure.suptitle(clean(title), x=0.01, ha="left", fontsize=12)
    panels = figure.subplots(max(1, len(rows)), 1, squeeze=False)[:, 0]
    if not rows:
        empty(panels[0], "no coverage was measured")
        return
    for axes, row in zip(panels, rows, strict=True):
        _panel(axes, row)
    panels[-1].set_xlabel("hour of the day")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=max(1, len(labels)))


def _panel(axes: Axes, row: CoverageRow) -> None:
    axes.set_title(
        f"above P{100 * row.quantile:g}: {percent(row.exceedance)} of all steps, nominal {percent(row.nominal)}"
    )
    hours = sorted(row.hours, key=lambda h: h.hour)
    at = [h.hour for h in hours]
    if hours:
        lows, highs = [100 * h.low for h in hours], [100 * h.high for h in hours]
        axes.vlines(at, lows, highs, color="#8FC0E0", linewidth=6, label="bootstrap interval")
        share = [100 * h.exceedance for h in hours]
        axes.plot(at, share, "o", color=BLUE, markersize=4, clip_on=False, zorder=3, label="measured")
    axes.axhline(100 * row.nominal, color=VERMILLION, linestyle="--", linewidth=1.4, label="nominal")
    axes.set_xlim(-0.7, 23.7)
    axes.set_xticks(range(0, 24, 3))
    axes.set_ylim(bottom=0)
    axes.set_ylabel("% of steps")


def percent(share: float) -> str:
    """Return a share as per cent with three digits."""
    return f"{100 * share:.3g} %" if math.isfinite(share) else "not known"
