"""The report of a backtest: one self-contained page of HTML, and the same as Markdown without the pictures."""

from __future__ import annotations

from html import escape
from string import Template
from typing import Final

from ecm.charts.coverage import coverage
from ecm.charts.pareto import pareto
from ecm.charts.replay import replay
from ecm.charts.rows import Backtest
from ecm.charts.style import Form, clean, inline
from ecm.charts.tables import Table, as_html, as_markdown, plain, tables
from ecm.charts.verdict import GoLive, Verdict

MARKDOWN_BYTES: Final = 60_000
"""A comment on GitHub holds 65,536 characters; the report fits in one."""
_ROWS: Final = (400, 150, 60, 25, 10, 4)
"""Rows per table that are tried, most first, until the Markdown fits."""
_REASONS: Final = 20
"""Reasons of each kind in the Markdown."""
_COLOURS: Final = {GoLive.GO: "#0b6b3a", GoLive.RESERVED: "#8a5a00", GoLive.STOP: "#a3161b"}
_PILES: Final = ("What forbids it", "Reservations", "What holds")
# No script, no request to anywhere: names from files could do nothing even if one escaped.
_PAGE: Final = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
.verdict { border-left: 6px solid $colour; padding: .2rem 1rem; background: #f6f6f6 }
.verdict strong { color: $colour; font-size: 1.2rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: .87rem }
th, td { padding: .25rem .6rem; text-align: left; border-bottom: 1px solid #ddd; overflow-wrap: anywhere }
th { border-bottom: 2px solid #888; vertical-align: bottom } .n { text-align: right; white-space: nowrap }
th.n { white-space: normal } svg { max-width: 100%; height: auto }
</style>
</head>
<body>
<h1>$title</h1>
<p>$span</p>
<section class="verdict">
<p><strong>$headline</strong></p>
$reasons
</section>
$body
</body>
</html>
""")


def html(report: Backtest, said: Verdict) -> bytes:
    """Return the page: the verdict first, then policies, pictures and tables; every text is escaped.

    Equal arguments and versions give equal bytes.
    """
    first, *rest = tables(report) or (Table("Policies", ("policy",), (("none was measured",),)),)
    reasons = "\n".join(
        f"<p>{name}:</p>\n<ul>\n" + "\n".join(f"<li>{escape(clean(text, 300))}</li>" for text in texts) + "\n</ul>"
        for name, texts in _piles(said)
    )
    body = "\n".join((as_html(first), *_pictures(report), *(as_html(table) for table in rest)))
    page = _PAGE.substitute(
        title=escape(_title(report)),
        colour=_COLOURS[said.answer],
        span=escape(_span(report)),
        headline=escape(clean(said.headline, 300)),
        reasons=reasons,
        body=body,
    )
    return page.encode("utf-8")


def markdown(report: Backtest, said: Verdict) -> bytes:
    """Return the same in Markdown, tables only, below 60 kB: long tables are cut, and say so."""
    made = b""
    for rows in _ROWS:
        made = _markdown(report, said, rows).encode("utf-8")
        if len(made) < MARKDOWN_BYTES:
            break
    return made


def _markdown(report: Backtest, said: Verdict, rows: int) -> str:
    lines = [f"# {plain(_title(report))}", "", f"**{plain(said.headline, 300)}**", "", plain(_span(report), 200), ""]
    for name, texts in _piles(said):
        lines += [f"{name}:", "", *(f"- {plain(text, 300)}" for text in texts[:_REASONS])]
        lines += [f"- and {len(texts) - _REASONS} more", ""] if len(texts) > _REASONS else [""]
    for table in tables(report):
        lines += [*as_markdown(table, rows), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _piles(said: Verdict) -> tuple[tuple[str, tuple[str, ...]], ...]:
    piles = zip(_PILES, (said.against, said.reservations, said.reasons), strict=True)
    return tuple((name, texts) for name, texts in piles if texts)


def _pictures(report: Backtest) -> tuple[str, ...]:
    """Return the pictures that the report has figures for, as inline SVG."""
    made = []
    if report.curves:
        svg = pareto(report.curves, Form.SVG, ours=report.ours)
        made.append(_picture("What safety costs", svg, "violated minutes against instance-hours, a curve per policy"))
    if report.replay:
        svg = replay(report.replay, Form.SVG)
        made.append(_picture("Load and ready capacity", svg, "load against ready capacity, violated steps marked"))
    if report.coverage:
        svg = coverage(report.coverage, Form.SVG)
        made.append(_picture("Honesty of the quantiles", svg, "share of steps above each quantile per hour of the day"))
    return tuple(made)


def _picture(title: str, svg: bytes, says: str) -> str:
    name = title.split(maxsplit=1)[0].lower()
    return f"<section>\n<h2>{escape(title)}</h2>\n{inline(svg, name, escape(says))}</section>"


def _title(report: Backtest) -> str:
    return f"Backtest of {clean(report.ours, 60)} on {clean(report.trace, 100)}"


def _span(report: Backtest) -> str:
    return f"Replayed from {report.start:%Y-%m-%d %H:%M} to {report.end:%Y-%m-%d %H:%M} UTC."
