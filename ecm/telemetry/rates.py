"""From samples of counters and gauges, taken whenever, to means over regular intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


class Grid(NamedTuple):
    """Regular intervals, seconds since 1970."""

    start: int
    end: int
    step: int

    @property
    def edges(self) -> Values:
        """Starts of all intervals, and the end of the last."""
        return np.arange(self.start, self.end + 1, self.step, dtype=np.float64)

    @property
    def reach(self) -> int:
        """Seconds between two samples up to which what happened between them is known: two and a half intervals.

        At the least two and a half minutes: one lost scrape of a minute's rhythm.
        """
        return max(150, self.step * 5 // 2)


class Samples(NamedTuple):
    """Samples of one series in time order."""

    at: Values
    """Seconds since 1970."""
    value: Values


def counter_rates(samples: Samples, grid: Grid) -> Values:
    """Return the mean rate per second in each interval of `grid`; NaN where it is not known.

    A counter that fell began again at zero: what it shows since counts, what it counted after its last sample is lost.
    Between two samples it is taken to have risen evenly.
    """
    if len(samples.at) < 2:
        return np.full(len(grid.edges) - 1, np.nan)
    rises = np.diff(samples.value)
    rises = np.where(rises < 0, samples.value[1:], rises)
    total = np.concatenate(([0.0], np.cumsum(rises)))
    edges = grid.edges
    at_edges = np.interp(edges, samples.at, total, left=np.nan, right=np.nan)
    rates: Values = np.diff(at_edges) / grid.step
    wide = np.flatnonzero(np.diff(samples.at) > grid.reach)
    for first, last in zip(samples.at[wide], samples.at[wide + 1], strict=True):
        rates[(edges[:-1] < last) & (edges[1:] > first)] = np.nan
    return rates


def gauge_means(samples: Samples, grid: Grid) -> Values:
    """Return the mean of the samples in each interval of `grid`; NaN where there is none."""
    slot = ((samples.at - grid.start) // grid.step).astype(np.int64)
    inside = (slot >= 0) & (slot < len(grid.edges) - 1) & ~np.isnan(samples.value)
    counts = np.bincount(slot[inside], minlength=len(grid.edges) - 1)
    sums = np.bincount(slot[inside], weights=samples.value[inside], minlength=len(grid.edges) - 1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def summed(series: Sequence[tuple[Samples, Values]], grid: Grid) -> Values:
    """Return the sum of the rates of several series in each interval; NaN where none, or not each, is known.

    A series that begins later or has ended before an interval is no part of its sum.
    """
    total, known = np.zeros(len(grid.edges) - 1), np.zeros(len(grid.edges) - 1, dtype=np.bool_)
    unknown = np.zeros(len(known), dtype=np.bool_)
    for samples, rates in series:
        measured = ~np.isnan(rates)
        total += np.where(measured, rates, 0.0)
        known |= measured
        if len(samples.at):
            there = (samples.at[0] <= grid.edges[:-1]) & (samples.at[-1] >= grid.edges[1:])
            unknown |= there & ~measured
    return np.where(known & ~unknown, total, np.nan)
