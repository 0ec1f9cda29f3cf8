"""The picture of a replay: load against the capacity that was ready, violated steps marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ecm.charts.rows import Replay
from ecm.charts.style import BLUE, GREY, VERMILLION, Form, clean, date_axis, empty, number, picture

_SIZE: Final = (10.0, 6.0)
MOST_BINS: Final = 900
"""Points per line: more than a screen shows across such a picture, and a page of some hundred kilobytes."""
_DAY_MIN: Final = 1440


@dataclass(frozen=True)
class _Bins:
    """Neighbouring steps drawn as one: their highest load, least capacity and violated minutes."""

    edges: tuple[datetime, ...]
    load: tuple[float, ...]
    ready: tuple[float, ...]
    violated: tuple[bool, ...]


def replay(run: Replay, form: Form, *, title: str = "") -> bytes:
    """Return two panels: the whole span, and the UTC day with the most violated minutes (or the highest load).

    ValueError when the lines of `run` differ in length.
    """
    if not len(run.load) == len(run.ready) == len(run.violated_min):
        raise ValueError(f"load, ready and violated_min have {len(run.load)}, {len(run.ready)} and "
                         f"{len(run.violated_min)} steps; they must have the same")  # fmt: skip
    return picture(lambda figure: _draw(figure, run, title), _SIZE, form, "replay")


def _draw(figure: Figure, run: Replay, title: str) -> None:
    if title:
        figure.suptitle(clean(title), x=0.01, ha="left", fontsize=12)
    whole, close = figure.subplots(2, 1)
    if not run.load:
        for axes in (whole, close):
            empty(axes, "nothing was replayed")
        return
    first, after = worst_day(run)
    day = run.start + timedelta(minutes=run.step_min * first)
    minutes = sum(run.violated_min[first:after])
    _panel(whole, run, (0, len(run.load)), f"whole span: {sum(run.violated_min):g} violated minutes")
    _panel(close, run, (first, after), f"worst day, {day:%Y-%m-%d}: {minutes:g} violated minutes")
    handles, labels = whole.get_legend_handles_labels()
    known = dict(zip(labels, handles, strict=True))
    figure.legend(known.values(), known.keys(), loc="outside lower center", ncols=len(known))


def worst_day(run: Replay) -> tuple[int, int]:
    """Return the steps [first, after) of the UTC day with the most violated minutes; equal ones: the highest load."""
    into = (run.start.hour * 60 + run.start.minute) // run.step_min
    per_day = max(1, _DAY_MIN // run.step_min)
    cuts = [0, *range(per_day - into % per_day, len(run.load), per_day), len(run.load)]
    days = [(a, b) for a, b in pairwise(cuts) if b > a]
    return max(days, key=lambda d: (sum(run.violated_min[slice(*d)]), _highest(run.load[slice(*d)]), -d[0]))


def _panel(axes: Axes, run: Replay, steps: tuple[int, int], title: str) -> None:
    bins = _bins(run, steps)
    edges = [number(edge) for edge in bins.edges]
    axes.set_title(title, fontsize=10)
    axes.stairs(bins.ready, edges, baseline=None, color=BLUE, linewidth=1.2, zorder=3, label="ready capacity")
    axes.stairs(bins.load, edges, baseline=0, fill=True, color="#C9C9C9", label="load")
    for event in run.events:
        first, last = max(number(event.start), edges[0]), min(number(event.end), edges[-1])
        if first < last:
            axes.axvspan(first, last, color=VERMILLION, alpha=0.13, linewidth=0, zorder=0.6, label="event")
    at = [(a + b) / 2 for a, b, bad in zip(edges, edges[1:], bins.violated, strict=False) if bad]
    over = [load for load, bad in zip(bins.load, bins.violated, strict=True) if bad]
    if at:
        axes.plot(at, over, "v", color=VERMILLION, markersize=5, zorder=4, label="violated", clip_on=False)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 1.08 * max(_highest(bins.load), _highest(bins.ready), 1e-9))
    axes.set_ylabel(clean(run.unit, 24), color=GREY)
    date_axis(axes)


def _bins(run: Replay, steps: tuple[int, int]) -> _Bins:
    first, after = steps
    size = -(-(after - first) // MOST_BINS)
    cuts = [*range(first, after, size), after]
    spans = [slice(a, b) for a, b in pairwise(cuts)]
    return _Bins(
        edges=tuple(run.start + timedelta(minutes=run.step_min * cut) for cut in cuts),
        load=tuple(_highest(run.load[s], none=math.nan) for s in spans),
        ready=tuple(min((v for v in run.ready[s] if math.isfinite(v)), default=math.nan) for s in spans),
        violated=tuple(sum(run.violated_min[s]) > 0 for s in spans),
    )


def _highest(values: Sequence[float], none: float = 0.0) -> float:
    return max((v for v in values if math.isfinite(v)), default=none)
