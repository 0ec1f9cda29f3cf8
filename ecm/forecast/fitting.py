"""Past forecasts of every model, the model chosen for every series, and the errors it made: all out of sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ecm.forecast.arrays import Steps, Values, highest, mean, take
from ecm.forecast.bounds import lifted, told
from ecm.forecast.causes import Cause, causes_of
from ecm.forecast.effects import Effects, effects
from ecm.forecast.horizon import ERROR_DAYS, Horizon
from ecm.forecast.incidents import Grid, Incidents
from ecm.forecast.keeping import Judged, fit_key, packed, unpacked
from ecm.forecast.learnt import PanelPaths, refits
from ecm.forecast.models import DEFAULT, Model, Tried, candidates
from ecm.forecast.monitor import Windows, band_holds
from ecm.forecast.recognising import recognise
from ecm.forecast.selection import SCALE_FLOOR, Candidate, Past, choose, coverage_permille, errors, usable
from ecm.forecast.siblings import NO_LOAN, Lent, Loan, complete
from ecm.forecast.volatility import fading_peak, restlessness
from ecm.forecast.wallclock import WallClock
from ecm.model.demand import DemandHistory
from ecm.model.fleet import Fleet, next_by_id

USED_DAYS = 35 + ERROR_DAYS
"""History behind this is used for the effects of events alone."""
PATHS_AT_ONCE = 1 << 22
"""Bounds the memory of the paths of all models: values at a time."""
SCENARIO_VALUES = 1 << 24
MIN_SCENARIOS = 400
"""Scenarios are all past origins, or so many of them, evenly spread, that they stay within 128 MB."""
SMALLEST = 1e-6


@dataclass(frozen=True)
class Fitted:
    """One series with its chosen model."""

    judged: Judged
    paths: Values
    """(present origins, steps): forecasts, effects of events included."""
    restless: Values
    """(present origins)"""
    floor: Values
    """(present origins): least load that the unit of errors is taken from."""
    sigma: Values
    """(present origins, steps): standard deviation of the logarithm of what events do; 0 where there is none."""

    def scenarios(self, place: int) -> Values:
        """Return what may come after the present origin at `place`: (scenarios, steps), Mbit/s, not rounded."""
        path, judged = self.paths[place], self.judged
        found: Values = path + judged.errors * judged.candidate.unit(path, self.restless[place], self.floor[place])
        if self.sigma[place].any():
            found = found * np.exp(self.sigma[place] * surprises(len(found))[:, None])
        return found


@cache
def surprises(count: int) -> Values:
    """Return `count` standard normal scores in a fixed order of chance, the same for all series.

    An event does to all applications in its scope more or less than was expected at once, whatever their usual errors.
    """
    normal = NormalDist()
    scores = np.array([normal.inv_cdf((k + 0.5) / count) for k in range(count)])
    shuffled: Values = np.random.default_rng(0).permutation(scores)
    return shuffled


@dataclass(frozen=True)
class Fit:
    """All series of a history, fitted on what had been measured by one moment."""

    horizon: Horizon
    first: int
    """The first present origin; they follow each other up to the next refit or the end of the history."""
    series: tuple[Fitted | None, ...]
    """None: too little was measured to know any error."""
    effects: tuple[Effects, ...]
    scenarios: int
    incidents: dict[int, Incidents]
    """By row: what befell a series up to the next refit or the end of the history; none: nothing did."""
    kept: bytes | None = None
    """What spares the next run until the next refit most of the work; None where there is nothing to keep."""


def fit(
    history: DemandHistory, fleet: Fleet, horizon: Horizon, kept: bytes | None = None, tried: Tried = DEFAULT
) -> Fit:
    """Fit every series on the steps before `horizon.fitted` and forecast from every step up to the next refit.

    A forecast uses what was measured before it alone; models, error scales and effects of events come from before the
    refit. So the result for a step is the same whether later steps are in `history` or not, and whether what the past
    says was `kept` by an earlier run or is worked out again.
    """
    end = min(history.mbps.shape[1], horizon.refit)
    first = max(0, horizon.fitted - 1 - max(horizon.back, horizon.lead))
    span = (history.start, history.interval_min, end + horizon.steps)
    causes = tuple(causes_of(fleet, name, span) for name in history.applications)
    learnt = tuple(_effects(row, of, horizon, span[2]) for row, of in zip(history.mbps, causes, strict=True))
    past = horizon.origins()
    count = len(past) or MIN_SCENARIOS
    if not len(past):
        return Fit(horizon, first, (None,) * len(learnt), learnt, count, {})
    key = fit_key(history, fleet, horizon, tuple(m.name for m in candidates(horizon.season, len(learnt), tried)))
    known = unpacked(kept, key) if kept is not None else None
    befell = _incidents(history, horizon, learnt, end)
    seen = lifted(_without(history, befell))
    learnt = tuple(
        _effects(seen.mbps[row], of, horizon, span[2]) if row in befell and of else learnt[row]
        for row, of in enumerate(causes)
    )
    lent = complete(seen, fleet, horizon, learnt)
    began = past if known is None else past[:0]
    study = _Study(seen, fleet, horizon, learnt, lent, began, np.arange(first, end), tried)
    thin = study.thin(len(past))
    series = tuple(one for part in study.parts() for one in study.fit(part, thin, known))
    if known is None:
        kept = packed(key, tuple(one.judged if one else None for one in series))
    return Fit(horizon, first, series, learnt, len(past[thin]), befell, kept)


def _effects(values: Values, causes: tuple[Cause, ...], horizon: Horizon, after: int) -> Effects:
    return effects(values[: horizon.fitted], causes, horizon.season, after - horizon.fitted)


def _incidents(history: DemandHistory, horizon: Horizon, learnt: tuple[Effects, ...], end: int) -> dict[int, Incidents]:
    """Return what befell the series of `history` in the steps before `end` that are used."""
    cut = max(0, horizon.fitted - USED_DAYS * horizon.season.day)
    grid = Grid(history.start, horizon.season, horizon.fitted)
    explained = np.stack([e.lowers(end) for e in learnt])
    clean = history.mbps[:, :end] / np.stack([e.expected[:end] for e in learnt])
    return recognise(clean, explained, grid, cut)


def _without(history: DemandHistory, befell: dict[int, Incidents]) -> DemandHistory:
    """Return the history in which what no model is to learn was not measured."""
    if not befell:
        return history
    mbps = history.mbps.copy()
    for row, one in befell.items():
        mbps[row, : len(one.unlearnt)][one.unlearnt] = np.nan
    return history.model_copy(update={"mbps": mbps})


class _Series(NamedTuple):
    """One series at all origins, the past ones first."""

    values: Values
    """(1, history)"""
    paths: Values
    """(models, origins, steps)"""
    restless: Values
    """(origins)"""
    floor: Values
    """(origins)"""
    sigma: Values
    """(present origins, steps)"""
    loan: Loan


@dataclass(frozen=True)
class _Study:
    """What the fits of all series share."""

    history: DemandHistory
    fleet: Fleet
    horizon: Horizon
    effects: tuple[Effects, ...]
    lent: Lent
    past: Steps
    present: Steps
    tried: Tried

    @property
    def known(self) -> tuple[Model, ...]:
        return candidates(self.horizon.season, len(self.effects), self.tried)

    @property
    def origins(self) -> Steps:
        return np.concatenate([self.past, self.present])

    def parts(self) -> Iterator[slice]:
        each = len(self.known) * len(self.origins) * self.horizon.steps
        at_once = max(1, PATHS_AT_ONCE // each)
        for first in range(0, len(self.effects), at_once):
            yield slice(first, min(first + at_once, len(self.effects)))

    def thin(self, past: int) -> slice:
        """Return which of so many past origins become scenarios."""
        each = len(self.effects) * self.horizon.steps * (self.horizon.back + 1)
        most = max(MIN_SCENARIOS, SCENARIO_VALUES // each)
        return slice(None, None, -(-past // most))

    def fit(self, part: slice, thin: slice, known: tuple[Judged | None, ...] | None) -> Iterator[Fitted | None]:
        """Yield the fitted series of `part`; where the past's judgement is `known`, only the present is worked out."""
        values = self.lent.values[part, : int(self.present[-1]) + 1]
        measured = values[:, : self.horizon.fitted]
        floors = SCALE_FLOOR * np.nan_to_num(mean(measured)) + SMALLEST
        clean = self._clean(values, part)
        calm = restlessness(clean, self.horizon.season, floors)[:, self.origins]
        peak = fading_peak(clean, self.horizon.season, floors)[:, self.origins]
        judged = known[part] if known is not None else None
        paths = self._paths(clean, part, _used(judged))
        for row in range(len(values)):
            sigma = self.effects[part.start + row].sigma[self.present[:, None] + np.arange(1, self.horizon.steps + 1)]
            loan = self.lent.loans.get(part.start + row, NO_LOAN)
            series = _Series(values[row : row + 1], paths[:, row], calm[row], peak[row], sigma, loan)
            found = self._judge(series, part.start + row, thin) if judged is None else judged[row]
            yield self._fitted(series, found) if found is not None else None

    def _clean(self, values: Values, part: slice) -> Values:
        """Return the load without what events did to it."""
        steps, fitted = values.shape[1], self.horizon.fitted
        factors = [np.concatenate([e.measured, e.expected[fitted:steps]])[:steps] for e in self.effects[part]]
        clean: Values = values / np.stack(factors)
        return clean

    def _fitted(self, series: _Series, judged: Judged) -> Fitted:
        count = len(self.past)
        return Fitted(
            judged=judged,
            paths=judged.candidate.path(series.paths[:, count:]),
            restless=series.restless[count:],
            floor=series.floor[count:],
            sigma=series.sigma,
        )

    def _judge(self, series: _Series, row: int, thin: slice) -> Judged | None:
        count, horizon = len(self.past), self.horizon
        actual = take(series.values, self.past[:, None] + np.arange(1, horizon.steps + 1))[0]
        if self.history.saturated is not None:
            bounds = self.history.saturated[row : row + 1, : series.values.shape[1]].astype(np.float64)
            bound = take(bounds, self.past[:, None] + np.arange(1, horizon.steps + 1))[0] > 0
            actual = told(actual, bound, series.paths[:, :count], horizon.window_first)
        past = Past(
            actual, series.paths[:, :count], series.restless[:count], horizon.window_first, series.floor[:count]
        )
        chosen = choose(past)
        if chosen is None:
            return None
        own = self.past >= series.loan.begun
        wider = np.where(own, 1.0, series.loan.widening)[:, None]
        return Judged(
            model=" + ".join(self.known[m].name for m in chosen.models) + series.loan.text,
            candidate=chosen,
            errors=(errors(past, chosen) * wider)[thin],
            coverage_permille=coverage_permille(past.at(np.flatnonzero(own))),
            calibrated=self._calibrated(past, chosen, own),
        )

    def _calibrated(self, past: Past, chosen: Candidate, own: npt.NDArray[np.bool_]) -> bool:
        """Return whether the band of `chosen` held lately; see `band_holds`."""
        season, first = self.horizon.season, past.window_first
        path = chosen.path(past.paths)[:, first:].max(axis=1)
        scaled = (highest(past.actual[:, first:]) - path) / chosen.unit(path, past.restless, past.floor)
        scaled = np.where(usable(past, chosen), scaled, np.nan)
        return band_holds(Windows(self.past, scaled, own, self.horizon.steps - first), season, self.horizon.fitted)

    def _paths(self, clean: Values, part: slice, used: frozenset[int] | None) -> Values:
        """Return what the models forecast: (models, series of part, origins, steps), effects of events included.

        Only `used` models forecast, by their places; None: all of them.
        """
        horizon, origins = self.horizon, self.origins
        cut = max(0, horizon.fitted - USED_DAYS * horizon.season.day)
        rows = range(part.start, part.stop)
        ahead = origins[:, None] + np.arange(1, horizon.steps + 1)
        factors = np.stack([self.effects[r].expected[ahead] for r in rows])
        zones = [next_by_id(self.fleet.vpns, self.history.vpns[r]).time_zone for r in rows]
        paths = np.full((len(self.known), len(rows), *ahead.shape), np.nan)
        interval = horizon.season.interval_min
        start = self.history.start + timedelta(minutes=interval * cut)
        for zone in sorted(set(zones)):
            clock = WallClock.of(zone, start, interval, clean.shape[1] - cut + horizon.steps)
            mine = np.array([z == zone for z in zones])
            panel = PanelPaths(clock, clean[mine, cut:], origins - cut, horizon.steps)
            for index, model in enumerate(self.known):
                if used is not None and index not in used:
                    continue
                steps = refits(start, interval, model.refit_days, int(panel.origins[-1]) + 1)
                paths[index, mine] = panel.paths(model.forecaster, steps)
        found: Values = paths * factors
        return found


def _used(judged: tuple[Judged | None, ...] | None) -> frozenset[int] | None:
    """Return the places of the models that were chosen."""
    return None if judged is None else frozenset(m for one in judged if one is not None for m in one.candidate.models)
