"""Replay of decisions: what was ready, what was violated and what was billed.

Time model: the row stamped t is the load of [t, t + step). A decision stamped t acts at t: added nodes serve from
t + boot and are billed from t; removed nodes stop serving at once and are billed `bill_after_min` longer. Nodes still
booting are removed first, as nobody would stop a serving node to keep one that is not. What is desired at the first row
is ready at it: a test span starts with a running fleet, not with a cold one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecm.backtest.arrays import Counts, Flags, Loads, longest_run, trailing
from ecm.backtest.trace import Rules, Trace

DAY_MIN = 1440


@dataclass(frozen=True, eq=False)
class Run:
    """The outcome of one sequence of decisions on one trace."""

    tick_min: int
    """Resolution of the arrays below, minutes; a whole part of the step."""
    desired: Counts
    """(rows,): decided nodes."""
    ready: Counts
    """(ticks,): nodes that serve."""
    violated: Flags
    """(ticks,): the load exceeds what the ready nodes serve."""
    billed: Loads
    """(ticks,): node-minutes; those after a removal count at the removal."""
    unserved_share: float
    """Share of the measured load above what the ready nodes serve."""
    operation_usd: float
    node_usd_per_hour: float

    @property
    def violated_min(self) -> int:
        """Violated minutes."""
        return int(self.violated.sum()) * self.tick_min

    @property
    def longest_violation_min(self) -> int:
        """Minutes of the longest violation without a break."""
        return longest_run(self.violated) * self.tick_min

    @property
    def node_hours(self) -> float:
        """Billed instance-hours."""
        return float(self.billed.sum()) / 60

    @property
    def operations(self) -> int:
        """Scale actions: rows whose decision differs from the row before."""
        return int(np.count_nonzero(np.diff(self.desired)))

    @property
    def node_changes(self) -> int:
        """Nodes added plus nodes removed."""
        return int(np.abs(np.diff(self.desired)).sum())

    @property
    def usd(self) -> float:
        """Price of the instance-hours and of the operations."""
        return self.node_hours * self.node_usd_per_hour + self.operations * self.operation_usd

    def violated_min_by_day(self) -> Loads:
        """Return the violated minutes of each 24 h from the first row on; the last may be shorter."""
        return self._by_day(self.violated.astype(np.float64) * self.tick_min)

    def node_hours_by_day(self) -> Loads:
        """Return the billed instance-hours of each 24 h from the first row on; the last may be shorter."""
        return self._by_day(self.billed / 60)

    def _by_day(self, values: Loads) -> Loads:
        day = np.arange(values.size) * self.tick_min // DAY_MIN
        return np.bincount(day, weights=values).astype(np.float64)


def simulate(trace: Trace, rules: Rules, desired: Counts) -> Run:
    """Return what `desired`, one count per row of `trace`, leads to; ValueError where it does not fit."""
    if desired.shape != trace.load.shape:
        raise ValueError(f"desired has shape {desired.shape}, the trace has {trace.load.shape}")
    if desired.min() < rules.min_nodes:
        raise ValueError(f"desired falls to {desired.min()}, below the minimum of {rules.min_nodes} nodes")
    tick = rules.tick_min(trace.step_min)
    per_row = trace.step_min // tick
    standing = np.repeat(desired, per_row)
    # A node serves at a tick when it was desired at every moment of the boot time before it.
    ready = trailing(np.minimum, standing, rules.boot_min // tick, float(desired[0]))
    load = np.repeat(trace.load, per_row)
    served: Loads = ready.astype(np.float64) * rules.capacity
    removed = np.maximum(-np.diff(standing, prepend=standing[:1]), 0)
    return Run(
        tick_min=tick,
        desired=desired,
        ready=ready,
        violated=load > served,
        billed=standing * float(tick) + removed * float(rules.bill_after_min),
        unserved_share=_unserved(load, served),
        operation_usd=rules.operation_usd,
        node_usd_per_hour=rules.node_usd_per_hour,
    )


def _unserved(load: Loads, served: Loads) -> float:
    total = float(np.nansum(load))
    return float(np.nansum(np.maximum(load - served, 0.0))) / total if total > 0 else 0.0
