"""What models with parameters share: choosing them, having them, and going through a panel in blocks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ecm.forecast.arrays import Steps, Values
from ecm.forecast.panel import PanelForecaster

TIE = 1e-9
"""Losses closer than this share are equal: machines differ in the last bits and must choose alike."""


def lowest(losses: Values) -> Steps:
    """Return the first index along axis 0 whose loss is the lowest or as good; 0 where no loss is known (NaN)."""
    known = np.where(np.isnan(losses), np.inf, losses)
    least = known.min(axis=0)
    found: Steps = np.argmax(known <= least + TIE * np.abs(least), axis=0)
    return found


def parameters(model: PanelForecaster, values: Values, origins: Steps, learnt: object) -> Values:
    """Return `learnt`, an array (series, parameters), or what `model` learns from what precedes all of the origins."""
    found = model.learn(values[:, : int(origins.min()) + 1]) if learnt is None else learnt
    return np.asarray(found, dtype=np.float64)


def blocks(series: int, at_once: int) -> Iterator[slice]:
    """Yield slices of at most `at_once` rows that cover `series` rows: bounds the memory of a pass."""
    for first in range(0, series, at_once):
        yield slice(first, min(first + at_once, series))


def between(found: Values, knots: Steps, steps: int) -> Values:
    """Return what was found at `knots` (last axis) at every step from 1 to `steps`, linear between two knots.

    Beyond the last knot its value holds.
    """
    every = np.minimum(np.arange(1, steps + 1), knots[-1])
    after = np.searchsorted(knots, every)
    before = np.maximum(after - 1, 0)
    share = (every - knots[before]) / np.maximum(knots[after] - knots[before], 1)
    path: Values = found[..., before] * (1 - share) + found[..., after] * share
    return path
