"""Quantiles of a block's errors by distance: a series' own where they are many, the panel's shape in the tail."""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from ecm.forecast.arrays import Values
from ecm.forecast.outlook.choosing import SHARES, Chosen, Past, combined, conformal, pooled, unit
from ecm.forecast.outlook.grid import Grid

SPREAD = 0.8
"""The spread of a series' errors is this quantile of their absolute values: seen often enough in 50 origins."""
KNOWN = 2.0
"""A quantile of a series' own errors counts half where so many origins exceeded it, and less where fewer did."""
LEAST_ORIGINS = 6
"""A series with fewer origins has no errors of its own."""
WIDE_SIGMA = 0.5
"""Standard deviation of the logarithm of load over forecast where no error was ever measured: P90 x1.9, P99 x3.2."""


class Scaled(NamedTuple):
    """Quantiles of scaled errors of a block."""

    own: Values
    """(series, shares, bands)"""
    spread: Values
    """(series, bands)"""
    origins: Values
    """(series, bands): at how many the errors are known."""


def scaled(past: Past, chosen: Chosen, grid: Grid) -> Scaled:
    """Return the quantiles and spreads of what the chosen models got wrong, in units of forecast ** power."""
    path = combined(past.paths, chosen.used, grid.groups)
    errors = (past.actual - path) / unit(path, past.floor, chosen.power)
    own, spread, origins = [], [], []
    for band in grid.bands:
        ordered, count = pooled(errors[..., band])
        own.append(np.stack([conformal(ordered, count, share) for share in SHARES], axis=1))
        spread.append(conformal(np.sort(np.abs(ordered), axis=1), count, SPREAD))
        origins.append((~np.isnan(errors[..., band])).any(axis=2).sum(axis=1))
    return Scaled(np.stack(own, axis=2), np.stack(spread, axis=1), np.stack(origins, axis=1).astype(np.float64))


def shape_of(past: Past, chosen: Chosen, grid: Grid) -> Values:
    """Return the quantiles of errors over spread of all series together, (shares, bands): the shape of their tails.

    NaN where no series has errors.
    """
    found = scaled(past, chosen, grid)
    path = combined(past.paths, chosen.used, grid.groups)
    errors = (past.actual - path) / unit(path, past.floor, chosen.power)
    shape = np.full((len(SHARES), len(grid.bands)), np.nan)
    for place, band in enumerate(grid.bands):
        spread = found.spread[:, place]
        usable = (spread > 0) & (found.origins[:, place] >= LEAST_ORIGINS)
        relative = errors[usable][..., band] / spread[usable, None, None]
        ordered, count = pooled(relative.reshape(1, -1))
        if int(count[0]):
            shape[:, place] = [conformal(ordered, count, share)[0] for share in SHARES]
    return shape


def tables(found: Scaled, shape: Values) -> Values:
    """Return the quantiles of scaled errors to forecast with, (series, shares, bands); NaN where there is no error.

    Fifty origins do not show a P99. So a quantile is the mean of the series' own and of the panel's shape times the
    series' spread, weighed by how many origins can be expected beyond it: shrinkage as of a Gamma prior on a rate.
    """
    beyond = found.origins[:, None] * (1 - np.array(SHARES))[:, None]
    weight = beyond / (beyond + KNOWN)
    lent = shape * found.spread[:, None]
    mixed = np.where(np.isnan(lent), found.own, weight * found.own + (1 - weight) * lent)
    known = found.origins[:, None] >= LEAST_ORIGINS
    return np.sort(np.where(known, mixed, np.nan), axis=1)


def quantiles(path: Values, errors: Values, sigma: Values) -> Values:
    """Return (series, shares, steps): `path` plus `errors` in Mbit/s, wide where there are none.

    `sigma`, (series, steps), is the standard deviation of the logarithm of what events do: independent of other errors,
    so that squares of distances from the median add up.
    """
    scores = np.array([NormalDist().inv_cdf(share) for share in SHARES])[:, None]
    wide = path[:, None] * (np.exp(WIDE_SIGMA * scores) - 1)
    distance = np.where(np.isnan(errors), wide, errors)
    if sigma.any():
        middle = distance[:, :1]
        event = path[:, None] * (np.exp(sigma[:, None] * scores) - 1)
        distance = middle + np.sqrt((distance - middle) ** 2 + event**2)
    found: Values = np.maximum.accumulate(np.maximum(path[:, None] + distance, 0.0), axis=1)
    return found
