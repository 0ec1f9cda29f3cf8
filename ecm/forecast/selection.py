"""Chooses model and error scale of one series by what they would have cost on past windows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ecm.forecast.arrays import Values, conformal, highest, pinball

POWERS = (0.5, 0.0, 1.0)
"""An error counts in units of forecast ** power: 0 additive, 1 relative, 0.5 between them (as counts behave); the first
is preferred."""
WEIGHTS = (0.25, 0.0, 0.5)
"""Share of the scale that follows the present restlessness; the first is preferred."""
SHARES = (0.9, 0.98, 0.995)
"""Losses are those of these quantiles of the window's maximum: what a plan buys; too low costs 9 to 199 times more."""
MARGIN = 0.03
"""Another candidate must be better than a preferred one by this share: differences below it are chance."""
COMBINED = 3
"""The mean of the best two and of the best three models are candidates too: they err in different ways."""
SCALE_FLOOR = 0.05
"""Errors count in units of at least this share of the mean load: a quiet night must not make them infinite."""
MEASURED_SHARE = 0.8
"""A past window counts when at least this share of it was measured."""
MIN_WINDOWS = 20
"""A candidate with fewer past windows is not judged."""
JUDGED = 1024
"""At most this many windows, evenly spread, judge the candidates."""
CHECKS = 40
"""At most this many windows are checked for coverage."""


@dataclass(frozen=True)
class Past:
    """What every model forecast for one series from past origins, and what came."""

    actual: Values
    """(origins, steps)"""
    paths: Values
    """(models, origins, steps)"""
    restless: Values
    """(origins): recent over usual restlessness at each origin."""
    window_first: int
    floor: Values
    """(origins): least load, Mbit/s, that the unit of errors is taken from: the fading peak at each origin."""

    def at(self, rows: npt.NDArray[np.int64]) -> Past:
        """Return the same of the origins `rows` alone."""
        return Past(self.actual[rows], self.paths[:, rows], self.restless[rows], self.window_first, self.floor[rows])


class Candidate(NamedTuple):
    """Models whose mean is the forecast, by their places in the list of models, and the scale of its errors."""

    models: tuple[int, ...]
    power: float = POWERS[0]
    weight: float = WEIGHTS[0]

    def path(self, paths: Values) -> Values:
        """Return the candidate's forecast from those of all models, which are the first axis."""
        found: Values = paths[list(self.models)].mean(axis=0)
        return found

    def unit(self, path: Values, restless: Values, floor: Values) -> Values:
        """Return the unit in which the errors of `path` are counted; `restless` and `floor` fit its leading axes."""
        inner = restless.shape + (1,) * (path.ndim - restless.ndim)
        scale: Values = np.maximum(path, floor.reshape(inner)) ** self.power
        return scale * (1 - self.weight + self.weight * restless).reshape(inner)


def usable(past: Past, candidate: Candidate) -> npt.NDArray[np.bool_]:
    """Return the origins at which `candidate` forecast and whose window was measured."""
    missing = np.isnan(past.paths[list(candidate.models)]).any(axis=(0, 2))
    return np.asarray(_measured(past) & ~missing, dtype=np.bool_)


def _measured(past: Past) -> npt.NDArray[np.bool_]:
    window = past.actual[:, past.window_first :]
    return np.asarray(np.mean(~np.isnan(window), axis=1) >= MEASURED_SHARE, dtype=np.bool_)


def choose(past: Past) -> Candidate | None:
    """Return the candidate with the lowest loss; None where none can be judged.

    First the models alone, then the means of the best ones, then their error scales.
    """
    rows = np.flatnonzero(_measured(past))
    past = past.at(rows[:: max(1, -(-len(rows) // JUDGED))])
    alone = {Candidate((m,)): _loss(past, Candidate((m,))) for m in range(len(past.paths))}
    ranked = sorted((loss, place, c) for place, (c, loss) in enumerate(alone.items()) if np.isfinite(loss))
    if not ranked:
        return None
    best = [c.models[0] for _, _, c in ranked]
    means = [Candidate(tuple(sorted(best[:k]))) for k in range(COMBINED, 1, -1) if len(best) >= k]
    chosen = _lowest(past, means + [c for c in alone if c.models[0] in best])
    return _lowest(past, [Candidate(chosen.models, p, w) for p, w in product(POWERS, WEIGHTS)])


def _lowest(past: Past, candidates: list[Candidate]) -> Candidate:
    """Return the candidate with the lowest loss; an earlier one stands unless a later one is clearly better."""
    best, least = candidates[0], _loss(past, candidates[0])
    for candidate in candidates[1:]:
        loss = _loss(past, candidate)
        if loss < least * (1 - MARGIN):
            best, least = candidate, loss
    return best


def _loss(past: Past, candidate: Candidate) -> float:
    """Return the mean pinball loss of the window's maximum; infinite with too few windows.

    Quantiles are taken from one half of the origins (in time) and charged on the other, and the other way round.
    """
    rows = np.flatnonzero(usable(past, candidate))
    if len(rows) < MIN_WINDOWS:
        return float("inf")
    actual = highest(past.actual[rows][:, past.window_first :])
    forecast = candidate.path(past.paths[:, rows])[:, past.window_first :].max(axis=1)
    scale = candidate.unit(forecast, past.restless[rows], past.floor[rows])
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
    path = candidate.path(past.paths)
    found: Values = (past.actual - path) / candidate.unit(path, past.restless, past.floor)
    good = np.flatnonzero(usable(past, candidate))
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
    measured = np.flatnonzero(_measured(past))
    half = len(measured) // 2
    early, late = past.at(measured[:half]), past.at(measured[half:])
    candidate = choose(early) if half else None
    if candidate is None:
        return 0
    check = np.flatnonzero(usable(late, candidate))
    if not len(check):
        return 0
    late = late.at(check[:: -(-len(check) // CHECKS)])
    first = past.window_first
    scaled = errors(early, candidate)[:, first:]
    path = candidate.path(late.paths)
    scale = candidate.unit(path, late.restless, late.floor)[:, first:]
    inside = 0
    for origin in range(len(path)):
        maxima = np.sort((path[origin, first:] + scaled * scale[origin]).max(axis=1))
        inside += int(highest(late.actual[origin, first:]) <= conformal(maxima, 0.9))
    return inside * 1000 // len(path)
