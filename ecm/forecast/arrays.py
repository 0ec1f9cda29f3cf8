"""Array operations on panels (series, steps) in which NaN stands for a value that was not measured."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Steps = npt.NDArray[np.int64]


def take(panel: Values, steps: Steps) -> Values:
    """Return `panel[:, steps]` with shape (series, *steps.shape); NaN where a step lies outside the panel."""
    if _consecutive(steps):
        return _shifted(panel, int(steps[0]), len(steps))
    inside = (steps >= 0) & (steps < panel.shape[1])
    values = panel[:, np.clip(steps, 0, panel.shape[1] - 1)]
    return np.where(inside, values, np.nan)


def _consecutive(steps: Steps) -> bool:
    return steps.ndim == 1 and len(steps) > 0 and bool((np.diff(steps) == 1).all())


def _shifted(panel: Values, first: int, count: int) -> Values:
    """Return the steps [first, first + count) of `panel`; NaN where one lies outside."""
    found = np.full((panel.shape[0], count), np.nan)
    here, there = _overlap(panel.shape[1], first, count)
    found[:, here] = panel[:, there]
    return found


def _overlap(length: int, first: int, count: int) -> tuple[slice, slice]:
    """Return which of the steps [first, first + count) lie within `length`: their places in the span and themselves."""
    begin = min(max(first, 0), length)
    end = max(min(first + count, length), begin)
    return slice(begin - first, end - first), slice(begin, end)


def mean(panel: Values, axis: int = -1) -> Values:
    """Return the mean of the measured values along `axis`; NaN where there is none."""
    measured = ~np.isnan(panel)
    count = measured.sum(axis=axis)
    total = np.where(measured, panel, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def highest(panel: Values) -> Values:
    """Return the largest measured value along the last axis; NaN where there is none."""
    filled = np.where(np.isnan(panel), -np.inf, panel).max(axis=-1)
    return np.where(np.isfinite(filled), filled, np.nan)


def smoothed(panel: Values, reach: int) -> Values:
    """Return the centred moving mean over 2 reach + 1 steps of the measured values."""
    if reach < 1:
        return panel
    measured = ~np.isnan(panel)
    filled = np.where(measured, panel, 0.0)
    total, count = np.zeros(panel.shape), np.zeros(panel.shape)
    for shift in range(-reach, reach + 1):
        here, there = _overlap(panel.shape[1], shift, panel.shape[1])
        total[:, here] += filled[:, there]
        count[:, here] += measured[:, there]
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def trailing_mean(panel: Values, length: int) -> Values:
    """Return at every step the mean of the measured values of the last `length` steps, this one included; 0 if none."""
    measured = ~np.isnan(panel)
    total = np.cumsum(np.where(measured, panel, 0.0), axis=1)
    count = np.cumsum(measured, axis=1)
    total[:, length:] -= total[:, :-length].copy()
    count[:, length:] -= count[:, :-length].copy()
    return np.where(count > 0, total / np.maximum(count, 1), 0.0)


def seasonal_mean(panel: Values, steps: Steps, lags: list[int], decay: float) -> Values:
    """Return the mean of the values `lags` before `steps`, each lag weighing `decay` times the one before it.

    Shape (series, *steps.shape); lags that were not measured are left out; NaN where none was.
    """
    total = np.zeros((panel.shape[0], *steps.shape))
    weight = np.zeros_like(total)
    if _consecutive(steps):
        known = ~np.isnan(panel)
        filled = np.where(known, panel, 0.0)
        for k, lag in enumerate(lags):
            here, there = _overlap(panel.shape[1], int(steps[0]) - lag, len(steps))
            total[:, here] += filled[:, there] * decay**k
            weight[:, here] += known[:, there] * decay**k
        return np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), np.nan)
    for k, lag in enumerate(lags):
        values = take(panel, steps - lag)
        measured = ~np.isnan(values)
        total += np.where(measured, values, 0.0) * decay**k
        weight += measured * decay**k
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), np.nan)


def last_measured(panel: Values) -> Values:
    """Return the latest measured value of every series; NaN where there is none."""
    steps = panel.shape[1] - 1 - np.argmax(~np.isnan(panel[:, ::-1]), axis=1)
    values: Values = panel[np.arange(panel.shape[0]), steps]
    return values


def conformal(ordered: Values, share: float) -> Values:
    """Return the split-conformal quantile along the last, sorted axis: rank ceil(share (S + 1)) of S values.

    The largest value where S is too small to show the quantile. Lei et al., Distribution-Free Predictive Inference for
    Regression (2018), section 2.2.
    """
    size = ordered.shape[-1]
    rank = int(np.ceil(np.round(share * (size + 1), 9)))
    values: Values = ordered[..., min(max(rank, 1), size) - 1]
    return values


def pinball(share: float, actual: Values, predicted: Values) -> Values:
    """Return the pinball loss: `share` per unit forecast too low, 1 - share per unit too high."""
    short = actual - predicted
    return np.maximum(share * short, (share - 1) * short)
