"""Kubernetes HorizontalPodAutoscaler, nodes in the place of pods.

Rule and defaults: kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale. The real controller looks
every 15 s; here a decision falls at the end of each row and sees the row's value, as if every look of the row had seen
it. Rate limits are per 15 s, so a row allows as many of them as it has quarters of a minute. Utilisation is not capped
at 100 %: a saturated node reports its whole load, which favours the rule.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecm.backtest.arrays import Counts, Loads, nodes_for
from ecm.backtest.peers.policy import TARGETS, rows_still_booting, run_in, sized
from ecm.backtest.trace import Rules, Trace

TOLERANCE = 0.1
SYNC_S = 15
UP_NODES = 4
"""Each 15 s may double the count or add so many, whichever is more; going down 100 % in 15 s, so without a limit."""
MOST_DOUBLINGS = 40
"""Any count is reached by then."""


@dataclass(frozen=True)
class KubernetesHpa:
    """The default controller, with the scale-down stabilisation as the setting beside the target."""

    stabilisation_s: int = 300
    grid: tuple[float, ...] = TARGETS
    name: str = "Kubernetes HPA"
    knob: str = "target utilisation"

    @property
    def variant(self) -> str:
        """The scale-down stabilisation."""
        return f"stabilisation {self.stabilisation_s} s"

    def desired(self, trace: Trace, rules: Rules, first: int) -> Counts:
        """Replay the controller from the run-in on."""
        start, period = run_in(trace, rules, first), rules.period(trace.step_min)
        back = rows_still_booting(trace.step_min, rules.boot_min, at_row_end=True)
        target = np.array(self.grid) * rules.capacity
        limits = _Limits(trace.step_min * period, self.stabilisation_s, rules.min_nodes)
        decided = np.zeros((trace.rows, len(self.grid)), dtype=np.int64)
        wanted = decided.copy()
        now = sized(trace.load[start - 1 : start], self.grid, rules)[:, 0] if start else _least(self, rules)
        for row in range(start, trace.rows):
            load = trace.load[row - 1] if row else np.nan
            wanted[row] = now
            if (row - start) % period == 0 and not np.isnan(load):
                ready = decided[max(start, row - back) : row].min(axis=0) if row > start else now
                wanted[row] = recommended(load, target, ready, now)
                now = limits.applied(wanted[max(start, row - limits.window(trace.step_min)) : row + 1], now)
            decided[row] = now
        return decided[first:].T


def recommended(load: float, target: Loads, ready: Counts, current: Counts) -> Counts:
    """Return the replicas of one look: `target` is load per node, `ready` of the `current` nodes report it.

    Without booting nodes ceil(ready * ratio) unless the ratio is within the tolerance. On the way up booting nodes
    count with a load of 0; where that turns the direction or reaches the tolerance, nothing changes.
    """
    ratio = np.where(ready > 0, load / (target * np.maximum(ready, 1)), np.where(load > 0, np.inf, 0.0))
    damped = load / (target * np.maximum(current, 1))
    dampens = (current > ready) & (ratio > 1)
    used = np.where(dampens, damped, ratio)
    asked = nodes_for(np.full(target.shape, load), target)
    keep = (np.abs(used - 1) <= TOLERANCE) | (dampens & (damped < 1))
    return np.where(keep, current, asked)


@dataclass(frozen=True)
class _Limits:
    """Stabilisation and rate."""

    period_min: int
    stabilisation_s: int
    min_nodes: int

    def window(self, step_min: int) -> int:
        """Return the earlier rows whose recommendations are younger than the stabilisation."""
        return max(0, -(-self.stabilisation_s // (60 * step_min)) - 1)

    def applied(self, wanted: Counts, current: Counts) -> Counts:
        """Return the new count: up at once, down to the largest of `wanted` (looks, knobs), the last look last."""
        stable = np.clip(current, wanted[-1], wanted.max(axis=0))
        return np.maximum(np.minimum(stable, reachable(current, self.period_min * 60 // SYNC_S)), self.min_nodes)


def reachable(current: Counts, looks: int) -> Counts:
    """Return the most nodes after so many looks: each doubles the count or adds four, whichever is more."""
    most = current
    for _ in range(min(looks, MOST_DOUBLINGS)):
        most = np.maximum(2 * most, most + UP_NODES)
    return most


def _least(policy: KubernetesHpa, rules: Rules) -> Counts:
    return np.full(len(policy.grid), rules.min_nodes, dtype=np.int64)
