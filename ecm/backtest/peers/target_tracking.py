"""AWS target tracking, and the loop that the rules which raise its floor share.

Rule: docs.aws.amazon.com/autoscaling/ec2/userguide/as-scaling-target-tracking.html. Alarms as AWS creates them: high
above the target for 3 datapoints in 3 minutes, low under 0.7 (EC2) or 0.9 (Application Auto Scaling) of it for 15 in 15
minutes; both factors are read off the alarms, AWS calls them an implementation detail. A row is the value of each of
its minutes, so the 3 datapoints lie within one row of 5 minutes. Where in doubt the rule is favoured: utilisation is
not capped at 100 %, alarms have no delay, the warm-up is exactly the boot time, and terminating nodes are not counted.
AWS says that it scales in "more gradually" but not how far: to what the latest row needs, or to what each datapoint of
the alarm needs (`gradual`). Both are variants.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecm.backtest.arrays import Counts, Flags, Loads, nodes_for, trailing
from ecm.backtest.peers.policy import TARGETS, rows_still_booting, run_in, sized
from ecm.backtest.trace import Rules, Trace

HIGH_DATAPOINTS_MIN = 3
LOW_DATAPOINTS_MIN = 15
LOW_EC2 = 0.7
LOW_APPLICATION = 0.9


@dataclass(frozen=True)
class TargetTracking:
    """One target tracking policy with scale-in enabled."""

    low_alarm: float = LOW_EC2
    gradual: bool = False
    grid: tuple[float, ...] = TARGETS
    name: str = "AWS target tracking"
    knob: str = "target utilisation"

    @property
    def variant(self) -> str:
        """The low alarm and how far it goes in."""
        return tracking_variant(self.low_alarm, gradual=self.gradual)

    def desired(self, trace: Trace, rules: Rules, first: int) -> Counts:
        """Replay the policy from the run-in on."""
        floors = np.full((len(self.grid), trace.rows), rules.min_nodes, dtype=np.int64)
        return tracked(trace, rules, first, Tracking(self.grid, self.low_alarm, floors, self.gradual))


@dataclass(frozen=True, eq=False)
class Tracking:
    """Settings of the loop."""

    grid: tuple[float, ...]
    low_alarm: float
    floors: Counts
    """(grid, rows): what another policy or the minimum asks for; the group's desired count is the maximum of both."""
    gradual: bool = False
    """Scale in to what the highest datapoint of the low alarm needs, not the latest."""


def tracking_variant(low_alarm: float, *, gradual: bool) -> str:
    """Return the settings beside the target in words."""
    return f"low alarm {low_alarm:g}{', gradual' if gradual else ''}"


def tracked(trace: Trace, rules: Rules, first: int, how: Tracking) -> Counts:
    """Return the decisions of target tracking on top of floors, shape (grid, rows - first)."""
    start, period = run_in(trace, rules, first), rules.period(trace.step_min)
    alarms = _Alarms(trace.step_min, how.low_alarm, len(how.grid))
    reporting = rows_still_booting(trace.step_min, rules.boot_min, at_row_end=True)
    warm = rows_still_booting(trace.step_min, rules.boot_min, at_row_end=False)
    target = np.array(how.grid) * rules.capacity
    floors = np.ascontiguousarray(how.floors.T)
    into = trailing(np.maximum, trace.load, alarms.rows_low - 1 if how.gradual else 0, 0.0)
    decided = np.zeros((trace.rows, len(how.grid)), dtype=np.int64)
    now = sized(trace.load[start - 1 : start], how.grid, rules)[:, 0] if start else floors[0]
    for row in range(start, trace.rows):
        if row > start:
            load = float(trace.load[row - 1])
            alarms.see(load, target * decided[max(start, row - reporting) : row].min(axis=0))
            if (row - start) % period == 0:
                warming = decided[max(start, row - warm) : row].min(axis=0) < now
                low = alarms.low() & ~warming
                needed = nodes_for(np.where(low, into[row - 1], load), target)
                now = stepped(now, needed, alarms.high(), low)
        if (row - start) % period == 0:
            now = np.maximum(now, floors[row])
        decided[row] = now
    return decided[first:].T


def stepped(current: Counts, needed: Counts, high: Flags, low: Flags) -> Counts:
    """Return the new count; `needed` is ceil(current * metric / target), over the nodes that report.

    Out by whole nodes rounded up and counting those that warm up, in by whole nodes rounded down: where 1.5 could go,
    one goes.
    """
    out = np.maximum(current, needed)
    into = np.minimum(current, needed)
    return np.where(high, out, np.where(low, into, current))


class _Alarms:
    """How long each knob value's metric has been above or below its thresholds, in rows without a break."""

    def __init__(self, step_min: int, low_alarm: float, knobs: int) -> None:
        self._low_alarm = low_alarm
        self._rows_high = -(-HIGH_DATAPOINTS_MIN // step_min)
        self.rows_low = -(-LOW_DATAPOINTS_MIN // step_min)
        self._above = np.zeros(knobs, dtype=np.int64)
        self._below = np.zeros(knobs, dtype=np.int64)

    def see(self, load: float, target_load: Loads) -> None:
        """Take one row: `target_load` is what the reporting nodes carry at target. A missing row ends every run."""
        self._above = np.where(load > target_load, self._above + 1, 0)
        self._below = np.where(load < self._low_alarm * target_load, self._below + 1, 0)

    def high(self) -> Flags:
        """Whether the high alarm is on."""
        return self._above >= self._rows_high

    def low(self) -> Flags:
        """Whether the low alarm is on."""
        return self._below >= self.rows_low
