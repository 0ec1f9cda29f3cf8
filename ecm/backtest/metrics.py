"""Figures of a run: headline figures first, then the SPEC elasticity metrics in their 2018 percent form.

SPEC: Herbst et al., Quantifying Cloud Performance and Dependability, ACM TOMPECS 3(4), 2018 (SPEC-RG-2016-01); written
with demanded units d, supplied units s, and T for the time in which d > 0 (theta has no meaning where d is 0). Demand
is the fewest nodes, at least the minimum, that serve the load. The 2015 and 2017 generations of these metrics differ.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np

from ecm.backtest.arrays import Counts
from ecm.backtest.simulate import Run
from ecm.backtest.trace import Rules, Trace, demand

SPEEDUP_EPSILON_PCT = 0.01
"""Added to each factor of the elastic speedup, percentage points: a metric of 0 would make it infinite. It is a minute
a week, less than the metrics of a week at minute resolution can tell apart."""


@dataclass(frozen=True)
class Elasticity:
    """SPEC 2018, all in percent; less is better."""

    theta_under: float
    """Provisioning accuracy: 100/T sum((d - s)+ / d dt)."""
    theta_over: float
    """100/T sum((s - d)+ / d dt)."""
    tau_under: float
    """Time share with s < d."""
    tau_over: float
    """Time share with s > d."""
    upsilon: float
    """Instability: time share of rows in which supply and demand do not move in the same direction."""


@dataclass(frozen=True)
class Score:
    """What a run cost and what it failed to serve."""

    violated_min: int
    violated_share: float
    """Of the measured time."""
    unserved_share: float
    longest_violation_min: int
    node_hours: float
    usd: float
    operations: int
    node_changes: int
    elasticity: Elasticity


def score(run: Run, trace: Trace, rules: Rules) -> Score:
    """Return the figures of `run`, which `simulate(trace, rules, ...)` returned."""
    measured_min = int((~np.isnan(trace.load)).sum()) * trace.step_min
    return Score(
        violated_min=run.violated_min,
        violated_share=run.violated_min / measured_min if measured_min else 0.0,
        unserved_share=run.unserved_share,
        longest_violation_min=run.longest_violation_min,
        node_hours=run.node_hours,
        usd=run.usd,
        operations=run.operations,
        node_changes=run.node_changes,
        elasticity=elasticity(demand(trace, rules), run.ready),
    )


def elasticity(demanded: Counts, supplied: Counts) -> Elasticity:
    """Return the SPEC metrics of `demanded` (rows,) and `supplied` (ticks,), a whole number of ticks per row.

    Instability is measured between rows, with the supply at the row's end, so that it does not depend on the tick.
    """
    per_row = supplied.size // demanded.size
    by_tick = np.repeat(demanded, per_row)
    wanted = by_tick > 0
    need, have = by_tick[wanted], supplied[wanted]
    moves = np.sign(np.diff(demanded)), np.sign(np.diff(supplied[per_row - 1 :: per_row]))
    return Elasticity(
        theta_under=_percent(np.maximum(need - have, 0) / need),
        theta_over=_percent(np.maximum(have - need, 0) / need),
        tau_under=_percent(have < need),
        tau_over=_percent(have > need),
        upsilon=_percent(np.minimum(np.abs(moves[1] - moves[0]), 1)),
    )


def elastic_speedup(found: Elasticity, without: Elasticity) -> float:
    """Return the geometric mean of how much less theta and tau are than `without` autoscaling; more than 1 is a gain.

    SPEC 2018, with `SPEEDUP_EPSILON_PCT` added to every metric. Instability is no part of it.
    """
    ours = np.array(astuple(found)[:4]) + SPEEDUP_EPSILON_PCT
    theirs = np.array(astuple(without)[:4]) + SPEEDUP_EPSILON_PCT
    return float(np.exp(np.log(theirs / ours).mean()))


def ratio_to_clairvoyant(found: Score, best: Score) -> float:
    """Return the instance-hours relative to those of the clairvoyant; 1 is perfect, regret is the ratio minus 1."""
    return found.node_hours / best.node_hours if best.node_hours > 0 else float("inf")


def _percent(values: np.ndarray[tuple[int, ...], np.dtype[np.float64 | np.bool_ | np.int64]]) -> float:
    return 100 * float(values.mean()) if values.size else 0.0
