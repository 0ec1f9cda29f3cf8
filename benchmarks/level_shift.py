"""Days that it takes to recover after a level shift, and what is violated and paid meanwhile.

The level of a generated load doubles, or halves, at noon without notice; and a public application server's requests
rise to more than three times within four weeks, and stay there. A quantile has recovered when its exceedance over the
trailing day is back within what chance explains for good (999 in 1000, binomial; the P90 in both directions, the P99
upwards). Beside it what the same days violate with AWS target tracking at equal hours. Fixed default settings. The last
line is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.provisioning import FOLDER, NODES_AT_PEAK, TRACES
from ecm.backtest import Rules, Trace, clairvoyant, score, simulate, sweep
from ecm.backtest.arrays import Flags
from ecm.backtest.pareto import violations_at_equal_hours
from ecm.backtest.peers import peers
from ecm.pipeline.replay import NAME, Question, one_tier, replay
from ecm.pipeline.trial import QUANTILE
from ecm.telemetry import generate, read_trace

HISTORY_DAYS = 28
AFTER_DAYS = 10
"""Followed so long after a sudden shift: longer than the week in which a weekly shape is learnt anew."""
SERVER_DAYS = 42
"""The application server's level rises for four weeks; it is followed two weeks longer."""
FACTORS = (2.0, 0.5)
CHANCE = 0.999
TRACKING = "AWS target tracking"
END = datetime(2026, 3, 16, tzinfo=UTC)
SERVER_SHIFT = "2015-11-09"
"""The day from which the application server's level rises."""


@dataclass(frozen=True)
class Shift:
    """A trace of four weeks before and some days after its level begins to change at row `at`."""

    trace: Trace
    at: int


def main() -> int:
    """Run the benchmark; 0 also where a figure is bad, as figures judge nothing."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="the generated load that doubles, hourly")
    quick = arguments.parse_args().quick
    shifts = {
        f"generated x{factor:g}": generated(factor, 60 if quick else 15) for factor in FACTORS[: 1 if quick else None]
    }
    if not quick and FOLDER.is_dir():
        shifts["application server"] = server()
    elif not quick:
        print(f"application server skipped: no traces in {FOLDER.name}", file=sys.stderr)
    found = {name: measured(shift) for name, shift in shifts.items()}
    show(found)
    print(json.dumps(found))
    return 0


def generated(factor: float, interval_min: int) -> Shift:
    """Return a generated office day whose level changes by `factor` at noon, within its busiest hours."""
    days = HISTORY_DAYS + AFTER_DAYS
    table = generate(one_tier(), end=END, days=days, interval_min=interval_min, scale={NAME: 500.0})
    load = table["mbps"].to_numpy().copy()
    at = (HISTORY_DAYS * 1440 + 720) // interval_min
    load[at:] *= factor
    return Shift(Trace("generated", END - timedelta(days=days), interval_min, load), at)


def server() -> Shift:
    """Return the application server's weeks around the change of its level."""
    read = read_trace(FOLDER / TRACES["application server"])
    whole = Trace("application server", read.start, read.step_min, read.values)
    day = 1440 // read.step_min
    at = int((datetime.fromisoformat(SERVER_SHIFT).replace(tzinfo=UTC) - read.start) / timedelta(minutes=read.step_min))
    begin = max(at - HISTORY_DAYS * day, 0)
    return Shift(whole.part(begin, at + SERVER_DAYS * day), at - begin)


def measured(shift: Shift) -> dict[str, Any]:
    """Return the figures of one shift: decisions from the day before it on."""
    trace = shift.trace
    day = 1440 // trace.step_min
    first = shift.at - day
    capacity = float(np.nanquantile(trace.load[:first], 0.99)) / NODES_AT_PEAK
    rules = Rules(capacity=capacity, boot_min=5, min_nodes=2)
    made = replay(Question(trace, rules, first, (QUANTILE,)))
    after = trace.part(shift.at)
    run = simulate(after, rules, made.desired[0][day:])
    best = score(simulate(after, rules, clairvoyant(after, rules)), after, rules)
    hours = float(run.node_hours_by_day().sum())
    peer = sweep(TRACKING, peers()[TRACKING], trace, rules, shift.at).curve
    pit = made.pit[day:]
    return {
        "days_until_p90_recovers": recovered(pit > 0.9, ~np.isnan(pit), (0.1, day), both=True),
        "days_until_p99_recovers": recovered(pit > 0.99, ~np.isnan(pit), (0.01, day), both=False),
        "violated_min": float(run.violated_min_by_day().sum()),
        "hours_vs_clairvoyant": round(hours / best.node_hours, 4),
        "violated_min_of_target_tracking_at_equal_hours": round(violations_at_equal_hours(peer, hours), 1),
    }


def recovered(above: Flags, known: Flags, rate: tuple[float, int], *, both: bool) -> float:
    """Return the days from the shift until the trailing day's count of `above` stays within its bounds; 0: always.

    `rate` is what a calibrated quantile has: share and decisions in a day. A trailing day reaches back to the shift at
    most, so the first counts are over fewer decisions.
    """
    share, day = rate
    last = 0
    for end in range(1, above.size + 1):
        recent = slice(max(end - day, 0), end)
        count, of = int(above[recent][known[recent]].sum()), int(known[recent].sum())
        low, high = bounds(of, share)
        if count > high or (both and count < low):
            last = end
    return round(last / day, 2)


def bounds(of: int, share: float) -> tuple[int, int]:
    """Return the fewest and the most of `of` independent events of probability `share` that chance explains."""
    each = [math.comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(of + 1)]
    total = np.cumsum(each)
    return int(np.searchsorted(total, 1 - CHANCE)), int(np.searchsorted(total, CHANCE))


def show(found: dict[str, dict[str, Any]]) -> None:
    """Print the figures."""
    table = Table(box=None, pad_edge=False)
    names = (
        "level shift",
        "days until P90 recovers",
        "P99",
        "violated min",
        "of clairvoyant's hours",
        "target tracking",
    )
    for column in names:
        table.add_column(column, justify="left" if column == "level shift" else "right")
    for name, row in found.items():
        table.add_row(
            name,
            f"{row['days_until_p90_recovers']:g}",
            f"{row['days_until_p99_recovers']:g}",
            f"{row['violated_min']:g}",
            f"{row['hours_vs_clairvoyant']:.3f}",
            f"{row['violated_min_of_target_tracking_at_equal_hours']:g} min",
        )
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
