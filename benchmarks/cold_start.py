"""The first two weeks of a new application with two siblings: violated minutes and instance-hours from hour 1 on.

ECM lends the newcomer the shape of its siblings. Beside it run a model that waits, as products do (AWS forecasts after
a day of history, others after a week): ECM's own without siblings, AWS target tracking before; every pair of their
settings is a point of its curve. And reacting alone: AWS target tracking, and the recent peak. Fixed default settings,
every side swept, compared at equal instance-hours with the interval of a paired block bootstrap by day. Two cases:
three generated applications of one office day, and public counts of mentions of three companies. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.provisioning import FOLDER, NODES_AT_PEAK, TRACES
from ecm.backtest import Curve, Interval, Point, Rules, Trace, clairvoyant, reduction_at_equal_hours, score, simulate
from ecm.backtest.arrays import Counts, Loads
from ecm.backtest.peers import peers
from ecm.pipeline.replay import Question, one_tier, replay
from ecm.pipeline.trial import QUANTILE, QUANTILES
from ecm.telemetry import generate, read_trace

SIBLING_DAYS = 28
"""The siblings have been measured for so long when the newcomer begins."""
DAYS = 14
TRACKING = "AWS target tracking"
REACTIVE = (TRACKING, "recent peak")
WAITS_H = (24, 168)
SEED = 7
END = datetime(2026, 3, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    """A newcomer, NaN before it began, and its siblings on the same grid."""

    trace: Trace
    siblings: Loads


def main() -> int:
    """Run the benchmark; 0 also where a figure is bad, as figures judge nothing."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="the generated applications, hourly")
    quick = arguments.parse_args().quick
    cases = {"generated": generated(60 if quick else 15)}
    if not quick and FOLDER.is_dir():
        cases["mentions"] = mentions()
    elif not quick:
        print(f"mentions skipped: no traces in {FOLDER.name}", file=sys.stderr)
    found = {}
    for name, case in cases.items():
        found[name] = measured(case)
        show(name, found[name])
    print(json.dumps(found))
    return 0


def generated(interval_min: int) -> Case:
    """Return three applications of one office day, each with noise of its own, at different levels."""
    names = ("chat", "mail", "wiki")
    fleet = one_tier(applications=names)
    scale = {"chat": 150.0, "mail": 700.0, "wiki": 380.0}
    table = generate(fleet, end=END, days=SIBLING_DAYS + DAYS, interval_min=interval_min, scale=scale)
    loads = {str(name): part["mbps"].to_numpy() for name, part in table.groupby("application")}
    start = END - timedelta(days=SIBLING_DAYS + DAYS)
    return _case(Trace("wiki", start, interval_min, loads["wiki"]), np.stack([loads["chat"], loads["mail"]]))


def mentions() -> Case:
    """Return the mentions of IBM as a newcomer beside those of AMZN and GOOG."""
    read = [read_trace(FOLDER / TRACES[f"mentions {name}"]) for name in ("IBM", "AMZN", "GOOG")]
    if len({(r.start, r.step_min) for r in read}) != 1:
        raise ValueError("the traces of mentions differ in their grid")
    rows = (SIBLING_DAYS + DAYS) * 1440 // read[0].step_min
    return _case(Trace("IBM", read[0].start, read[0].step_min, read[0].values[:rows]), _loads(read[1:], rows))


def _loads(read: list[Any], rows: int) -> Loads:
    return np.stack([r.values[:rows] for r in read])


def _case(trace: Trace, siblings: Loads) -> Case:
    load = trace.load.copy()
    load[: begun(trace)] = np.nan
    return Case(replace(trace, load=load), siblings)


def begun(trace: Trace) -> int:
    """Return the newcomer's first row."""
    return SIBLING_DAYS * 1440 // trace.step_min


