"""The tables of a report, once for both of its forms: cells are plain text, and each form escapes them itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

from ecm.charts.rows import Backtest, ModelRow, PolicyRow
from ecm.charts.style import clean

DASH = "-"
"""Stands for what was not measured."""


@dataclass(frozen=True)
class Table:
    """A titled table; the first `words` columns hold words, the others numbers."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    note: str = ""


def tables(report: Backtest) -> tuple[Table, ...]:
    """Return the tables of `report` that have rows, the deciding ones first."""
    made = (
        _policies(report),
        _comparisons(report),
        _elasticity(report),
        _coverage(report),
        _hours(report),
        _models(report),
        _curves(report),
        Table("Settings", ("setting", "value"), report.settings, words=2),
        Table("Inputs", ("input", "digest"), report.inputs, words=2),
    )
    return tuple(table for table in made if table.rows)


def figure(value: float | None, digits: int = 2) -> str:
    """Return a number with `digits` decimals and separated thousands; a dash for None, NaN and infinity."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{value:,.{digits}f}"


def share(value: float | None, digits: int = 2) -> str:
    """Return a share as per cent; a dash for None and NaN."""
    return DASH if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f} %"


def _policies(report: Backtest) -> Table:
    header = (
        "policy", "setting", "violated min", "violated", "unserved", "longest min", "instance-hours", "USD",
        "times clairvoyant", "operations", "node changes", "coverage",
    )  # fmt: skip
    rows = tuple(_policy(row, ours=row.name == report.ours) for row in report.policies)
    return Table("Policies", header, rows, words=2, note="The policy that the verdict is about is marked with *.")


def _policy(row: PolicyRow, *, ours: bool) -> tuple[str, ...]:
    return (
        f"{row.name} *" if ours else row.name,
        row.knob,
        figure(row.violation_min, 0),
        share(row.violation_share, 3),
        share(row.unserved_share, 3),
        figure(row.longest_min, 0),
        figure(row.instance_hours, 0),
        figure(row.usd),
        figure(row.ratio_to_clairvoyant),
        figure(row.operations, 0),
        figure(row.node_changes, 0),
        share(row.coverage),
    )


def _comparisons(report: Backtest) -> Table:
    rows = tuple(
        (c.peer, figure(c.violations_vs_peer, 3), figure(c.low, 3), figure(c.high, 3)) for c in report.comparisons
    )
    header = ("peer", "violations of ours over the peer's", "from", "to (90 %)")
    return Table("At equal instance-hours", header, rows, note="Below 1 is better than the peer.")


def _elasticity(report: Backtest) -> Table:
    rows = tuple(
        (p.name, *(figure(v) for v in (p.theta_u, p.theta_o, p.tau_u, p.tau_o, p.upsilon))) for p in report.policies
    )
    header = ("policy", "theta_U", "theta_O", "tau_U", "tau_O", "upsilon")
    note = (
        "SPEC RG, per cent: theta is how much too few (U) or too many (O) nodes, tau how long, upsilon how often "
        "supply and demand move differently; less is better."
    )
    return Table("Elasticity", header, rows, note=note)


def _coverage(report: Backtest) -> Table:
    rows = tuple(
        (f"P{100 * c.quantile:g}", *(share(v) for v in (c.nominal, c.exceedance, c.low, c.high)))
        for c in report.coverage
    )
    return Table("Steps above the stated quantiles", ("quantile", "nominal", "measured", "from", "to"), rows)


def _hours(report: Backtest) -> Table:
    rows = tuple(
        (f"P{100 * c.quantile:g}", f"{h.hour:02d}", *(share(v) for v in (h.exceedance, h.low, h.high)))
        for c in report.coverage
        for h in c.hours
    )
    return Table("The same per hour of the day", ("quantile", "hour", "measured", "from", "to"), rows)


def _models(report: Backtest) -> Table:
    header = (
        "model", "trace", "pinball loss of the window maximum", "within P99", "violated min", "instance-hours",
        "selected", "fit s", "update ms",
    )  # fmt: skip
    rows = tuple(_model(row) for row in report.models)
    note = "Each alone decides at most the last 4,032 times; selected: its share of all decisions."
    return Table("Models", header, rows, words=2, note=note)


def _model(row: ModelRow) -> tuple[str, ...]:
    return (
        row.model if row.installed else f"{row.model} (not installed)",
        row.trace,
        figure(row.pinball_window, 3),
        share(row.within_p99),
        figure(row.violation_min, 0),
        figure(row.instance_hours, 0),
        share(row.share_of_selections, 1),
        figure(row.fit_s),
        figure(row.update_ms),
    )


def _curves(report: Backtest) -> Table:
    rows = tuple(
        (curve.name, point.knob, figure(point.ratio_to_clairvoyant, 3), figure(point.violation_min, 1),
         "chosen" if index == curve.chosen else "")
        for curve in report.curves
        for index, point in enumerate(curve.points)
    )  # fmt: skip
    return Table("Points of the curves", ("policy", "setting", "times clairvoyant", "violated min", ""), rows, words=2)


def as_html(table: Table) -> str:
    """Return a table as HTML; every cell is escaped."""
    head = "".join(_cell("th", text, number=i >= table.words) for i, text in enumerate(table.header))
    body = "\n".join(
        "<tr>" + "".join(_cell("td", text, number=i >= table.words) for i, text in enumerate(row)) + "</tr>"
        for row in table.rows
    )
    note = f"<p>{escape(table.note)}</p>\n" if table.note else ""
    return (
        f'<section>\n<h2>{escape(table.title)}</h2>\n{note}<div class="wide"><table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>\n</section>"
    )


def _cell(tag: str, text: str, *, number: bool) -> str:
    kind = ' class="n"' if number else ""
    return f"<{tag}{kind}>{escape(clean(text, 200))}</{tag}>"


def as_markdown(table: Table, most: int) -> list[str]:
    """Return the lines of a table in Markdown with at most `most` rows; a line says how many were left out."""
    marks = ["---" if i < table.words else "---:" for i in range(len(table.header))]
    lines = [f"## {table.title}", ""]
    lines += [plain(table.note), ""] if table.note else []
    lines += [_row(table.header), "|" + "|".join(marks) + "|"]
    lines += [_row([plain(text) for text in row]) for row in table.rows[:most]]
    left = len(table.rows) - most
    return lines + (["", f"{left} more rows are in report.html."] if left > 0 else [])


def plain(text: str, most: int = 100) -> str:
    """Return `text` in one line with what Markdown or HTML would act on made harmless."""
    escaped = clean(text, most).replace("\\", "\\\\")
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{c}" if c in "|`*_[]#" else c for c in escaped)


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"
