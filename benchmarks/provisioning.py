"""ECM beside what people use today on public traces: violated minutes at equal instance-hours, hours, coverage.

Two thirds of each trace are history, the last third is decided with fixed default settings. Capacity is the P99 of the
first two thirds over 20, so that some 20 nodes serve the peak; 5 min boot, at least 2 nodes. Intervals are those of a
paired block bootstrap by day; a comparison counts at its unfavourable end. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ecm.backtest import Rules, Trace, hours_at_equal_violations
from ecm.backtest.coverage import HOURS, Coverage
from ecm.pipeline.alone import Alone, alone
from ecm.pipeline.replay import Question
from ecm.pipeline.trial import OURS, QUANTILE, QUANTILES, Trial, policy_names, trial
from ecm.telemetry import read_trace

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "telemetry"
TRACES = {
    "nasa": "nasa_requests_5min_july.csv",
    "load balancer": "nab_elb_request_count_5min.csv",
    "application server": "appserver_requests_1h_2015_2017.csv",
    "taxi": "nab_nyc_taxi_30min.csv",
    "mentions AMZN": "nab_mentions_AMZN_5min.csv",
    "mentions GOOG": "nab_mentions_GOOG_5min.csv",
    "mentions IBM": "nab_mentions_IBM_5min.csv",
}
NODES_AT_PEAK = 20
HISTORY_DAYS, DECIDED_DAYS = 30, 60
ALONE_S, ALL_S = 300, 900
"""Bounds of 60 days of decisions every 5 minutes on two processors, seconds: ECM alone, and with all peers."""
TRACKING = "AWS target tracking"


@dataclass(frozen=True)
class Measured:
    """One trace's trial and the seconds that ECM and all policies together took."""

    trial: Trial
    ours_s: float
    all_s: float
    models: tuple[Alone, ...] = ()


