"""Models and error scale of every series of a block, by what they would have cost: no loop over series."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ecm.forecast.arrays import Steps, Values, mean, pinball, take
from ecm.forecast.learning import TIE
from ecm.forecast.outlook.grid import Grid
from ecm.forecast.selection import POWERS

SHARES = (0.5, 0.9, 0.99)
"""Quantiles that are forecast, and whose loss decides."""
MOST_MODELS = 3
"""The mean of the best two and of the best three models compete with the best one: they err in different ways."""
MARGIN = 0.02
"""A mean of models stands unless fewer models are better by this share, and so does the preferred scale: differences
below it are chance."""
LEAST_ERRORS = 10
"""A model with fewer errors in either half of the past is not judged."""

Flags = npt.NDArray[np.bool_]


class Past(NamedTuple):
    """What the models of a block forecast at past origins, and what came, at the grid's `leads`."""

    actual: Values
    """(series, origins, leads)"""
    paths: Values
    """(models, series, origins, leads)"""
    floor: Values
    """(series): smallest unit of scaled errors."""


class Chosen(NamedTuple):
    """What forecasts a block."""

    used: Flags
    """(groups, models, series): whose mean is the forecast; none where nothing could be judged."""
    power: Values
    """(series): errors count in units of forecast ** power."""


def actual(values: Values, grid: Grid) -> Values:
    """Return what came `grid.leads` after every past origin, as far as it had been measured by the refit."""
    return take(values[:, : grid.fitted], grid.origins[:, None] + grid.leads)


def choose(past: Past, groups: tuple[slice, ...]) -> Chosen:
    """Return for every series and group of leads the models with the lowest loss, and one scale of errors.

    The loss of a step is the pinball loss of its quantiles. They come from the errors of one half of the origins (in
    time) and are charged on the other, and the other way round: all out of sample.
    """
    used = np.stack([_models(_part(past, group)) for group in groups])
    return Chosen(used, _power(past, used, groups))


def _part(past: Past, group: slice) -> Past:
    return Past(past.actual[..., group], past.paths[..., group], past.floor)


def _models(past: Past) -> Flags:
    """Return which models are used, (models, series)."""
    count, rows = len(past.paths), np.arange(len(past.floor))
    alone = np.stack([_loss(past, path, POWERS[0]) for path in past.paths])
    # Rounded like all that decides: machines differ in the last bits.
    order = np.argsort(np.round(alone, 9), axis=0, kind="stable")
    candidates, losses = [], []
    for size in range(min(MOST_MODELS, count), 0, -1):
        best = order[:size]
        able = np.isfinite(alone[best[-1], rows])
        loss = alone[best[0], rows] if size == 1 else _loss(past, past.paths[best, rows].mean(axis=0), POWERS[0])
        candidates.append(np.any(np.arange(count)[:, None] == best[:, None], axis=0))
        losses.append(np.where(able, loss, np.inf))
    picked = _preferred(np.stack(losses))
    used = np.stack(candidates)[picked, :, rows].T
    used[:, ~np.isfinite(alone).any(axis=0)] = False
    return used


def _preferred(losses: Values) -> Steps:
    """Return the first candidate (axis 0) that none of those after it beats clearly."""
    best = np.zeros(losses.shape[1], dtype=np.int64)
    rows = np.arange(losses.shape[1])
    for place in range(1, len(losses)):
        best[losses[place] < losses[best, rows] * (1 - MARGIN) - TIE] = place
    return best


def _power(past: Past, used: Flags, groups: tuple[slice, ...]) -> Values:
    path = combined(past.paths, used, groups)
    return np.array(POWERS)[_preferred(np.stack([_loss(past, path, power) for power in POWERS]))]


def combined(paths: Values, used: Flags, groups: tuple[slice, ...]) -> Values:
    """Return the mean of the `used` paths (models, series, ..., leads) that could be made; NaN where there is none."""
    found = np.full(paths.shape[1:], np.nan)
    for group, mine in zip(groups, used, strict=True):
        known = mine.reshape(*mine.shape, *(1,) * (paths.ndim - 2)) & ~np.isnan(paths[..., group])
        count = known.sum(axis=0)
        total = np.where(known, paths[..., group], 0.0).sum(axis=0)
        found[..., group] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return found


def unit(path: Values, floor: Values, power: Values | float) -> Values:
    """Return the unit in which errors of `path` (series, ...) count."""
    shape = (-1,) + (1,) * (path.ndim - 1)
    exponent = np.broadcast_to(np.asarray(power, dtype=np.float64), floor.shape).reshape(shape)
    scale: Values = np.maximum(path, floor.reshape(shape)) ** exponent
    return scale


def _loss(past: Past, path: Values, power: float) -> Values:
    """Return the mean pinball loss over origins and leads, by series; infinite where too few errors are known."""
    scale = unit(path, past.floor, power)
    scaled = (past.actual - path) / scale
    half = scaled.shape[1] // 2
    early, late = slice(None, half), slice(half, None)
    total = np.zeros(len(path))
    for fit, check in ((early, late), (late, early)):
        ordered, count = pooled(scaled[:, fit])
        wrong = np.zeros(path[:, check].shape)
        for share in SHARES:
            error = conformal(ordered, count, share)[:, None, None]
            wrong += pinball(share, past.actual[:, check], path[:, check] + error * scale[:, check])
        found = mean(wrong.reshape(len(wrong), -1))
        total += np.where((count >= LEAST_ERRORS) & ~np.isnan(found), found, np.inf)
    return total / 2


def pooled(scaled: Values) -> tuple[Values, Steps]:
    """Return the errors of every series, sorted (those not known last), and how many are known."""
    flat = scaled.reshape(len(scaled), -1)
    return np.sort(flat, axis=1), np.asarray((~np.isnan(flat)).sum(axis=1), dtype=np.int64)


def conformal(ordered: Values, count: Steps, share: float) -> Values:
    """Return the split-conformal quantile of the first `count` of each row; NaN where there are none.

    As `ecm.forecast.arrays.conformal`, with rows of different lengths.
    """
    if not ordered.shape[1]:
        return np.full(len(ordered), np.nan)
    rank = np.ceil(np.round(share * (count + 1), 9)).astype(np.int64)
    place = np.clip(rank, 1, np.maximum(count, 1)) - 1
    found: Values = ordered[np.arange(len(ordered)), place]
    return found
