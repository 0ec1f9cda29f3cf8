"""Histories of young series, completed with the shape of their siblings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np

from ecm.forecast.arrays import Steps, Values, highest, mean, take
from ecm.forecast.effects import Effects
from ecm.forecast.horizon import LEARNING_DAYS, Horizon
from ecm.model.demand import DemandHistory
from ecm.model.fleet import Fleet, next_by_id

LENDER_DAYS = 2
"""Who lends has been measured for two days before the young series began: a day is not yet a shape that repeats."""
MOST_LENDERS = 20
LEVEL_DAYS = 28
"""A lender's own level is that of its last four weeks."""
OVERLAP_DAYS = 1
"""The level is compared over the last day: a new application grows, and a day sees every hour."""
PRIOR_MIN = 30
"""What is known of a level before it was measured (the typical level of the lenders) counts as much as half an hour of
overlap: minutes of a bursty load say little, and after a day the prior weighs 2 %."""
SWING = 0.95
"""Quantile at which the swings of loads are compared: far in the tail, yet seen many times a day."""
UNLIKE = 1.25
"""Errors that were never made are wider by this at least: no series is quite like its siblings."""
NAMED = 5
"""A model's name has at most so many lenders; the others are counted."""


@dataclass(frozen=True)
class Loan:
    """What one young series borrowed."""

    begun: int
    """First step that counts as its own: the first that was measured, at most the refit."""
    lenders: tuple[str, ...]
    widening: float
    """Factor on errors of forecasts from borrowed steps."""

    @property
    def text(self) -> str:
        """For people: whose shape it is; empty where nothing was borrowed."""
        if not self.lenders:
            return ""
        more = len(self.lenders) - NAMED
        return ", borrowed from " + ", ".join(self.lenders[:NAMED]) + (f" and {more} more" if more > 0 else "")


NO_LOAN = Loan(0, (), 1.0)


@dataclass(frozen=True)
class Lent:
    """A panel in which young series have a past."""

    values: Values
    """(series, time), Mbit/s; what was measured is unchanged."""
    loans: dict[int, Loan]
    """By row."""


def complete(history: DemandHistory, fleet: Fleet, horizon: Horizon, effects: Sequence[Effects]) -> Lent:
    """Return the history with a past for every series younger than the days that models learn from.

    Only steps before a series' first measured value (before the refit where there is none yet) are filled, from values
    before the refit alone, and only where a lender was measured. Effects of the lenders' events are taken out and those
    of the young series' own put in.
    """
    fitted = horizon.fitted
    begun = begins(history.mbps[:, :fitted])
    young = np.flatnonzero((fitted - begun < LEARNING_DAYS * horizon.season.day) & (begun > 0))
    if not len(young):
        return Lent(history.mbps, {})
    factors = np.stack([e.measured[:fitted] for e in effects])
    zones = [next_by_id(fleet.vpns, vpn).time_zone for vpn in history.vpns]
    clean = history.mbps[:, :fitted] / factors
    levels = np.nan_to_num(mean(clean[:, -LEVEL_DAYS * horizon.season.day :]))
    market = _Market(clean, begun, _east(zones, horizon), horizon, levels)
    values, loans = history.mbps.copy(), {}
    for row in young.tolist():
        rows = _lenders(history.vpns, row, market.lends(row))
        if not rows:
            continue
        shape, widening = market.shape(row, rows)
        first = int(begun[row])
        values[row, :first] = market.level(row, rows, shape) * shape[:first] * factors[row, :first]
        loans[row] = Loan(first, tuple(history.applications[r] for r in rows), widening)
    return Lent(values, loans)


def begins(values: Values) -> Steps:
    """Return the step of the first measured value of every series; the length where there is none."""
    measured = ~np.isnan(values)
    found: Steps = np.where(measured.any(axis=1), np.argmax(measured, axis=1), values.shape[1])
    return found


