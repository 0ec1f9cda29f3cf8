"""The forecast of all applications: paths, errors, and what a plan keeps of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import NormalDist

import numpy as np

from ecm.forecast.arrays import Steps, Values, conformal, highest, last_measured, take
from ecm.forecast.causes import Effects, causes_of, effects
from ecm.forecast.errors import ForecastError
from ecm.forecast.horizon import MIN_SCENARIOS, ORIGIN_DAYS, Horizon
from ecm.forecast.models import Model, models
from ecm.forecast.panel import held
from ecm.forecast.selection import SCALE_FLOOR, Candidate, Past, choose, coverage_permille, errors, unit
from ecm.forecast.wallclock import WallClock
from ecm.model.demand import DemandHistory, Forecast
from ecm.model.fleet import Fleet, next_by_id
from ecm.model.forecast import ApplicationForecast

USED_DAYS = 35 + ORIGIN_DAYS
"""History behind this is used for the effects of events alone."""
WIDE_SIGMA = 0.5
"""Standard deviation of the logarithm of load over last value where no error was ever measured: P90 x1.9, P99 x3.2."""
TAIL_SHARE = 0.999
TAIL_CAP = 1.5
"""Quantiles beyond the largest scenario reach to P99.9, at most half as much again."""
SERIES_AT_ONCE = 16
"""Bounds the memory of the paths of all models."""
DECIMALS = 6
"""Values are rounded to this before they are rounded to whole Mbit/s: machines differ in the last bits."""
MAX_MBPS = 10_000_000
"""The largest load that the model of a plan can hold."""


@dataclass(frozen=True)
class _Panel:
    """The series of one forecast."""

    names: tuple[str, ...]
    vpns: tuple[str, ...]
    values: Values
    """(series, history)"""
    effects: tuple[Effects, ...]
    horizon: Horizon
    origins: Steps


@dataclass(frozen=True)
class _Fitted:
    """One series with its chosen model."""

    model: str
    scenarios: Values
    """(scenarios, steps)"""
    coverage_permille: int
    least_recent: float
    """P1 of what the model expected of the last lead time's maximum, Mbit/s; 0 where it could not say."""


def predict(history: DemandHistory, fleet: Fleet, *, as_of: datetime, lead_min: int, hold_min: int) -> Forecast:
    """Return the joint forecast of all applications of `history` over [as_of, as_of + lead + hold].

    Pure: what was measured after `as_of` is not used, and equal arguments give equal bytes. Values are whole Mbit/s.
    ForecastError names applications without any measured value, or says that the telemetry ended too long ago.
    """
    horizon = Horizon.of(history, as_of, lead_min, hold_min)
    panel = _panel(history, fleet, horizon)
    fitted = [one for part in _parts(len(panel.names)) for one in _fit(panel, fleet, part)]
    scenarios = np.stack([f.scenarios for f in fitted])
    tail = _tail_permille(scenarios[:, :, horizon.window_first :])
    applications = tuple(_application(panel, row, fitted[row], tail) for row in range(len(fitted)))
    return Forecast(
        start=horizon.start,
        interval_min=horizon.season.interval_min,
        window_first_step=horizon.window_first,
        applications=applications,
        scenarios=scenarios,
        tail_factor_permille=tail,
    )


def _parts(count: int) -> Iterator[slice]:
    for first in range(0, count, SERIES_AT_ONCE):
        yield slice(first, min(first + SERIES_AT_ONCE, count))


def _panel(history: DemandHistory, fleet: Fleet, horizon: Horizon) -> _Panel:
    values = history.mbps[:, : horizon.length]
    empty = tuple(n for n, row in zip(history.applications, values, strict=True) if np.isnan(row).all())
    if empty:
        raise ForecastError(
            "no value was measured",
            applications=empty,
            remedy="add telemetry of it, or take it out of the fleet file until it has traffic",
        )
    span = (history.start, history.interval_min, horizon.length + horizon.steps)
    learnt = tuple(
        effects(row, causes_of(fleet, name, span), horizon.season, horizon.steps)
        for name, row in zip(history.applications, values, strict=True)
    )
    return _Panel(history.applications, history.vpns, values, learnt, horizon, horizon.origins())


def _fit(panel: _Panel, fleet: Fleet, part: slice) -> list[_Fitted]:
    """Choose a model for every series of `part` and return its scenarios."""
    horizon = panel.horizon
    if not len(panel.origins):
        return [_wide(panel, row, MIN_SCENARIOS) for row in range(part.start, part.stop)]
    ends = np.array([horizon.length - 1 - horizon.lead, horizon.length - 1])
    origins = np.concatenate([panel.origins, np.maximum(ends, 0)])
    known = models(horizon.season)
    paths = _paths(panel, fleet, part, (known, origins))
    return [_fit_one(panel, row, paths[:, row - part.start], known) for row in range(part.start, part.stop)]


def _paths(panel: _Panel, fleet: Fleet, part: slice, what: tuple[tuple[Model, ...], Steps]) -> Values:
    """Return what every model forecast: (models, series of part, origins, steps), effects of events included."""
    known, origins = what
    horizon = panel.horizon
    cut = max(0, horizon.length - USED_DAYS * horizon.season.day)
    rows = np.arange(part.start, part.stop)
    values = np.stack([panel.values[r] / panel.effects[r].measured for r in rows])[:, cut:]
    ahead = origins[:, None] + np.arange(1, horizon.steps + 1)
    factors = np.stack([panel.effects[r].expected[ahead] for r in rows])
    zones = [next_by_id(fleet.vpns, panel.vpns[r]).time_zone for r in rows]
    paths = np.full((len(known), len(rows), *ahead.shape), np.nan)
    start = horizon.start - timedelta(minutes=horizon.season.interval_min * (horizon.length - cut))
    for zone in sorted(set(zones)):
        clock = WallClock.of(zone, start, horizon.season.interval_min, horizon.length - cut + horizon.steps)
        mine = np.array([z == zone for z in zones])
        for index, model in enumerate(known):
            paths[index, mine] = clock.paths(model.forecaster, values[mine], origins - cut, horizon.steps)
    found: Values = paths * factors
    return found


