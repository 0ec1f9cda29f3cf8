"""The picture of a forecast: measured load, its P50, P90 and P99 ahead, sizing window, events and capacity."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ecm.charts.panel import Capacity, Panel, Span, Window
from ecm.charts.style import BLUE, GREY, VERMILLION, Form, clean, date_axis, empty, number, picture

MOST_PANELS: Final = 24
"""Beyond that nobody finds a panel, and a PNG nears what viewers open."""
WIDE: Final = 10.0
"""Inches; below NARROW a picture is made for a phone: more in height, less side by side."""
NARROW: Final = 6.0
_HEIGHT: Final = 3.1
_HEAD: Final = 0.9
"""Inches of the width, of a panel, and of title and legend."""
_WRAP: Final = 34
_LABEL_SHARE: Final = 0.3
"""Characters of a line of an event's label, and the share of the axis that it covers at most; twice that on a phone."""
_LINE_SHARE: Final = 0.062
"""Height of a line of such a label, as a share of the axis."""
_NOTES: Final = 3
"""Lines of notes below a panel."""
_CAPACITIES: Final = ((GREY, "--"), ("#007A5A", "-"), ("#CC79A7", "-."), ("#E69F00", ":"))
"""Colour and dashes of the capacities: what was before is grey and broken."""


def band(panels: Sequence[Panel], form: Form, *, title: str = "", width: float = WIDE, name: str = "band") -> bytes:
    """Return one picture `width` inches wide with a panel below the other, times in UTC, loads in Mbit/s.

    `name` distinguishes the identifiers of an SVG from those of others on the same page.

    ValueError when there are more than 24 panels. Without a panel the picture says so.
    """
    if len(panels) > MOST_PANELS:
        raise ValueError(f"{len(panels)} panels do not fit in one picture; choose at most {MOST_PANELS}")
    narrow = width < NARROW
    head = _HEAD * (2 if narrow else 1)
    size = (width, head + _HEIGHT * max(1, len(panels)))
    return picture(lambda figure: _draw(figure, panels, title, narrow=narrow), size, form, name)