def _lenders(vpns: tuple[str, ...], row: int, able: list[int]) -> list[int]:
    """Return the rows that lend to `row`: those of its VPN, else of all, evenly spread where there are many."""
    same = [r for r in able if vpns[r] == vpns[row]]
    found = same or able
    return found[:: -(-len(found) // MOST_LENDERS) or 1]


def _east(zones: list[str], horizon: Horizon) -> Steps:
    """Return how many steps each zone's wall clock is ahead of UTC at the start of the forecast."""
    offsets = [horizon.start.astimezone(ZoneInfo(zone)).utcoffset() for zone in zones]
    minutes = np.array([o.total_seconds() / 60 if o is not None else 0.0 for o in offsets])
    found: Steps = np.rint(minutes / horizon.season.interval_min).astype(np.int64)
    return found


@dataclass(frozen=True)
class _Market:
    """All series before the refit, without what events did to them."""

    clean: Values
    begun: Steps
    east: Steps
    horizon: Horizon
    levels: Values
    """Mean load of the last weeks, 0 where nothing was measured."""

    def lends(self, row: int) -> list[int]:
        """Return the other rows that were measured for long enough before `row` began, and not idle."""
        before = self.clean[:, : self.begun[row]]
        enough = (~np.isnan(before)).sum(axis=1) >= LENDER_DAYS * self.horizon.season.day
        able = enough & (self.levels > 0)
        return [int(r) for r in np.flatnonzero(able) if r != row]

    def shape(self, row: int, lenders: list[int]) -> tuple[Values, float]:
        """Return the lenders' typical load at each step in units of its mean, (time), and the widening of its errors.

        The mean of two, the median of more: what befell one of them is not what a sibling does. Such a mean is smoother
        than any of those it was made of; errors are wider by how much less it swings.
        """
        steps = np.arange(self.clean.shape[1])
        behind = self.east[row] - self.east[lenders]
        # Another zone's morning is another moment: an earlier one of the same weekday, as later ones may be unknown.
        behind = np.where(behind > 0, behind - self.horizon.season.week, behind)
        lent = [
            take(self.clean[r : r + 1], steps + b)[0] / self.levels[r] for r, b in zip(lenders, behind, strict=True)
        ]
        typical = _middle(np.stack(lent))
        unit = float(mean(typical))
        shape = typical / unit if unit > 0 else typical
        of_shape = self._swing(shape)
        swings = [self._swing(one) for one in lent]
        ratio = float(np.mean(swings)) / of_shape if of_shape > 0 else 1.0
        return shape, UNLIKE * max(1.0, ratio)

    def _swing(self, load: Values) -> float:
        """Return how far the maximum over a window rises above that over the one before it, in one case of twenty."""
        size = self.horizon.steps
        recent = load[-LEVEL_DAYS * self.horizon.season.day :]
        whole = recent[: len(recent) // size * size].reshape(-1, size)
        peaks = highest(whole)
        rises = np.diff(peaks)
        rises = rises[~np.isnan(rises)]
        return max(0.0, float(np.quantile(rises, SWING))) if len(rises) else 0.0

    def level(self, row: int, lenders: list[int], shape: Values) -> float:
        """Return the level of `row` in units of `shape`: measured over prior, each counting by its length.

        The ratio of sums is what a Gamma prior on the level and counts as loads lead to (Gelman et al., Bayesian Data
        Analysis, 3rd edition, section 2.6).
        """
        season = self.horizon.season
        overlap = slice(max(int(self.begun[row]), len(shape) - OVERLAP_DAYS * season.day), len(shape))
        own, usual = self.clean[row, overlap], shape[overlap]
        both = ~np.isnan(own) & ~np.isnan(usual)
        prior = PRIOR_MIN / season.interval_min
        typical = float(np.exp(np.log(self.levels[lenders]).mean()))
        return (float(own[both].sum()) + prior * typical) / (float(usual[both].sum()) + prior)


def _middle(loads: Values) -> Values:
    """Return mean (up to two) or median (more) of the measured values of each column; NaN where there is none."""
    if len(loads) < 3:
        return mean(loads, axis=0)
    found = np.full(loads.shape[1], np.nan)
    some = ~np.isnan(loads).all(axis=0)
    found[some] = np.nanmedian(loads[:, some], axis=0)
    return found
