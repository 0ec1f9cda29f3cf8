"""Chooses model and error scale of one series by what they would have cost on past windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ecm.forecast.arrays import Values, conformal, highest, pinball

POWERS = (0.5, 0.0, 1.0)
"""An error counts in units of forecast ** power: 0 additive, 1 relative, 0.5 between them (as counts behave); the first
is preferred."""
SHARES = (0.9, 0.98)
"""Losses are those of these quantiles of the window's maximum: what a plan buys; too low costs 9 to 49 times more."""
MARGIN = 0.03
"""Another candidate must be better than a preferred one by this share: differences below it are chance."""
SCALE_FLOOR = 0.05
"""The unit of relative errors is at least this share of the mean load: a quiet night must not make errors infinite."""
MEASURED_SHARE = 0.8
"""A past window counts when at least this share of it was measured."""
MIN_WINDOWS = 20
"""A candidate with fewer past windows is not judged."""
CHECKS = 40
"""At most this many windows are checked for coverage."""


@dataclass(frozen=True)
class Past:
    """What every model forecast for one series from past origins, and what came."""

    actual: Values
    """(origins, steps)"""
    paths: Values
    """(models, origins, steps)"""
    window_first: int
    floor: float
    """Smallest unit of scaled errors, Mbit/s."""


class Candidate(NamedTuple):
    """A model's place in the list of models, and the power of its error scale."""

    model: int
    power: float


def unit(path: Values, power: float, floor: float) -> Values:
    """Return the unit in which the errors of `path` are counted."""
    scale: Values = np.maximum(path, floor) ** power
    return scale


def usable(past: Past, model: int) -> npt.NDArray[np.bool_]:
    """Return the origins at which `model` forecast and whose window was measured."""
    forecast: npt.NDArray[np.bool_] = ~np.isnan(past.paths[model]).any(axis=1)
    both: npt.NDArray[np.bool_] = _measured(past) & forecast
    return both


def _measured(past: Past) -> npt.NDArray[np.bool_]:
    window = past.actual[:, past.window_first :]
    enough: npt.NDArray[np.bool_] = (~np.isnan(window)).mean(axis=1) >= MEASURED_SHARE
    return enough


def choose(past: Past, chosen: npt.NDArray[np.bool_]) -> Candidate | None:
    """Return the candidate with the lowest loss on the origins `chosen`; None where none can be judged.

    Quantiles are taken from one half of the origins (in time) and charged on the other, and the other way round.
    """
    best: tuple[float, Candidate] | None = None
    for model in range(len(past.paths)):
        rows = np.flatnonzero(usable(past, model) & chosen)
        if len(rows) < MIN_WINDOWS:
            continue
        actual = highest(past.actual[rows][:, past.window_first :])
        forecast = past.paths[model][rows][:, past.window_first :].max(axis=1)
        for power in POWERS:
            loss = _loss(actual, forecast, unit(forecast, power, past.floor))
            if best is None or loss < best[0] * (1 - MARGIN):
                best = (loss, Candidate(model, power))
    return best[1] if best else None


def _loss(actual: Values, forecast: Values, scale: Values) -> float:
    errors = (actual - forecast) / scale
    half = len(errors) // 2
    early, late = slice(None, half), slice(half, None)
    total = 0.0
    for fit, check in ((early, late), (late, early)):
        ordered = np.sort(errors[fit])
        for share in SHARES:
            predicted = forecast[check] + conformal(ordered, share) * scale[check]
            total += float(pinball(share, actual[check], predicted).sum())
    # Ties between machines must fall alike: far below any real difference, far above rounding errors.
    return round(total / len(errors), 9)


def errors(past: Past, candidate: Candidate) -> Values:
    """Return the scaled errors of `candidate`, (origins, steps), complete.

    A step that was not measured has the error of the step before it (or the first one measured); an origin that cannot
    be used has the errors of another one, so that every series has an error for every scenario.
    """
    path = past.paths[candidate.model]
    found: Values = (past.actual - path) / unit(path, candidate.power, past.floor)
    good = np.flatnonzero(usable(past, candidate.model))
    steps = np.maximum.accumulate(np.where(np.isnan(found), -1, np.arange(found.shape[1])), axis=1)
    first = np.argmax(~np.isnan(found), axis=1)[:, None]
    found = np.take_along_axis(found, np.where(steps < 0, first, steps), axis=1)
    missing = np.setdiff1d(np.arange(len(found)), good)
    found[missing] = found[good[np.arange(len(missing)) % len(good)]]
    return found


def coverage_permille(past: Past) -> int:
    """Return the share of later windows whose maximum stayed within the P90 that the earlier ones gave.

    The model is chosen and its errors are taken on the earlier half of the origins alone, and checked on the later.
    0 where there are too few to check.
    """
    measured = _measured(past)
    early = np.cumsum(measured) <= measured.sum() // 2
    candidate = choose(past, early)
    if candidate is None:
        return 0
    good = usable(past, candidate.model)
    fit, check = np.flatnonzero(good & early), np.flatnonzero(good & ~early)
    if not len(check):
        return 0
    check = check[:: -(-len(check) // CHECKS)]
    path = past.paths[candidate.model][:, past.window_first :]
    scaled = errors(past, candidate)[fit][:, past.window_first :]
    inside = 0
    for origin in check:
        scale = unit(path[origin], candidate.power, past.floor)
        maxima = np.sort((path[origin] + scaled * scale).max(axis=1))
        inside += int(highest(past.actual[origin, past.window_first :]) <= conformal(maxima, 0.9))
    return inside * 1000 // len(check)
