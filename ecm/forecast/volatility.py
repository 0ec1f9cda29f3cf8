"""How restless a series is now against how restless it usually is, and how high it went lately."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ecm.forecast.arrays import Values
from ecm.forecast.season import Season

LOCAL_MIN = 20
"""What comes next is compared with an exponential mean over the last 20 minutes, at least two steps."""
NOW_MIN = 60
"""Restlessness now is that of the last hour, at least six steps; usual is that of four weeks."""
USUAL_DAYS = 28
FADE_MIN = 120
"""A peak counts half after two hours: who came for a burst comes back within hours. On the first parts of public traces
(web servers, a load balancer, mentions, taxi rides) 60 to 240 min lie within a few percent of each other in pinball
loss at 0.995, 6 % below no peak at all."""
BOUNDS = (0.25, 4.0)
"""Beyond these the ratio says more about a fault of measurement than about the load."""


def restlessness(values: Values, season: Season, floor: Values) -> Values:
    """Return recent over usual absolute surprise at every step, (series, time): 1 where nothing is known.

    A surprise counts in units of the square root of the load (as counts behave), not below `floor` (series). The ratio
    at a step uses values up to that step: an exponentially weighted forecast of volatility (RiskMetrics 1996).
    """
    frame = pd.DataFrame(values.T)
    local = frame.ewm(span=max(2, LOCAL_MIN // season.interval_min), ignore_na=True).mean().shift(1)
    unit = local.clip(lower=pd.Series(floor), axis=1) ** 0.5
    surprise = (frame - local).abs() / unit
    now = surprise.ewm(span=max(6, NOW_MIN // season.interval_min), ignore_na=True).mean()
    usual = surprise.rolling(USUAL_DAYS * season.day, min_periods=1).mean()
    ratio = (now / usual.where(usual > 0)).ffill().fillna(1.0).to_numpy().T
    # Far below any real difference, far above what two machines differ by.
    bounded: Values = np.round(np.clip(ratio, *BOUNDS), 9)
    return bounded


def fading_peak(values: Values, season: Season, floor: Values) -> Values:
    """Return at every step, (series, time), the highest load up to it where each counts half `FADE_MIN` later.

    At least `floor` (series). After a burst errors stay as large as they were within it: its end is no sooner known
    than its beginning was.
    """
    # In logarithms, so that a running maximum does it: a load falls by a constant each step.
    fallen = np.arange(values.shape[1]) * (season.interval_min / FADE_MIN)
    least = np.maximum(floor, np.finfo(np.float64).tiny)[:, None]
    level = np.log2(np.maximum(np.nan_to_num(values), least))
    peak = np.exp2(np.maximum.accumulate(level + fallen, axis=1) - fallen)
    found: Values = np.round(np.maximum(peak, least), 9)
    return found
