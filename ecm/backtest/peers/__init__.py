"""What people use today, each rule as its documentation states it and swept over its target."""

from __future__ import annotations

from itertools import product

from ecm.backtest.peers.aws_predictive import AwsPredictive
from ecm.backtest.peers.hourly import HORIZON_H, REFRESH_H, HourlyForecasts, true_hours
from ecm.backtest.peers.kubernetes_hpa import KubernetesHpa
from ecm.backtest.peers.policy import TARGETS, Policy
from ecm.backtest.peers.recent_peak import RecentPeak
from ecm.backtest.peers.static_peak import StaticPeak
from ecm.backtest.peers.target_tracking import LOW_APPLICATION, LOW_EC2, TargetTracking
from ecm.backtest.peers.weekly_max import WeeklyMax

RECENT_WINDOWS_MIN = (15, 30, 60, 180, 1440)
STABILISATIONS_S = (300, 900, 3600)
"""The default, and up to the longest that Kubernetes allows."""
BUFFERS_MIN = (5, 15, 30, 59)
"""The default, and up to the longest that AWS allows."""
AHEADS_MIN = (30, 60)
SCALE_IN = tuple(product((LOW_EC2, LOW_APPLICATION), (False, True)))
"""Low alarm and whether target tracking scales in gradually."""


def peers() -> dict[str, tuple[Policy, ...]]:
    """Return the variants of every peer that needs no forecast, by name."""
    return {
        "static peak": (StaticPeak(), StaticPeak(0.99)),
        "recent peak": tuple(RecentPeak(w) for w in RECENT_WINDOWS_MIN),
        "Kubernetes HPA": tuple(KubernetesHpa(s) for s in STABILISATIONS_S),
        "AWS target tracking": tuple(TargetTracking(*s) for s in SCALE_IN),
        "weekly max": tuple(WeeklyMax(m, *s) for m in AHEADS_MIN for s in SCALE_IN),
    }


def aws_predictive(forecasts: HourlyForecasts) -> tuple[Policy, ...]:
    """Return the variants of AWS predictive scaling on `forecasts`."""
    return tuple(AwsPredictive(forecasts, b, *s) for b in BUFFERS_MIN for s in SCALE_IN)


__all__ = [
    "HORIZON_H",
    "REFRESH_H",
    "TARGETS",
    "AwsPredictive",
    "HourlyForecasts",
    "KubernetesHpa",
    "Policy",
    "RecentPeak",
    "StaticPeak",
    "TargetTracking",
    "WeeklyMax",
    "aws_predictive",
    "peers",
    "true_hours",
]