def _fit_one(panel: _Panel, row: int, paths: Values, known: tuple[Model, ...]) -> _Fitted:
    horizon, values = panel.horizon, panel.values[row : row + 1]
    count = len(panel.origins)
    actual = take(values, panel.origins[:, None] + np.arange(1, horizon.steps + 1))[0]
    floor = SCALE_FLOOR * float(np.nanmean(values)) + 10.0**-DECIMALS
    past = Past(actual, paths[:, :count], horizon.window_first, floor)
    chosen = choose(past, np.ones(count, dtype=bool))
    if chosen is None or np.isnan(paths[chosen.model, -1]).any():
        return _wide(panel, row, count)
    scaled = errors(past, chosen)
    now = paths[chosen.model, -1]
    return _Fitted(
        model=known[chosen.model].name,
        scenarios=_whole(now + scaled * unit(now, chosen.power, floor)),
        coverage_permille=coverage_permille(past),
        least_recent=_least(paths[chosen.model, -2, : horizon.lead], scaled[:, : horizon.lead], chosen, floor),
    )


def _least(path: Values, scaled: Values, chosen: Candidate, floor: float) -> float:
    """Return the P1 of the maximum over the last lead time, as forecast from its start."""
    if np.isnan(path).any():
        return 0.0
    maxima = (path + scaled * unit(path, chosen.power, floor)).max(axis=1)
    return float(np.quantile(maxima, 0.01, method="lower"))


def _wide(panel: _Panel, row: int, count: int) -> _Fitted:
    """Return the last value with a wide band: all that a history without past errors allows."""
    horizon = panel.horizon
    values = panel.values[row : row + 1] / panel.effects[row].measured
    last = held(values, np.array([horizon.length - 1]))[0, 0]
    path = last * panel.effects[row].expected[horizon.length :]
    normal = NormalDist(0.0, WIDE_SIGMA)
    spread = np.exp([normal.inv_cdf((s + 0.5) / count) for s in range(count)])
    return _Fitted("last-value, wide band", _whole(spread[:, None] * path), 0, 0.0)


def _whole(values: Values) -> Values:
    """Return whole Mbit/s, none negative."""
    whole: Values = np.clip(np.rint(np.round(values, DECIMALS)), 0, MAX_MBPS)
    return whole


def _tail_permille(scenarios: Values) -> int:
    """Return P99.9 over the largest scenario, permille, of the window maximum of one application or of all together.

    Beyond their P90 maxima are taken as exponential (peaks over threshold with shape 0: Coles, An Introduction to
    Statistical Modeling of Extreme Values, 4.2); the largest factor counts, capped.
    """
    count = scenarios.shape[1]
    reach = math.log(1 / (count + 1) / (1 - TAIL_SHARE))
    factor = 1.0
    for group in (*scenarios, scenarios.sum(axis=0)):
        maxima = np.sort(group.max(axis=1))
        high = float(conformal(maxima, 0.9))
        beyond = maxima[maxima > high]
        if beyond.size and reach > 0:
            factor = max(factor, 1 + reach * float((beyond - high).mean()) / float(maxima[-1]))
    return 1000 + math.ceil(round(1000 * (min(factor, TAIL_CAP) - 1), 3))


def _application(panel: _Panel, row: int, fitted: _Fitted, tail_permille: int) -> ApplicationForecast:
    horizon, values = panel.horizon, panel.values[row : row + 1]
    recent = highest(values[:, -horizon.lead :])[0]
    last = last_measured(values)[0]
    peak = math.ceil(round(float(last if np.isnan(recent) else recent), DECIMALS))
    ordered = np.sort(fitted.scenarios, axis=0)
    maxima = np.sort(fitted.scenarios[:, horizon.window_first :].max(axis=1))
    effect = panel.effects[row]
    fell = not np.isnan(recent) and round(float(recent), DECIMALS) < math.floor(round(fitted.least_recent, DECIMALS))
    first = max(horizon.length - horizon.lead, 0)
    steps = {share: _quantiles(ordered.T, share, tail_permille) for share in (0.5, 0.9, 0.99)}
    window = {share: max(_quantiles(maxima[None], share, tail_permille)[0], peak) for share in steps}
    return ApplicationForecast(
        application=panel.names[row],
        vpn=panel.vpns[row],
        model=fitted.model,
        p50_mbps=steps[0.5],
        p90_mbps=steps[0.9],
        p99_mbps=steps[0.99],
        window_p50_mbps=window[0.5],
        window_p90_mbps=window[0.9],
        window_p99_mbps=window[0.99],
        recent_peak_mbps=peak,
        last_mbps=int(_whole(last)),
        unexplained_fall=fell and not effect.may_lower(first, horizon.length),
        coverage_permille=fitted.coverage_permille,
        event_effects=effect.texts(horizon.length, horizon.length + horizon.steps),
    )


def _quantiles(ordered: Values, share: float, tail_permille: int) -> tuple[int, ...]:
    """Return the quantile of every row of sorted whole numbers; beyond what they can show, times the tail factor."""
    found = conformal(ordered, share).astype(np.int64)
    if math.ceil(round(share * (ordered.shape[-1] + 1), 9)) > ordered.shape[-1]:
        found = np.minimum(-(-found * tail_permille // 1000), MAX_MBPS)
    return tuple(int(f) for f in found)
