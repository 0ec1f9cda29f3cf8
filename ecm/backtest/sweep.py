"""A policy at all its settings on one trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ecm.backtest.metrics import Score, score
from ecm.backtest.pareto import Curve
from ecm.backtest.peers.policy import Policy
from ecm.backtest.simulate import simulate
from ecm.backtest.trace import Rules, Trace


@dataclass(frozen=True, eq=False)
class Sweep:
    """The curve of a family of policies and the figures of each of its points, in the curve's order."""

    curve: Curve
    scores: tuple[Score, ...]


def sweep(name: str, variants: Sequence[Policy], trace: Trace, rules: Rules, first: int) -> Sweep:
    """Replay every setting of every variant on the rows from `first` on; the rows before are history.

    The variants' points form one curve: a peer is credited with its best variant at every number of hours.
    """
    span = trace.part(first)
    labels: list[str] = []
    scores: list[Score] = []
    violated, hours = [], []
    for policy in variants:
        for value, desired in zip(policy.grid, policy.desired(trace, rules, first), strict=True):
            run = simulate(span, rules, desired)
            labels.append(f"{policy.variant}, {policy.knob} {value:g}".removeprefix(", "))
            scores.append(score(run, span, rules))
            violated.append(run.violated_min_by_day())
            hours.append(run.node_hours_by_day())
    curve = Curve(name, tuple(labels), np.array(violated), np.array(hours), trace.step_min / 2)
    return Sweep(curve, tuple(scores))