def measured(case: Case) -> dict[str, Any]:
    """Return the figures of one case: from the second hour on, over two weeks."""
    trace, first = case.trace, begun(case.trace) + 60 // case.trace.step_min
    capacity = float(np.nanquantile(trace.load, 0.99)) / NODES_AT_PEAK
    rules = Rules(capacity=capacity, boot_min=5, min_nodes=2)
    span = trace.part(first)
    asked = Question(trace, rules, first, QUANTILES)
    ours = _curve("ecm", span, rules, replay(replace(asked, siblings=case.siblings)).desired)
    chosen = QUANTILES.index(QUANTILE)
    point = Point(ours.violated_min[chosen], ours.node_hours[chosen])
    # Who reacts has seen the newcomer's first hour and nothing before: there was nothing.
    own = trace.part(begun(trace))
    reacting = {
        name: np.concatenate([p.desired(own, rules, first - begun(trace)) for p in peers()[name]]) for name in REACTIVE
    }
    others = {f"{name}": _curve(name, span, rules, desired) for name, desired in reacting.items()}
    for hours in WAITS_H:
        others[f"waits {hours} h"] = _curve(f"waits {hours} h", span, rules, waiting(asked, reacting[TRACKING], hours))
    best = score(simulate(span, rules, clairvoyant(span, rules)), span, rules)
    return {
        "violated_min": float(point.violated_min.sum()),
        "violated_pct": round(100 * float(point.violated_min.sum()) / (span.rows * span.step_min), 4),
        "hours_vs_clairvoyant": round(float(point.node_hours.sum()) / best.node_hours, 4),
        "violations_vs_others_at_equal_hours": {name: _ends(point, curve) for name, curve in others.items()},
        "first_day_vs_others_at_equal_hours": {
            name: _ends(_first_day(point), _first_day_of(curve)) for name, curve in others.items()
        },
    }


def waiting(asked: Question, before: Counts, hours: int) -> Counts:
    """Return who reacts as `before` (settings, rows) until `hours` of history, then plans with ECM without siblings."""
    step = asked.trace.step_min
    start = begun(asked.trace)
    own = asked.trace.part(start)
    ready = hours * 60 // step
    after = replay(Question(own, asked.rules, ready, asked.quantiles)).desired
    until = ready - (asked.first - start)
    return np.concatenate([np.concatenate([np.repeat(b[None, :until], len(after), 0), after], axis=1) for b in before])


def _curve(name: str, span: Trace, rules: Rules, desired: Counts) -> Curve:
    runs = [simulate(span, rules, one) for one in desired]
    violated = np.array([r.violated_min_by_day() for r in runs])
    hours = np.array([r.node_hours_by_day() for r in runs])
    return Curve(name, tuple(str(k) for k in range(len(runs))), violated, hours, span.step_min / 2)


def _first_day(point: Point) -> Point:
    return Point(point.violated_min[:1], point.node_hours[:1])


def _first_day_of(curve: Curve) -> Curve:
    return replace(curve, violated_min=curve.violated_min[:, :1], node_hours=curve.node_hours[:, :1])


def _ends(ours: Point, curve: Curve) -> dict[str, float | None]:
    """Return ours over theirs in violated minutes at our hours; null where theirs never come as cheap."""
    if float(ours.node_hours.sum()) < float(curve.totals()[0].min()):
        return {"estimate": None, "favourable": None, "unfavourable": None}
    found: Interval = reduction_at_equal_hours(ours, curve, SEED)
    return {
        "estimate": round(1 - found.estimate, 4),
        "favourable": round(1 - found.high, 4),
        "unfavourable": round(1 - found.low, 4),
    }


def show(name: str, found: dict[str, Any]) -> None:
    """Print one case's figures."""
    out = Console()
    out.print(
        f"\n[bold]{name}[/bold]: {found['violated_min']:g} min violated ({found['violated_pct']:.3f} %) in two weeks "
        f"at {found['hours_vs_clairvoyant']:.3f} x the clairvoyant's hours"
    )
    table = Table(box=None, pad_edge=False)
    for column in ("beside", "violations, ours / theirs", "90 % interval", "on the first day"):
        table.add_column(column, justify="left" if column == "beside" else "right")
    for other, ratio in found["violations_vs_others_at_equal_hours"].items():
        day = found["first_day_vs_others_at_equal_hours"][other]["estimate"]
        table.add_row(
            other,
            _text(ratio["estimate"]),
            f"{_text(ratio['favourable'])} to {_text(ratio['unfavourable'])}",
            _text(day),
        )
    out.print(table)


def _text(value: float | None) -> str:
    return "they cost more" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(main())
