"""ARMA models with a daily lag for a whole panel: chosen, filtered and continued without a loop over series."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np

from ecm.forecast.arrays import Steps, Values, take
from ecm.forecast.learning import lowest

LAGS = 6
SHOCKS = 2
"""Most autoregressive and moving-average terms."""
DAILY = LAGS
"""Place of the daily lag's coefficient, after those of the lags; then come those of the shocks."""
TERMS = LAGS + 1 + SHOCKS
ORDERS = (1, 2, 3, 6)
RIDGE = 1e-4
"""Penalty on squared coefficients, as a share of the terms' own squares: keeps constant series solvable."""
LEAST_EXAMPLES = 50
GROWTH = 1.0
"""Stable: a day after a shock less than the shock itself is left."""


class Arma(NamedTuple):
    """Coefficients of every series, for a load differenced once where `differenced` is 1."""

    terms: Values
    """(*sets, series, TERMS): lags 1 to LAGS, the lag of a day, shocks 1 to SHOCKS."""
    differenced: Values
    """(*sets, series): 0 or 1."""


class Filtered(NamedTuple):
    """A panel filtered by an Arma: what was measured or, where it was not, expected."""

    level: Values
    """(series, time)"""
    change: Values
    """(series, time): what the lags of the model refer to, the level or its differences."""
    shock: Values
    """(series, time): what was measured less what was expected."""


def fit(rest: Values, day: int) -> Arma:
    """Return for every series of `rest` (series, time) the model with the lowest AIC of those that are stable.

    Orders are subsets of six lags, the lag of a day and two shocks, of `rest` or its first difference. Shocks are those
    of a long autoregression (Hannan and Rissanen, Recursive estimation of mixed autoregressive-moving average order,
    1982), then all terms are fitted by least squares. Where no order is stable the model expects 0.
    """
    orders = _orders()
    models, costs = [], []
    for times in (0, 1):
        change = np.diff(rest, n=times, axis=1, prepend=np.full((len(rest), times), np.nan))
        terms, cost = _fits(change, day, orders)
        models.append(Arma(terms, np.full(terms.shape[:2], float(times))))
        costs.append(cost)
    terms, differenced = (np.concatenate(parts) for parts in zip(*models, strict=True))
    cost = np.concatenate([*costs, np.full((1, len(rest)), 1e300)])
    terms = np.concatenate([terms, np.zeros((1, *terms.shape[1:]))])
    differenced = np.concatenate([differenced, np.zeros((1, len(rest)))])
    best, rows = lowest(cost), np.arange(len(rest))
    return Arma(terms[best, rows], differenced[best, rows])


def _orders() -> list[Steps]:
    """Return the terms of every model that is tried, simple ones first."""
    found = [
        np.array([*range(order), *([DAILY] if daily else []), *(LAGS + 1 + k for k in range(shocks))])
        for order, shocks, daily in product(ORDERS, range(SHOCKS + 1), (False, True))
    ]
    return sorted(found, key=len)


def _fits(change: Values, day: int, orders: list[Steps]) -> tuple[Values, Values]:
    """Return coefficients (orders, series, TERMS) and AIC (orders, series); infinite where not stable."""
    steps = np.arange(change.shape[1])
    lags = np.stack([take(change, steps - k) for k in (*range(1, LAGS + 1), day)])
    long = _least_squares(_squares(change, lags), np.arange(LAGS + 1))[0]
    shock = change - (lags * long.T[:, :, None]).sum(axis=0)
    squares = _squares(change, np.concatenate([lags, [take(shock, steps - k) for k in range(1, SHOCKS + 1)]]))
    terms = np.zeros((len(orders), len(change), TERMS))
    cost = np.full((len(orders), len(change)), np.inf)
    for place, order in enumerate(orders):
        found, left = _least_squares(squares, order)
        terms[place][:, order] = found
        # Rounding: machines differ in the last bits, and constant series leave nothing but those.
        cost[place] = squares.known * np.log(np.maximum(left, 1e-9)) + 2 * len(order)
    enough = np.asarray(squares.known >= LEAST_EXAMPLES, dtype=np.bool_)
    cost[~(np.asarray(_stable(terms, day), dtype=np.bool_) & enough)] = np.inf
    return terms, cost


class _Squares(NamedTuple):
    """Sums of products over the steps at which everything is known."""

    left: Values
    """(series, terms, terms)"""
    right: Values
    """(series, terms)"""
    total: Values
    """(series)"""
    known: Values
    """(series)"""


