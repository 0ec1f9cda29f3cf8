"""Backtest: decisions replayed over history, against faithful peers and the exact clairvoyant optimum."""

from ecm.backtest.allowance import clairvoyant_within
from ecm.backtest.bootstrap import Interval, Point, reduction_at_equal_hours
from ecm.backtest.clairvoyant import clairvoyant
from ecm.backtest.metrics import Elasticity, Score, elastic_speedup, ratio_to_clairvoyant, score
from ecm.backtest.pareto import Curve, hours_at_equal_violations, violations_at_equal_hours
from ecm.backtest.simulate import Run, simulate
from ecm.backtest.sweep import Sweep, sweep
from ecm.backtest.trace import Rules, Trace

__all__ = [
    "Curve",
    "Elasticity",
    "Interval",
    "Point",
    "Rules",
    "Run",
    "Score",
    "Sweep",
    "Trace",
    "clairvoyant",
    "clairvoyant_within",
    "elastic_speedup",
    "hours_at_equal_violations",
    "ratio_to_clairvoyant",
    "reduction_at_equal_hours",
    "score",
    "simulate",
    "sweep",
    "violations_at_equal_hours",
]
