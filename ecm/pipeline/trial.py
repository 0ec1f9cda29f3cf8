"""ECM and its peers on one trace: every policy swept over its target, compared at equal instance-hours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ecm.backtest import (
    Curve,
    Interval,
    Point,
    Rules,
    Run,
    Score,
    Sweep,
    Trace,
    clairvoyant,
    hours_at_equal_violations,
    reduction_at_equal_hours,
    score,
    simulate,
    sweep,
)
from ecm.backtest.coverage import Coverage, coverage
from ecm.backtest.peers import aws_predictive, peers, true_hours
from ecm.pipeline.replay import Question, Replay, hourly_forecasts, replay

OURS = "ecm"
QUANTILE = 995
"""The default planning quantile, permille: a violated minute priced as 200 minutes of a node (newsvendor)."""
QUANTILES = (800, 850, 900, 930, 950, 960, 970, 980, 985, 990, 993, 995, 997, 998, 999)
"""ECM's sweep: fewer points than any peer's."""
COVERED = (900, 950, 990)
"""Quantiles of the window's maximum, permille, whose coverage is counted."""
SEED = 20_180_601
"""Of the bootstrap."""
AWS_PREDICTIVE = "AWS predictive scaling"
AWS_ORACLE = "AWS predictive scaling, true hourly loads"


@dataclass(frozen=True, eq=False)
class Trial:
    """What came of one trace."""

    question: Question
    replay: Replay
    ours: Sweep
    """In the order of the question's quantiles."""
    chosen: int
    """The place of the default, or asked for, quantile in the sweep."""
    run: Run
    """Of the chosen quantile."""
    best: Score
    """The clairvoyant's."""
    peers: tuple[Sweep, ...]
    comparisons: tuple[Interval, ...]
    """By peer: 1 - ours / theirs in violated minutes at our instance-hours; NaN where theirs do not come so low."""
    coverage: tuple[Coverage, ...]

    @property
    def span(self) -> Trace:
        """The rows that were decided."""
        return self.question.trace.part(self.question.first)

    def hours_ratio_at(self, violated_share: float) -> float:
        """Return our instance-hours over the clairvoyant's where `violated_share` of the measured time is violated."""
        measured_min = int((~np.isnan(self.span.load)).sum()) * self.span.step_min
        return hours_at_equal_violations(self.ours.curve, violated_share * measured_min) / self.best.node_hours


def policy_names() -> tuple[str, ...]:
    """Return the names of all policies, ours first."""
    return (OURS, *peers(), AWS_PREDICTIVE, AWS_ORACLE)


def trial(
    asked: Question,
    policies: Sequence[str],
    chosen: int = QUANTILE,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Trial:
    """Replay `asked` with ECM and with the peers named in `policies`; `chosen` is one of its quantiles."""
    made = replay(asked, progress)
    span, rules = asked.trace.part(asked.first), asked.rules
    runs = [simulate(span, rules, desired) for desired in made.desired]
    place = asked.quantiles.index(chosen)
    swept = tuple(_peer(name, asked) for name in policies if name != OURS)
    point = Point(runs[place].violated_min_by_day(), runs[place].node_hours_by_day())
    return Trial(
        question=asked,
        replay=made,
        ours=_sweep(asked, runs, span),
        chosen=place,
        run=runs[place],
        best=score(simulate(span, rules, clairvoyant(span, rules)), span, rules),
        peers=swept,
        comparisons=tuple(_compared(point, peer.curve) for peer in swept),
        coverage=_coverage(asked, made),
    )


def _compared(ours: Point, peer: Curve) -> Interval:
    """Return the comparison; NaN where the peer's cheapest point costs more than ours: their hours do not meet."""
    if float(ours.node_hours.sum()) < float(peer.totals()[0].min()):
        return Interval(float("nan"), float("nan"), float("nan"))
    return reduction_at_equal_hours(ours, peer, SEED)


def _sweep(asked: Question, runs: list[Run], span: Trace) -> Sweep:
    labels = tuple(f"planning quantile {q / 1000:g}" for q in asked.quantiles)
    violated = np.array([r.violated_min_by_day() for r in runs])
    hours = np.array([r.node_hours_by_day() for r in runs])
    curve = Curve(OURS, labels, violated, hours, span.step_min / 2)
    return Sweep(curve, tuple(score(r, span, asked.rules) for r in runs))


def _peer(name: str, asked: Question) -> Sweep:
    if name == AWS_ORACLE:
        variants = aws_predictive(true_hours(asked.trace))
    elif name == AWS_PREDICTIVE:
        variants = aws_predictive(hourly_forecasts(asked))
    else:
        variants = peers()[name]
    return sweep(name, variants, asked.trace, asked.rules, asked.first)


def _coverage(asked: Question, made: Replay) -> tuple[Coverage, ...]:
    trace = asked.trace
    rows = np.arange(asked.first, trace.rows, asked.rules.period(trace.step_min))
    minutes = (trace.start_minute + rows * trace.step_min).astype(np.float64)
    return tuple(coverage(level / 1000, made.exceeded(level), minutes, SEED) for level in COVERED)


__all__ = ["AWS_ORACLE", "AWS_PREDICTIVE", "OURS", "QUANTILE", "QUANTILES", "Rules", "Trial", "policy_names", "trial"]
