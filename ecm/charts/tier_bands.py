"""Per tier of a review: its forecast band against capacity before and after, as a figure of an HTML page."""

from __future__ import annotations

from datetime import timedelta
from html import escape
from math import nan
from typing import Final

from ecm.charts.panel import Capacity, Panel, Quantiles, Span, Window
from ecm.charts.style import Form, inline
from ecm.charts.timeline import WIDE, band
from ecm.model.forecast import Grid
from ecm.model.review import Review, TierRow

_PHONE: Final = 4.2
"""Inches of the figure that a narrow screen shows."""


def figures(review: Review) -> dict[str, str]:
    """Return the figure of every tier that has a forecast, as HTML, by tier.

    Each is drawn twice, in elements of class `wide` and `phone`: the page shows one of them.
    """
    return {
        row.tier: _figure(row.tier, panel)
        for row in review.tiers
        if review.grid is not None and (panel := tier_panel(review, review.grid, row)) is not None
    }


def tier_panel(review: Review, grid: Grid, row: TierRow) -> Panel | None:
    """Return what the figure of a tier shows; None where the plan holds no band of it."""
    bands = tuple(
        Quantiles(*values) for values in zip(row.band_p50_mbps, row.band_p90_mbps, row.band_p99_mbps, strict=True)
    )
    if not bands:
        return None
    measured = next((m.mbps for m in review.measured if m.tier == row.tier), ())
    step = timedelta(minutes=grid.interval_min)
    start, window = grid.start - len(measured) * step, grid.start + grid.window_first_step * step
    before = row.before_mbps
    after = Capacity("capacity after", (window,), (row.capacity_mbps,))
    stood = () if before is None else (Capacity("capacity before", (start,), (before,)),)
    held = Capacity("after the worst loss", (window,), (row.usable_mbps,))
    return Panel(
        title=row.tier,
        start=start,
        step_min=grid.interval_min,
        measured=tuple(nan if value < 0 else value for value in measured),
        bands=bands,
        window=Window(window, grid.start + len(bands) * step, Quantiles(row.p50_mbps, row.p90_mbps, row.p99_mbps)),
        events=tuple(
            Span(e.id if e.id == e.kind else f"{e.id} ({e.kind})", e.start, e.end)
            for e in review.events
            if e.vpn in (None, row.vpn)
        ),
        capacity=(*stood, after, held),
    )


def _figure(tier: str, panel: Panel) -> str:
    says = escape(f"Tier {tier}: load, forecast and capacity in Mbit/s over time in UTC", quote=True)
    forms = (("wide", WIDE), ("phone", _PHONE))
    drawn = [
        (form, inline(band([panel], Form.SVG, width=width, name=f"{tier}-{form}"), f"{tier}-{form}", says))
        for form, width in forms
    ]
    return "".join(f'<div class="{form}">{svg}</div>\n' for form, svg in drawn)
