"""Quantiles of one model's own forecasts, from the errors that it made from a rolling origin: out of sample."""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from ecm.forecast.arrays import Steps, Values, mean, take

LAST_SHARE = 1 / 3
"""Errors are those of forecasts from the last third of the history; what precedes it teaches the parameters."""
MAX_ORIGINS = 512
ERROR_VALUES = 1 << 25
"""Bounds memory: errors kept at a time, of all series, origins and steps."""
MIN_ORIGINS = 64
SCALE_FLOOR = 0.05
"""Errors count in units of the square root of the forecast (as counts behave), not of less than this share of the mean
load: the same as in selection."""
SMALLEST = 1e-150
WIDE_SIGMA = 0.5
"""Standard deviation of the logarithm of load over forecast where no error was ever made: P90 x1.9, P99 x3.2."""

Paths = Callable[[Steps], Values]
"""Forecasts from origins, (series, origins, steps); NaN where the history is too short."""


def quantiles(values: Values, path: Values, paths: Paths, shares: npt.NDArray[np.float64]) -> Values:
    """Return the quantiles `shares` of the loads to come, shape (shares, series, steps).

    `path` (series, steps) is the forecast from the last step of `values`, `paths` gives the same from earlier origins.
    Quantiles are split-conformal per series and horizon (Lei et al., Distribution-Free Predictive Inference for
    Regression, 2018): with too few errors to show one, the largest error. A horizon longer than any that could be
    checked has the errors of the longest, grown with the square root of the horizon, as those of a random walk do.
    Where all that was measured was not negative, no quantile is.
    """
    floor = np.maximum(SCALE_FLOOR * np.nan_to_num(mean(np.abs(values))), SMALLEST)
    unit = np.sqrt(np.maximum(np.abs(path), floor[:, None]))
    spread = _spread(_errors(values, path.shape[1], paths, floor), shares)
    wide = [NormalDist().inv_cdf(share) * WIDE_SIGMA for share in shares.tolist()]
    unchecked = np.abs(path) * (np.exp(np.array(wide))[:, None, None] - 1)
    found = path + np.where(np.isnan(spread), unchecked, spread * unit)
    least = np.where((values < 0).any(axis=1), -np.inf, 0.0)
    kept: Values = np.maximum(found, least[:, None])
    return kept


def _errors(values: Values, steps: int, paths: Paths, floor: Values) -> Values:
    """Return scaled errors (series, origins, steps); NaN where nothing was measured before or after an origin."""
    length = values.shape[1]
    if length < 2:
        return np.full((len(values), 1, steps), np.nan)
    first = max(round(length * (1 - LAST_SHARE)), 1) - 1
    most = min(MAX_ORIGINS, max(MIN_ORIGINS, ERROR_VALUES // (len(values) * steps)))
    origins = np.unique(np.linspace(first, length - 2, most).astype(np.int64))
    begun = np.maximum.accumulate(~np.isnan(values), axis=1)[:, origins, None]
    expected = np.where(begun, paths(origins), np.nan)
    unit = np.sqrt(np.maximum(np.abs(expected), floor[:, None, None]))
    errors: Values = (take(values, origins[:, None] + np.arange(1, steps + 1)) - expected) / unit
    return errors


def _spread(errors: Values, shares: npt.NDArray[np.float64]) -> Values:
    """Return the conformal quantiles of `errors` over the origins, (shares, series, steps); NaN where there is none."""
    ordered = np.sort(errors, axis=1)
    count = (~np.isnan(ordered)).sum(axis=1)
    found = np.empty((len(shares), *count.shape))
    for place, share in enumerate(shares.tolist()):
        exact = np.round(share * (count + 1), 9)
        rank = np.clip(np.ceil(exact) if share > 0.5 else np.floor(exact), 1, np.maximum(count, 1)).astype(np.int64)
        at_rank = np.take_along_axis(ordered, rank[:, None] - 1, axis=1)[:, 0]
        found[place] = _continued(at_rank)
    return found


def _continued(found: Values) -> Values:
    """Return `found` (series, steps) where horizons without errors have those of the longest with any, grown."""
    steps = np.arange(found.shape[1])
    last = np.maximum.accumulate(np.where(np.isnan(found), -1, steps), axis=1)
    grown = np.sqrt((steps + 1) / (np.maximum(last, 0) + 1))
    held = np.take_along_axis(found, np.maximum(last, 0), axis=1)
    return np.where(last >= 0, held * grown, np.nan)
