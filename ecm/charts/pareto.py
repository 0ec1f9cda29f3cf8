"""The picture of what safety costs: violated minutes against instance-hours, one curve per policy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ecm.charts.rows import Curve, Point
from ecm.charts.style import GREY, MARKERS, PALETTE, Form, clean, empty, picture

_SIZE: Final = (10.0, 5.6)
_DASHES: Final = ("-", "--", "-.", ":")


def pareto(curves: Sequence[Curve], form: Form, *, title: str = "", ours: str = "") -> bytes:
    """Return the curves as one picture; the curve called `ours` is drawn heavier, over the others.

    The y axis is logarithmic, and zero, which has no logarithm, is a line of its own at the foot. Points that are not
    finite, negative or without instance-hours are left out.
    """
    return picture(lambda figure: _draw(figure, curves, title, ours), _SIZE, form, "pareto")


def _draw(figure: Figure, curves: Sequence[Curve], title: str, ours: str) -> None:
    axes = figure.subplots()
    axes.set_title(clean(title))
    usable = [point for curve in curves for point in curve.points if _usable(point)]
    if not usable:
        empty(axes, "no policy was measured")
        return
    floor = _floor(usable)
    for index, curve in enumerate(curves):
        _curve(axes, curve, (index, floor), heavy=curve.name == ours)
    _log_axis(axes, usable, floor)
    axes.axvline(1, color=GREY, linewidth=1, linestyle=":")
    axes.set_xlabel("instance-hours over those of the clairvoyant schedule (further left is cheaper)")
    axes.set_ylabel("violated minutes")
    axes.plot([], [], marker="o", markersize=11, color=GREY, markerfacecolor="none", linestyle="", label="chosen")
    figure.legend(loc="outside right upper", handlelength=3.2)


def _usable(point: Point) -> bool:
    x, y = point.ratio_to_clairvoyant, point.violation_min
    return math.isfinite(x) and math.isfinite(y) and x > 0 and y >= 0


def _floor(points: Sequence[Point]) -> float:
    """Return where zero is drawn: the power of ten below half the least positive value."""
    least = min((p.violation_min for p in points if p.violation_min > 0), default=1.0)
    return float(10.0 ** math.floor(math.log10(least / 2)))


def _curve(axes: Axes, curve: Curve, place: tuple[int, float], *, heavy: bool) -> None:
    index, floor = place
    points = sorted((p for p in curve.points if _usable(p)), key=lambda p: (p.ratio_to_clairvoyant, -p.violation_min))
    if not points:
        return
    colour, mark = PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)]
    axes.plot(
        [p.ratio_to_clairvoyant for p in points],
        [max(p.violation_min, floor) for p in points],
        color=colour,
        marker=mark,
        markersize=6 if heavy else 4.5,
        linestyle=_DASHES[index // 2 % len(_DASHES)] if not heavy else "-",
        linewidth=2.6 if heavy else 1.2,
        zorder=4 if heavy else 3,
        label=clean(curve.name, 32),
    )
    chosen = curve.points[curve.chosen] if curve.chosen is not None else None
    if chosen is not None and _usable(chosen):
        _mark(axes, chosen, floor, colour)


def _mark(axes: Axes, chosen: Point, floor: float, colour: str) -> None:
    place = (chosen.ratio_to_clairvoyant, max(chosen.violation_min, floor))
    axes.plot(*place, marker="o", markersize=12, markeredgewidth=1.8, color=colour, markerfacecolor="none", zorder=5)


def _log_axis(axes: Axes, points: Sequence[Point], floor: float) -> None:
    top = max(floor * 100, 2 * max(p.violation_min for p in points))
    zero = any(p.violation_min == 0 for p in points)
    axes.set_yscale("log")
    axes.set_ylim(floor / 1.6 if zero else floor * 2, top)
    first, last = round(math.log10(floor)), math.floor(math.log10(top))
    ticks = [floor] if zero else []
    axes.yaxis.set_major_locator(FixedLocator([*ticks, *(10.0**k for k in range(first + 1, last + 1))]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: "0" if zero and y <= floor else f"{y:g}"))
    if zero:
        axes.axhline(floor, color=GREY, linewidth=0.8)