def _squares(target: Values, terms: Values) -> _Squares:
    known = ~(np.isnan(target) | np.isnan(terms).any(axis=0))
    terms = np.where(known, terms, 0.0)
    target = np.where(known, target, 0.0)
    # Sums, not matrix products: these give the same bytes with any number of threads.
    left = np.empty((len(target), len(terms), len(terms)))
    for one in range(len(terms)):
        for other in range(one + 1):
            left[:, one, other] = left[:, other, one] = (terms[one] * terms[other]).sum(axis=1)
    right = np.stack([(term * target).sum(axis=1) for term in terms], axis=1)
    return _Squares(left, right, (target**2).sum(axis=1), known.sum(axis=1).astype(np.float64))


def _least_squares(squares: _Squares, order: Steps) -> tuple[Values, Values]:
    """Return coefficients (series, terms of `order`) and the share of the target's squares that they leave."""
    left, right = squares.left[:, order[:, None], order], squares.right[:, order]
    size = np.maximum(squares.total, np.finfo(np.float64).tiny ** 0.5)[:, None]
    left, right = left / size[:, :, None], right / size
    # Terms larger than the target (a load that stands still after a jump) have a penalty of their own size.
    own = np.maximum(np.diagonal(left, axis1=1, axis2=2).max(axis=1), 1.0)[:, None, None]
    found = np.linalg.solve(left + RIDGE * own * np.eye(len(order)), right[..., None])[..., 0]
    fitted = (left * found[:, None]).sum(axis=2)
    coefficients: Values = np.asarray(found, dtype=np.float64)
    left_over: Values = 1 - (coefficients * (2 * right - fitted)).sum(axis=1)
    return coefficients, left_over


def _stable(terms: Values, day: int) -> Values:
    """Return which models forget shocks and can be inverted, shape of `terms` less its last axis."""
    first, second = terms[..., LAGS + 1], terms[..., LAGS + 2]
    invertible = (np.abs(second) < 1) & (np.abs(first) < 1 + second)
    length = 2 * day
    response = np.zeros((LAGS + length, *terms.shape[:-1]))
    response[LAGS] = 1.0
    weights = np.moveaxis(terms, -1, 0)
    for step in range(LAGS + 1, LAGS + length):
        recent = (response[step - LAGS : step][::-1] * weights[:LAGS]).sum(axis=0)
        if step >= LAGS + day:
            recent += weights[DAILY] * response[step - day]
        response[step] = np.clip(recent, -1e6, 1e6)
    late = np.abs(response[-day:]).max(axis=0)
    stable: Values = invertible & (late < GROWTH)
    return stable


def filtered(rest: Values, arma: Arma, day: int) -> Filtered:
    """Return `rest` (series, time) with what was not measured expected from what came before, and all shocks."""
    weights, differenced = np.moveaxis(arma.terms, -1, 0), arma.differenced
    pad = max(day, LAGS)
    length = rest.shape[1]
    level = np.zeros((pad + length, len(rest)))
    change, shock = np.zeros_like(level), np.zeros_like(level)
    measured = np.nan_to_num(rest.T)
    seen = (~np.isnan(rest.T)).astype(np.float64)
    for step in range(pad, pad + length):
        expected = (change[step - LAGS : step][::-1] * weights[:LAGS]).sum(axis=0) + weights[DAILY] * change[step - day]
        expected += (shock[step - SHOCKS : step][::-1] * weights[DAILY + 1 :]).sum(axis=0)
        before = differenced * level[step - 1]
        shock[step] = (measured[step - pad] - before - expected) * seen[step - pad]
        change[step] = expected + shock[step]
        level[step] = before + change[step]
    return Filtered(level[pad:].T, change[pad:].T, shock[pad:].T)


def continued(known: Filtered, arma: Arma, origins: Steps, steps: int, day: int) -> Values:
    """Return what is expected of the level 1 to `steps` steps after every origin: (series, origins, steps)."""
    weights = np.moveaxis(arma.terms, -1, 0)[:, :, None]
    back = origins[:, None] - np.arange(LAGS - 1, -1, -1)
    change = np.zeros((LAGS + steps, len(known.level), len(origins)))
    change[:LAGS] = np.moveaxis(np.nan_to_num(take(known.change, back)), -1, 0)
    shock = np.moveaxis(np.nan_to_num(take(known.shock, origins[:, None] - np.arange(SHOCKS))), -1, 0)
    for ahead in range(1, steps + 1):
        place = LAGS + ahead - 1
        expected = (change[place - LAGS : place][::-1] * weights[:LAGS]).sum(axis=0)
        yesterday = np.nan_to_num(take(known.change, origins + ahead - day)) if ahead <= day else change[place - day]
        expected += weights[DAILY] * yesterday
        for lag in range(ahead, SHOCKS + 1):
            expected += weights[DAILY + lag] * shock[lag - ahead]
        change[place] = expected
    path = np.moveaxis(change[LAGS:], 0, -1)
    last = known.level[:, origins, None]
    return np.where(arma.differenced[:, None, None] > 0, last + np.cumsum(path, axis=-1), path)