def main() -> int:
    """Run the benchmark; 0 also where a figure is bad, as figures judge nothing."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="the NASA trace alone")
    arguments.add_argument(
        "--sixty-days", action="store_true", help="how long 60 days take: the NASA trace's last weeks, repeated"
    )
    arguments.add_argument("--trace", choices=tuple(TRACES), action="append", help="only this one; may be repeated")
    asked = arguments.parse_args()
    names = asked.trace or (["nasa"] if asked.quick else list(TRACES))
    if not FOLDER.is_dir():
        print(f"skipped: no traces in {FOLDER.name}", file=sys.stderr)
        print(json.dumps({"skipped": "no traces"}))
        return 0
    found = {}
    if asked.sixty_days:
        trace = repeated(trace_of(FOLDER / TRACES["nasa"]), HISTORY_DAYS + DECIDED_DAYS)
        measured = measure(trace, trace.rows - DECIDED_DAYS * 1440 // trace.step_min, models=False)
        seconds = figures(measured)["seconds"]
        print(f"{seconds['decisions']} decisions: ECM alone {seconds['ecm']} s, ECM and all peers {seconds['all']} s")
        print(json.dumps({"sixty_days": seconds | {"bound_ecm": ALONE_S, "bound_all": ALL_S}}))
        return 0
    for name in names:
        trace = trace_of(FOLDER / TRACES[name])
        measured = measure(trace, trace.rows * 2 // 3, models=not asked.quick)
        show(name, measured)
        found[name] = figures(measured)
    print(json.dumps(found))
    return 0


def trace_of(file: Path) -> Trace:
    """Return the trace in `file`."""
    read = read_trace(file)
    return Trace(file.stem, read.start, read.step_min, read.values)


def repeated(trace: Trace, days: int) -> Trace:
    """Return `days` days of the last whole weeks of `trace`, one after the other: for timing, nothing in it is new."""
    day = 1440 // trace.step_min
    whole = trace.load[-(trace.rows // (7 * day) * 7 * day) :]
    return replace(trace, name=f"{trace.name}, repeated", load=np.resize(whole, days * day))


def measure(trace: Trace, first: int, *, models: bool) -> Measured:
    """Return the trial of one trace from the row `first` on, and of each of its `models` alone."""
    capacity = float(np.nanquantile(trace.load[:first], 0.99)) / NODES_AT_PEAK
    question = Question(trace, Rules(capacity=capacity, boot_min=5, min_nodes=2), first, QUANTILES)
    began = time.perf_counter()
    trial(Question(trace, question.rules, first, (QUANTILE,)), ())
    ours_s = time.perf_counter() - began
    made = trial(question, [p for p in policy_names() if p != OURS])
    all_s = time.perf_counter() - began - ours_s
    listed = alone(replace(question, quantiles=(QUANTILE,)), made.replay, time.perf_counter) if models else ()
    return Measured(made, ours_s, all_s, listed)


def figures(measured: Measured) -> dict[str, Any]:
    """Return the figures of one trace; a comparison is null where the peer never comes as cheap as ours."""
    made = measured.trial
    ours = made.ours.scores[made.chosen]
    return {
        "violated_pct": round(100 * ours.violated_share, 4),
        "hours_vs_clairvoyant": round(ours.node_hours / made.best.node_hours, 4),
        "hours_vs_clairvoyant_at_0.1pct": _number(made.hours_ratio_at(0.001)),
        "violations_vs_peer_at_equal_hours": {
            peer.curve.name: {"estimate": _number(1 - c.estimate), "unfavourable": _number(1 - c.low)}
            for peer, c in zip(made.peers, made.comparisons, strict=True)
        },
        "node_changes": ours.node_changes,
        "node_changes_vs_target_tracking_at_equal_violations": _changes(made),
        "coverage": {
            str(c.quantile): {
                "exceeded": round(c.overall.share, 4),
                "low": round(c.overall.low, 4),
                "high": round(c.overall.high, 4),
                "by_hour": [None if e is None else round(e.share, 4) for e in c.by_hour],
            }
            for c in made.coverage
        },
        "models": {m.model: _alone(m) for m in measured.models},
        "seconds": {"decisions": made.span.rows, "ecm": round(measured.ours_s, 1), "all": round(measured.all_s, 1)},
    }


def _alone(one: Alone) -> dict[str, Any] | str:
    """Return the figures of one model alone."""
    if one.score is None:
        return "not installed"
    return {
        "pinball": _number(one.loss),
        "within_p99": _number(one.within),
        "violated_pct": round(100 * one.score.violated_share, 4),
        "instance_hours": round(one.score.node_hours, 1),
        "selected": _number(one.selected),
        "fit_s": _number(one.fit_s),
        "update_ms": _number(one.update_ms),
    }


def _number(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def _changes(made: Trial) -> float | None:
    """Return our node changes over those of the cheapest target tracking that violates as little; None: none does."""
    ours = made.ours.scores[made.chosen]
    tracking = next(p for p in made.peers if p.curve.name == TRACKING)
    as_good = [s for s in tracking.scores if s.violated_min <= ours.violated_min]
    if not as_good:
        return None
    return round(ours.node_changes / min(as_good, key=lambda s: s.node_hours).node_changes, 3)


def _models(rows: tuple[Alone, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("model alone", "pinball", "within P99", "violated", "node-hours", "selected", "fit s"):
        table.add_column(column, justify="left" if column == "model alone" else "right")
    for one in rows:
        if one.score is None:
            table.add_row(one.model, "not installed")
            continue
        table.add_row(
            one.model,
            f"{one.loss:.4g}",
            f"{100 * one.within:.2f} %",
            f"{100 * one.score.violated_share:.3f} %",
            f"{one.score.node_hours:.0f}",
            f"{100 * one.selected:.0f} %",
            f"{one.fit_s:.2f}",
        )
    return table


def show(name: str, measured: Measured) -> None:
    """Print one trace's table."""
    made, out = measured.trial, Console()
    ours = made.ours.scores[made.chosen]
    out.print(
        f"\n[bold]{name}[/bold]: {made.span.rows} decisions, {100 * ours.violated_share:.3f} % violated at "
        f"{ours.node_hours / made.best.node_hours:.3f} x the clairvoyant's hours "
        f"({made.hours_ratio_at(0.001):.3f} x at 0.1 %), {ours.node_changes} node changes"
    )
    table = Table(box=None, pad_edge=False)
    for column in ("peer", "violations, ours / theirs", "90 % interval", "its hours at our violations"):
        table.add_column(column, justify="left" if column == "peer" else "right")
    for peer, found in zip(made.peers, made.comparisons, strict=True):
        hours = hours_at_equal_violations(peer.curve, ours.violated_min) / made.best.node_hours
        table.add_row(
            peer.curve.name,
            f"{1 - found.estimate:.3f}",
            f"{1 - found.high:.3f} to {1 - found.low:.3f}",
            f"{hours:.2f} x",
        )
    out.print(table)
    if measured.models:
        out.print(_models(measured.models))
    out.print(covered(made.coverage))


def covered(found: tuple[Coverage, ...]) -> Table:
    """Return how often each quantile was exceeded: over all, its 90 % interval, and in each hour of the day (UTC)."""
    table = Table(box=None, pad_edge=False, title="exceeded, %", title_justify="left")
    for column in ("hour", *(f"P{100 * c.quantile:g}" for c in found)):
        table.add_column(column, justify="right")
    table.add_row("all", *(f"{_pct(c.overall.share)} ({_pct(c.overall.low)} to {_pct(c.overall.high)})" for c in found))
    for hour in range(HOURS):
        each = [c.by_hour[hour] for c in found]
        table.add_row(f"{hour:02d}", *("" if e is None else _pct(e.share) for e in each))
    return table


def _pct(share: float) -> str:
    return f"{100 * share:.2f}"


if __name__ == "__main__":
    sys.exit(main())
