"""Dated events given to the forecast against not given: violated minutes at equal instance-hours, and honest effects.

Into two public traces ten campaigns of one kind are injected: their dates are in the fleet file, their effects are not;
each multiplies the load by a factor drawn log-uniformly from 1.2 to 2, seed below. What is violated on the days of the
third campaign and later is compared at equal instance-hours of the whole span, the side without events swept over its
planning quantile. The taxi trace has five dated events of its own that occur once each: nothing can be learnt, and
knowing the dates must do no harm. Whether effects keep what is said of them is counted over many draws. Fixed default
settings; intervals are those of a paired block bootstrap by day. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from benchmarks.provisioning import FOLDER, NODES_AT_PEAK, TRACES
from ecm.backtest import Curve, Interval, Point, Rules, Trace, reduction_at_equal_hours, simulate
from ecm.forecast.causes import causes_of
from ecm.forecast.effects import effects
from ecm.forecast.season import Season
from ecm.model.fleet import Event
from ecm.pipeline.replay import NAME, Question, one_tier, replay
from ecm.pipeline.trial import QUANTILE, QUANTILES
from ecm.telemetry import read_trace

CAMPAIGNS = 10
FACTORS = (1.2, 2.0)
HOURS = (3, 6)
"""A campaign lasts so long and begins between 08:00 and 16:00."""
LEARNT_FROM = 2
"""From the third campaign on, two have shown what the kind does."""
SEED = 4
DRAWS = 20
"""Ten campaigns are drawn so often to count how often an effect lies within its stated interval."""
Days = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Layout:
    """Which part of a trace is used and where campaigns lie in it, in days of the part."""

    trace: str
    skip_days: int
    first_day: int
    every_days: int
    days: int


LAYOUTS = (Layout("nasa", 0, 6, 2, 27), Layout("application server", 120, 42, 5, 92))
QUICK = Layout("application server", 120, 28, 2, 50)
TAXI_DAYS = ("2014-11-02", "2014-11-27", "2014-12-25", "2015-01-01", "2015-01-26")
TAXI_KINDS = ("marathon", "thanksgiving", "christmas", "new year", "snow storm")
TAXI_FIRST = "2014-10-20"


@dataclass(frozen=True)
class Campaigns:
    """A trace with campaigns in it."""

    trace: Trace
    events: tuple[Event, ...]
    factors: tuple[float, ...]


@dataclass(frozen=True)
class Side:
    """One way of planning, by day: of the default quantile, and swept."""

    point: Point
    curve: Curve


def main() -> int:
    """Run the benchmark; 0 also where a figure is bad, as figures judge nothing."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="seven weeks of the application server alone")
    quick = arguments.parse_args().quick
    if not FOLDER.is_dir():
        print(f"skipped: no traces in {FOLDER.name}", file=sys.stderr)
        print(json.dumps({"skipped": "no traces"}))
        return 0
    found: dict[str, Any] = {}
    for layout in (QUICK,) if quick else LAYOUTS:
        made = campaigns(part(layout), layout, SEED)
        days = event_days(made.trace, made.events[LEARNT_FROM:], layout.first_day)
        found[layout.trace] = compared(made.trace, made.events, (layout.first_day, days)) | honest(layout)
        show(layout.trace, found[layout.trace])
    if not quick:
        trace, events = taxi()
        first = (datetime.fromisoformat(TAXI_FIRST).date() - trace.start.date()).days
        found["taxi"] = compared(trace, events, (first, event_days(trace, events, first)))
        show("taxi", found["taxi"])
    print(json.dumps(found))
    return 0