def _draw(figure: Figure, panels: Sequence[Panel], title: str, *, narrow: bool) -> None:
    if title:
        figure.suptitle(clean(title), x=0.01, ha="left", fontsize=12)
    rows = figure.subplots(max(1, len(panels)), 1, squeeze=False)[:, 0]
    if not panels:
        empty(rows[0], "no application to show")
    for axes, panel in zip(rows, panels, strict=False):
        _panel(axes, panel, narrow=narrow)
    known = {label: handle for axes in rows for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if known:
        figure.legend(
            known.values(), known.keys(), loc="outside lower center", ncols=min(2 if narrow else 5, len(known))
        )


def _panel(axes: Axes, panel: Panel, *, narrow: bool) -> None:
    axes.set_title(clean(panel.title, 60))
    if panel.end <= panel.start:
        empty(axes, "no load measured and none forecast")
        return
    if panel.window:
        peak = panel.window.peak
        most = "" if narrow else "maximum over the sizing window: "
        text = f"{most}P50 {peak.p50:g}, P90 {peak.p90:g}, P99 {peak.p99:g} Mbit/s"
        axes.set_title(text, loc="right", fontweight="normal", fontsize=8 if narrow else 9, color=GREY)
        _window(axes, panel.window)
    _loads(axes, panel)
    for index, line in enumerate(panel.capacity):
        _capacity(axes, panel, line, _CAPACITIES[index % len(_CAPACITIES)])
    axes.axvline(number(panel.now), color=GREY, linewidth=1, linestyle=":")
    lines = _events(axes, panel, narrow=narrow)
    axes.set_xlim(number(panel.start), number(panel.end))
    room = max(0.6, 1 - _LINE_SHARE * (lines + 1)) if lines else 0.94
    axes.set_ylim(0, _top(panel) / room)
    axes.set_ylabel("Mbit/s")
    date_axis(axes, most=6 if narrow else 10)
    axes.set_xlabel(
        "\n".join(("times in UTC", *(clean(note) for note in panel.notes[:_NOTES]))), loc="left", fontsize=8
    )


def _loads(axes: Axes, panel: Panel) -> None:
    count = len(panel.measured)
    edges = [number(panel.at(step)) for step in range(count + len(panel.bands) + 1)]
    ahead = edges[count:]
    p50, p90, p99 = ([getattr(q, name) for q in panel.bands] for name in ("p50", "p90", "p99"))
    if panel.bands:
        axes.stairs(p99, ahead, baseline=p90, fill=True, color="#CFE3F2", label="P90 to P99")
        axes.stairs(p90, ahead, baseline=p50, fill=True, color="#8FC0E0", label="P50 to P90")
        axes.stairs(p50, ahead, baseline=None, color=BLUE, linewidth=1.8, label="P50")
    if panel.measured:
        axes.stairs(panel.measured, edges[: count + 1], baseline=None, color="#222222", linewidth=1.3, label="measured")


def _window(axes: Axes, window: Window) -> None:
    first, last = number(window.start), number(window.end)
    axes.axvspan(first, last, color="#F0F0F0", zorder=0.5, label="sizing window")
    for value in (window.peak.p50, window.peak.p90, window.peak.p99):
        axes.plot([first, last], [value, value], color=BLUE, linewidth=0.9, linestyle=(0, (4, 2)))
    axes.plot([], [], color=BLUE, linewidth=0.9, linestyle=(0, (4, 2)), label="window maximum P50, P90, P99")


def _capacity(axes: Axes, panel: Panel, line: Capacity, look: tuple[str, str]) -> None:
    colour, dashes = look
    times = [max(number(t), number(panel.start)) for t in line.times]
    ends = [*times[1:], max(number(panel.end), times[-1])] if times else []
    if line.mbps:
        label = clean(line.label, 40)
        axes.stairs(line.mbps, [times[0], *ends], baseline=None, color=colour, linestyle=dashes, label=label)


def _events(axes: Axes, panel: Panel, *, narrow: bool) -> int:
    """Mark the events, each label below those that it would meet, and return how many lines they are high."""
    start, end = number(panel.start), number(panel.end)
    taken: list[tuple[float, float, int]] = []
    for event in panel.events:
        first, last = max(number(event.start), start), min(number(event.end), end)
        if last <= first:
            continue
        axes.axvspan(first, last, color=VERMILLION, alpha=0.13, linewidth=0, zorder=0.6, label="event")
        place = ((first - start) / (end - start), (last - start) / (end - start))
        taken.append(_event_label(axes, event, place, taken, share=_LABEL_SHARE * (2 if narrow else 1)))
    return max((bottom for _, _, bottom in taken), default=0)


def _event_label(
    axes: Axes, event: Span, place: tuple[float, float], taken: Sequence[tuple[float, float, int]], *, share: float
) -> tuple[float, float, int]:
    """Write a label and return its place: left and right as shares of the axis, and its lowest line."""
    text = textwrap.wrap(clean(event.label), _WRAP) or [""]
    on_left = place[0] <= 1 - share
    left, right = (place[0], place[0] + share) if on_left else (place[1] - share, place[1])
    top = max((bottom for a, b, bottom in taken if a < right and b > left), default=0)
    axes.text(
        place[0] + 0.004 if on_left else place[1] - 0.004,
        0.985 - _LINE_SHARE * top,
        "\n".join(text),
        transform=axes.transAxes,
        ha="left" if on_left else "right",
        va="top",
        fontsize=8,
        color="#8A3B00",
    )
    return left, right, top + len(text)


def _top(panel: Panel) -> float:
    window = (panel.window.peak.p99,) if panel.window else ()
    values = (*panel.measured, *(q.p99 for q in panel.bands), *window, *(m for c in panel.capacity for m in c.mbps))
    return max((v for v in values if math.isfinite(v)), default=0.0) or 1.0
