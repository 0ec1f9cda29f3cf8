"""Pictures: what is on them, in the same bytes each time, whatever the names and numbers."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import timedelta

import matplotlib as mpl
import pytest

from ecm.charts.coverage import coverage
from ecm.charts.panel import Quantiles
from ecm.charts.pareto import pareto
from ecm.charts.replay import replay as draw_replay
from ecm.charts.replay import worst_day
from ecm.charts.rows import Curve, Point
from ecm.charts.style import Form, clean, inline
from ecm.charts.timeline import MOST_PANELS, band
from tests.charts import HOSTILE, START, a_coverage, a_curve, a_panel, a_replay, marks, parsed, paths, words

ALL = {
    "band": lambda form: band([a_panel()], form, title="t"),
    "pareto": lambda form: pareto([a_curve("ecm"), a_curve("peer", 0.3)], form, ours="ecm"),
    "coverage": lambda form: coverage([a_coverage()], form),
    "replay": lambda form: draw_replay(a_replay(), form),
}


@pytest.mark.parametrize("name", ALL)
def test_forms_and_equal_bytes(name: str) -> None:
    png, svg = ALL[name](Form.PNG), ALL[name](Form.SVG)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert parsed(svg).tag.endswith("}svg")
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path", "timezone": "Asia/Tokyo"}):
        assert (ALL[name](Form.PNG), ALL[name](Form.SVG)) == (png, svg)
        assert mpl.rcParams["font.size"] == 30
    assert not re.search(rb"dc:date|Matplotlib v|tEXt", svg + png)


def test_band_shows_all_that_is_given() -> None:
    said = words(band([a_panel(), a_panel(title="web", events=())], Form.SVG, title="stack prod"))
    for text in ("stack prod", "desktop", "web", "measured", "P50", "P50 to P90", "P90 to P99", "sizing window"):
        assert said.count(text) == 1, text
    assert {"capacity before", "capacity after", "event", "launch adds 38 % on Wednesday"} <= set(said)
    assert sum("P50 155, P90 176, P99 230 Mbit/s" in text for text in said) == 2


def test_a_capacity_steps_when_it_changes() -> None:
    svg = band([a_panel(window=None)], Form.SVG).decode()
    (now,) = re.findall(r'd="M ([\d.]+) [\d.]+ \nL \1 [^"]*"[^>]*stroke-dasharray: 1,1.65', svg)
    after, *_ = re.findall(r'd="(M [^"]*)"[^>]*stroke: #007a5a', svg)
    places = re.findall(r"([\d.]+) ([\d.]+)", after)
    low, high = (y for x, y in places if x == now)
    assert float(low) - float(high) > 50
    assert {y for x, y in places if float(x) < float(now)} == {low}
    assert {y for x, y in places if float(x) > float(now)} == {high}


def test_the_bands_lie_between_their_quantiles() -> None:
    flat = Quantiles(100, 150, 250)
    window = replace(a_panel().window, peak=Quantiles(100, 150, 250))
    svg = band([a_panel(bands=(flat,) * 16, window=window, events=(), capacity=())], Form.SVG)
    (inner, *_), (outer, *_) = paths(svg, "fill: #8fc0e0"), paths(svg, "fill: #cfe3f2")
    p50 = max(y for _, y in inner)
    p90, p99 = min(y for _, y in inner), min(y for _, y in outer)
    assert max(y for _, y in outer) == pytest.approx(p90)
    assert p90 - p99 == pytest.approx(2 * (p50 - p90), abs=0.01)
    assert p50 - p90 > 10
    heights = [line[0][1] for line in paths(svg, "stroke-dasharray: 3.6,1.8")][:3]
    assert heights == pytest.approx([p50, p90, p99])


def test_an_event_out_of_sight_is_not_shown() -> None:
    late = replace(a_panel().events[0], start=START + timedelta(days=3), end=START + timedelta(days=4))
    assert "launch adds 38 % on Wednesday" not in words(band([a_panel(events=(late,))], Form.SVG))


@pytest.mark.parametrize(
    "panel",
    [
        a_panel(measured=(), bands=(), window=None, capacity=()),
        a_panel(measured=(math.nan,) * 8),
        a_panel(measured=(0.0,) * 8, bands=(), window=None, capacity=(), events=()),
        a_panel(measured=()),
        a_panel(bands=a_panel().bands[:1]),
    ],
)
def test_band_of_little(panel: object) -> None:
    assert "desktop" in words(band([panel], Form.SVG))
    assert "no application to show" in words(band([], Form.SVG))


def test_too_many_panels() -> None:
    with pytest.raises(ValueError, match="25 panels"):
        band([a_panel()] * (MOST_PANELS + 1), Form.PNG)


def test_hostile_names_are_text() -> None:
    event = replace(a_panel().events[0], label=HOSTILE)
    panel = a_panel(title=HOSTILE, events=(event,), notes=(HOSTILE,))
    curve = replace(a_curve("x"), name=HOSTILE)
    for svg in (
        band([panel], Form.SVG, title=HOSTILE),
        pareto([curve], Form.SVG, title=HOSTILE),
        coverage([a_coverage()], Form.SVG, title=HOSTILE),
        draw_replay(replace(a_replay(), unit=HOSTILE), Form.SVG, title=HOSTILE),
    ):
        assert not [e for e in parsed(svg).iter() if e.tag.endswith("script")]
        assert any("<script>alert(1)" in text for text in words(svg))
    assert band([panel], Form.PNG).startswith(b"\x89PNG")


def test_pareto_puts_zero_on_a_line_of_its_own() -> None:
    said = words(pareto([a_curve("ecm")], Form.SVG, ours="ecm"))
    assert "0" in said
    assert {"ecm", "chosen", "10", "100"} <= set(said)
    svg = pareto([a_curve("ecm")], Form.SVG, ours="ecm")
    curve = max(paths(svg, "stroke: #0072b2; stroke-width: 2.6"), key=len)
    (foot,) = {line[0][1] for line in paths(svg, "stroke: #595959; stroke-width: 0.8") if line[0][1] == line[-1][1]} & {
        curve[-1][1]
    }
    assert len(curve) == 6
    assert [y for _, y in curve] == sorted(y for _, y in curve)
    assert curve[-2][1] < foot - 10
    # A factor of four in violated minutes is the same distance everywhere.
    assert curve[2][1] - curve[1][1] == pytest.approx(curve[1][1] - curve[0][1], abs=0.01)
    positive = Curve("p", a_curve("p").points[:3])
    assert "0" not in words(pareto([positive], Form.SVG))


@pytest.mark.parametrize(
    "points",
    [
        (),
        (Point("a", math.nan, 1.0), Point("b", 1.0, math.inf)),
        (Point("a", 1.0, -1.0), Point("b", 0.0, 3.0)),
    ],
)
def test_pareto_without_a_usable_point(points: tuple[Point, ...]) -> None:
    chosen = 0 if points else None
    assert "no policy was measured" in words(pareto([Curve("ecm", points, chosen)], Form.SVG))


@pytest.mark.parametrize("minutes", [0.0, 1e-9, 5.0, 1e9])
def test_pareto_of_one_point(minutes: float) -> None:
    assert "ecm" in words(pareto([Curve("ecm", (Point("a", 1.5, minutes),), 0)], Form.SVG))


def test_pareto_marks_each_chosen_point() -> None:
    def rings(curves: list[Curve]) -> int:
        return pareto(curves, Form.SVG).count(b"<use ")

    one, none = a_curve("ecm"), replace(a_curve("ecm"), chosen=None)
    assert rings([one]) == rings([none]) + 1


def test_coverage_names_its_figures() -> None:
    said = words(
        coverage([a_coverage(0.95, exceedance=0.081), a_coverage(0.99, exceedance=math.nan, hours=())], Form.SVG)
    )
    assert "above P95: 8.1 % of all steps, nominal 5 %" in said
    assert "above P99: not known of all steps, nominal 1 %" in said
    svg = coverage([a_coverage(0.9)], Form.SVG)
    (nominal, *_) = [line[0][1] for line in paths(svg, "stroke: #d55e00") if line[0][0] != line[1][0]]
    points = [y for _, y in marks(svg, "fill: #0072b2")][:24]
    assert points == pytest.approx([nominal] * 24)
    intervals = [line for line in paths(svg, "stroke: #8fc0e0") if line[0][0] == line[1][0]]
    assert len(intervals) == 24
    assert all((line[0][1] + line[1][1]) / 2 == pytest.approx(nominal, abs=0.01) for line in intervals)
    assert "no coverage was measured" in words(coverage([], Form.SVG))


def test_the_worst_day() -> None:
    run = a_replay(steps=3 * 288, violated=(300, 301, 600))
    assert worst_day(run) == (288, 576)
    assert worst_day(replace(run, start=START + timedelta(hours=23))) == (300, 588)
    quiet = a_replay(steps=3 * 288, violated=())
    assert worst_day(replace(quiet, load=(*quiet.load[:-1], 150.0))) == (576, 864)
    assert worst_day(a_replay(steps=1, violated=())) == (0, 1)


def test_replay_counts_and_stays_small() -> None:
    said = words(draw_replay(a_replay(), Form.SVG))
    assert "whole span: 10 violated minutes" in said
    assert "worst day, 2026-11-19: 10 violated minutes" in said
    long = draw_replay(a_replay(steps=60 * 288), Form.SVG)
    assert len(long) < 300_000


def test_no_violation_is_lost_where_steps_are_drawn_together() -> None:
    def shown(violated: tuple[int, ...]) -> int:
        return len(marks(draw_replay(a_replay(steps=60 * 288, violated=violated), Form.SVG), "fill: #d55e00"))

    assert shown(()) == 0
    assert shown((5007, 9013)) == 4  # two in the whole span, one of them in the worst day, one in the legend


def test_replay_of_nothing_and_of_gaps() -> None:
    assert "nothing was replayed" in words(draw_replay(a_replay(steps=0, violated=()), Form.SVG))
    gaps = replace(a_replay(steps=20, violated=()), load=(math.nan,) * 20)
    assert "whole span: 0 violated minutes" in words(draw_replay(gaps, Form.SVG))
    with pytest.raises(ValueError, match="must have the same"):
        draw_replay(replace(gaps, ready=(1.0,)), Form.SVG)


def test_inline_has_no_prologue_and_its_own_identifiers() -> None:
    page = "".join(inline(band([a_panel()], Form.SVG), name, "load") for name in ("a", "b"))
    assert "<?xml" not in page
    assert "<!DOCTYPE" not in page
    groups = re.findall(r'<g id="([^"]*)"', page)
    assert len(groups) == len(set(groups)) > 10


def test_clean() -> None:
    assert clean("a\x00b\n\tc\ud800") == "a b c"
    assert clean("x" * 200, 10) == "x" * 9 + "…"