def part(layout: Layout) -> Trace:
    """Return whole days of a public trace, from its first midnight on."""
    whole = _trace(layout.trace)
    day = 1440 // whole.step_min
    begin = (-(whole.start.hour * 60 + whole.start.minute) // whole.step_min) % day + layout.skip_days * day
    return whole.part(begin, begin + layout.days * day)


def _trace(name: str) -> Trace:
    read = read_trace(FOLDER / TRACES[name])
    return Trace(name, read.start, read.step_min, read.values)


def campaigns(trace: Trace, layout: Layout, seed: int) -> Campaigns:
    """Return `trace` with ten campaigns, drawn from `seed`."""
    drawn = np.random.default_rng(seed)
    load = trace.load.copy()
    events, factors = [], []
    for number in range(CAMPAIGNS):
        hours = int(drawn.integers(HOURS[0], HOURS[1] + 1))
        day = layout.first_day + number * layout.every_days
        start = trace.start + timedelta(days=day, hours=int(drawn.integers(8, 17 - hours // 2)))
        factor = float(np.exp(drawn.uniform(*np.log(FACTORS))))
        end = start + timedelta(hours=hours)
        first, after = (int((t - trace.start) / timedelta(minutes=trace.step_min)) for t in (start, end))
        load[first:after] *= factor
        events.append(Event(id=f"campaign-{number + 1}", kind="campaign", start=start, end=end))
        factors.append(factor)
    return Campaigns(Trace(trace.name, trace.start, trace.step_min, load), tuple(events), tuple(factors))


def taxi() -> tuple[Trace, tuple[Event, ...]]:
    """Return the taxi trace and its five dated events, a day long each, none of which occurs twice."""
    trace = _trace("taxi")
    events = []
    for kind, text in zip(TAXI_KINDS, TAXI_DAYS, strict=True):
        start = datetime.fromisoformat(text).replace(tzinfo=trace.start.tzinfo)
        events.append(Event(id=kind.replace(" ", "-"), kind=kind, start=start, end=start + timedelta(days=1)))
    return trace, tuple(events)


def event_days(trace: Trace, events: tuple[Event, ...], first_day: int) -> Days:
    """Return for every day from `first_day` on whether one of `events` is on it."""
    days = np.zeros(-(-trace.rows * trace.step_min // 1440) - first_day, dtype=np.bool_)
    for event in events:
        begin, end = ((t - trace.start) / timedelta(days=1) for t in (event.start, event.end))
        days[max(math.floor(begin) - first_day, 0) : math.ceil(end) - first_day] = True
    return days


def compared(trace: Trace, events: tuple[Event, ...], where: tuple[int, Days]) -> dict[str, Any]:
    """Return violated minutes with `events` given against not given, on their days and on the others."""
    first_day, days = where
    first = first_day * 1440 // trace.step_min
    capacity = float(np.nanquantile(trace.load[:first], 0.99)) / NODES_AT_PEAK
    rules = Rules(capacity=capacity, boot_min=5, min_nodes=2)
    given, without = (planned(Question(trace, rules, first, QUANTILES, known)) for known in (events, ()))
    chosen = QUANTILES.index(QUANTILE)
    return {
        "violated_min_given": _by(given.point.violated_min, days),
        "violated_min_not_given": _by(without.point.violated_min, days),
        "hours_given_vs_not_given": _by(given.point.node_hours, days, without.curve.node_hours[chosen]),
        "violations_vs_not_given_at_equal_hours": {
            "event_days": _ends(at_equal_hours(given, without, days)),
            "other_days": _ends(at_equal_hours(given, without, ~days)),
        },
    }


def planned(asked: Question) -> Side:
    """Return what `asked` leads to, by day."""
    made = replay(asked)
    span = asked.trace.part(asked.first)
    runs = [simulate(span, asked.rules, desired) for desired in made.desired]
    violated = np.array([r.violated_min_by_day() for r in runs])
    hours = np.array([r.node_hours_by_day() for r in runs])
    chosen = asked.quantiles.index(QUANTILE)
    labels = tuple(str(q) for q in asked.quantiles)
    return Side(Point(violated[chosen], hours[chosen]), Curve("ecm", labels, violated, hours, span.step_min / 2))


def at_equal_hours(given: Side, without: Side, days: Days) -> Interval:
    """Return 1 - given / not given, of the violated minutes on `days`, at equal instance-hours of the whole span."""
    curve = without.curve
    masked = Curve(curve.name, curve.labels, curve.violated_min * days, curve.node_hours, curve.floor_min)
    return reduction_at_equal_hours(Point(given.point.violated_min * days, given.point.node_hours), masked, SEED)


def _by(values: npt.NDArray[np.float64], days: Days, unit: npt.NDArray[np.float64] | None = None) -> dict[str, float]:
    parts = {"event_days": days, "other_days": ~days}
    of = values if unit is None else unit
    return {n: round(float(values[d].sum() / (of[d].sum() if unit is not None else 1)), 4) for n, d in parts.items()}


def _ends(found: Interval) -> dict[str, float]:
    return {"estimate": round(1 - found.estimate, 4), "unfavourable": round(1 - found.low, 4)}


def honest(layout: Layout) -> dict[str, Any]:
    """Return how often the drawn effect lay in the 80 % interval that was stated just before the campaign began."""
    trace = part(layout)
    inside = [_inside(campaigns(trace, layout, SEED + draw)) for draw in range(DRAWS)]
    later = [hits[LEARNT_FROM:] for hits in inside]
    return {
        "effects_inside_80pct": round(float(np.mean(inside)), 4),
        "effects_inside_80pct_from_the_third": round(float(np.mean(later)), 4),
        "effects_inside_80pct_of_ten": int(np.sum(inside[0])),
    }


def _inside(made: Campaigns) -> list[bool]:
    """Return of each campaign whether its effect lay in the interval that was stated when it began."""
    trace, fleet = made.trace, one_tier(made.events)
    causes = causes_of(fleet, NAME, (trace.start, trace.step_min, trace.rows))
    hits = []
    for cause, factor in zip(causes, made.factors, strict=True):
        known = effects(trace.load[: cause.first], causes, Season(trace.step_min), cause.after - cause.first)
        low, high = next(e for c, e in known.causes if c == cause).interval80
        hits.append(low <= factor <= high)
    return hits


def show(name: str, found: dict[str, Any]) -> None:
    """Print one trace's figures."""
    out = Console()
    ratios = found["violations_vs_not_given_at_equal_hours"]
    table = Table(title=name, title_justify="left", box=None, pad_edge=False)
    for column in ("", "violated min, given", "not given", "hours given / not", "at equal hours", "unfavourable end"):
        table.add_column(column, justify="right" if column else "left")
    for days in ("event_days", "other_days"):
        row = [found[key][days] for key in ("violated_min_given", "violated_min_not_given")]
        ratio = ratios[days]
        table.add_row(
            days.replace("_", " "),
            *(f"{value:g}" for value in row),
            f"{found['hours_given_vs_not_given'][days]:.3f}",
            f"{ratio['estimate']:.3f}",
            f"{ratio['unfavourable']:.3f}",
        )
    out.print(table)
    if "effects_inside_80pct" in found:
        out.print(
            f"effects inside their 80 % interval: {found['effects_inside_80pct_of_ten']} of {CAMPAIGNS}; "
            f"{100 * found['effects_inside_80pct']:.0f} % of {DRAWS} draws of them, "
            f"{100 * found['effects_inside_80pct_from_the_third']:.0f} % from the third on"
        )


if __name__ == "__main__":
    sys.exit(main())
