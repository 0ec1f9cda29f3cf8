"""The exact optimum of someone who knows the load: fewest instance-hours without a violation.

The fleet splits into levels: level k stands where at least k nodes are desired, and its costs (time standing, billing
after each removal) do not depend on the others. A level must stand at every moment from which a boot time reaches a row
that needs it. A gap between two such times is bridged where standing through it costs no more than the billing after a
removal: ski rental, with the gap known (`bill_after` + boot in terms of need, since boot is part of what must stand).
Levels stay nested because a gap of a lower level is never longer than that of a higher one around it. The first row
needs no boot time, as in the simulator, and decisions are made at the rules' cadence.
"""

from __future__ import annotations

import numpy as np

from ecm.backtest.arrays import Counts, leading, trailing
from ecm.backtest.trace import Rules, Trace, demand

ENDLESS = np.iinfo(np.int64).max
"""Stands for the time after the last row: until then the rest of the trace is a gap like any other."""


def clairvoyant(trace: Trace, rules: Rules) -> Counts:
    """Return the decisions, one per row, with the fewest instance-hours of all that violate nothing."""
    per_row = rules.ticks(trace.step_min)
    needed = np.repeat(demand(trace, rules), per_row)
    return standing(needed, trace.step_min, rules)[::per_row]


def standing(needed: Counts, step_min: int, rules: Rules) -> Counts:
    """Return the nodes that must be desired at each tick so that `needed` are ready; both of shape (..., ticks)."""
    tick = rules.tick_min(step_min)
    early = leading(np.maximum, needed, rules.boot_min // tick, 0)
    decided = _decided(early, rules.period(step_min) * rules.ticks(step_min))
    return _bridged(decided, rules.bill_after_min // tick)


def _decided(early: Counts, period: int) -> Counts:
    """Return the largest of each `period` ticks, at each of them: between decisions the desired count is held."""
    ticks = early.shape[-1]
    whole = -(-ticks // period) * period
    padded = np.zeros((*early.shape[:-1], whole), dtype=np.int64)
    padded[..., :ticks] = early
    peaks = padded.reshape(*early.shape[:-1], whole // period, period).max(axis=-1)
    return np.repeat(peaks, period, axis=-1)[..., :ticks]


def _bridged(decided: Counts, reach: int) -> Counts:
    """Return `decided` with every gap of at most `reach` ticks filled, level by level (a morphological closing)."""
    end = np.full((*decided.shape[:-1], 1), ENDLESS, dtype=np.int64)
    whole: Counts = np.concatenate([decided, end], axis=-1)
    reached = trailing(np.maximum, whole, reach, 0)
    return leading(np.minimum, reached, reach, ENDLESS)[..., :-1]
