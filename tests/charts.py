"""Small rows and panels for the tests of pictures and reports."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

from ecm.charts.panel import Capacity, Panel, Quantiles, Span, Window
from ecm.charts.rows import (
    Backtest,
    Comparison,
    CoverageRow,
    Curve,
    HourRow,
    ModelRow,
    Point,
    PolicyRow,
    Replay,
)

START = datetime(2026, 11, 18, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script> & $x_{$ \" ' ]]> \x07 | `b`"
SVG = "{http://www.w3.org/2000/svg}"


def a_panel(**changes: Any) -> Panel:
    """Ten measured hours with a gap, then four of forecast; the sizing window, an event and two capacities."""
    measured = [100.0 + step for step in range(40)]
    measured[10:14] = [math.nan] * 4
    made = Panel(
        title="desktop",
        start=START,
        step_min=15,
        measured=tuple(measured),
        bands=tuple(Quantiles(140 + step, 160 + step, 200 + 2 * step) for step in range(16)),
        window=Window(START + timedelta(hours=11), START + timedelta(hours=14), Quantiles(155, 176, 230)),
        events=(Span("launch adds 38 % on Wednesday", START + timedelta(hours=11), START + timedelta(hours=13)),),
        capacity=(
            Capacity("capacity before", (START,), (150.0,)),
            Capacity("capacity after", (START, START + timedelta(hours=10)), (150.0, 300.0)),
        ),
    )
    return replace(made, **changes)


def a_policy(name: str = "ecm", **changes: Any) -> PolicyRow:
    """A policy that meets every target."""
    figures = {
        "violation_min": 12.0, "violation_share": 0.0007, "unserved_share": 0.0001, "longest_min": 5.0,
        "instance_hours": 12345.0, "usd": 1234.5, "ratio_to_clairvoyant": 1.52, "operations": 321, "node_changes": 543,
        "theta_u": 0.1, "theta_o": 40.0, "tau_u": 0.3, "tau_o": 80.0, "upsilon": 11.0, "coverage": 0.951,
    }  # fmt: skip
    return PolicyRow(**{"name": name, "knob": "target 0.7", **figures, **changes})


def a_curve(name: str, shift: float = 0.0, count: int = 6) -> Curve:
    """A curve from cheap and unsafe to dear and, at its end, without a violation."""
    points = tuple(
        Point(f"target {0.9 - 0.1 * k:.1f}", 1.2 + shift + 0.1 * k, 0.0 if k == count - 1 else 1000 / 4**k)
        for k in range(count)
    )
    return Curve(name, points, chosen=count // 2)


def a_coverage(quantile: float = 0.9, **changes: Any) -> CoverageRow:
    """A coverage that is as stated."""
    nominal = 1 - quantile
    hours = tuple(HourRow(h, nominal, nominal * 0.8, nominal * 1.2) for h in range(24))
    return replace(CoverageRow(quantile, nominal, nominal * 0.9, nominal * 1.1, hours), **changes)


def a_replay(steps: int = 600, violated: tuple[int, ...] = (300, 301)) -> Replay:
    """A flat load below capacity but for the violated steps."""
    load = [100.0] * steps
    for step in violated:
        load[step] = 250.0
    return Replay(START, 5, tuple(load), (200.0,) * steps, tuple(5.0 if v > 200 else 0.0 for v in load))


def a_backtest(**changes: Any) -> Backtest:
    """A report with a row in every table."""
    made = Backtest(
        trace="NASA",
        start=START,
        end=START + timedelta(days=2),
        ours="ecm",
        policies=(a_policy(), a_policy("target tracking", violation_min=400.0, violation_share=0.02, coverage=None)),
        curves=(a_curve("ecm"), a_curve("target tracking", 0.4)),
        comparisons=(Comparison("target tracking", 0.04, 0.02, 0.07),),
        coverage=(a_coverage(0.9), a_coverage(0.99)),
        models=(ModelRow("seasonal-naive", "NASA", 0.01, 0.2, 0.3, 12.5),),
        replay=a_replay(),
        settings=(("boot", "5 min"),),
        inputs=(("trace", "sha256:" + "0" * 64),),
    )
    return replace(made, **changes)


def parsed(svg: bytes) -> ElementTree.Element:
    """Return an SVG's root element."""
    return ElementTree.fromstring(svg)  # noqa: S314 - made by the function under test


def paths(svg: bytes, look: str) -> list[list[tuple[float, float]]]:
    """Return the vertices of every path whose style holds `look`, such as `stroke: #0072b2`."""
    found = [e for e in parsed(svg).iter(f"{SVG}path") if look in e.get("style", "")]
    return [[(float(x), float(y)) for x, y in re.findall(r"[ML] (\S+) (\S+)", e.get("d", ""))] for e in found]


def marks(svg: bytes, look: str) -> list[tuple[float, float]]:
    """Return where the marks stand whose style holds `look`."""
    found = [e for e in parsed(svg).iter(f"{SVG}use") if look in e.get("style", "")]
    return [(float(e.get("x", "nan")), float(e.get("y", "nan"))) for e in found]


def words(svg: bytes) -> list[str]:
    """Return the texts of an SVG, in its order."""
    return ["".join(element.itertext()) for element in parsed(svg).iter(f"{SVG}text")]
