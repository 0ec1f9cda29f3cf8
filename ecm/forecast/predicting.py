"""The forecast of all applications: scenarios, and what a plan keeps of them."""

from __future__ import annotations

import math
from datetime import datetime
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from ecm.forecast.arrays import Values, highest, last_measured
from ecm.forecast.bounds import least_demand, saturation
from ecm.forecast.errors import ForecastError
from ecm.forecast.fitting import Fit, Fitted, fit
from ecm.forecast.horizon import Horizon
from ecm.forecast.models import DEFAULT, Tried
from ecm.forecast.panel import held
from ecm.forecast.totals import totals
from ecm.forecast.whole import DECIMALS, quantiles, tail_permille, whole
from ecm.model.base import MAX_MBPS
from ecm.model.demand import DemandHistory, Forecast
from ecm.model.fleet import Fleet
from ecm.model.forecast import ApplicationForecast

WIDE_SIGMA = 0.5
"""Standard deviation of the logarithm of load over last value where no error was ever measured: P90 x1.9, P99 x3.2."""
NO_BAND = (
    "its band is not relied on, as it did not hold over the last day or week, or nothing of its own was measured yet: "
    "at least 30 % more than the most recent peak is planned"
)
"""Said where sizing falls back to floor plus margin."""
FELL = "fell below what was thought possible a lead time ago: nothing is scaled in on it"
"""Said of a fall that is too small, or too early in a history, to be told from noise but by the forecast's own band."""


def predict(history: DemandHistory, fleet: Fleet, *, as_of: datetime, lead_min: int, hold_min: int) -> Forecast:
    """Return the joint forecast of all applications of `history` over [as_of, as_of + lead + hold].

    Pure: what was measured after `as_of` is not used, and equal arguments give equal bytes. Values are whole Mbit/s.
    ForecastError names applications without any measured value, or says that the telemetry ended too long ago.
    """
    return Predictor(history, fleet, lead_min=lead_min, hold_min=hold_min).at(as_of)


class Predictor:
    """Forecasts one history as of many moments; the fit of a day is made once and serves all of its decisions.

    `at` gives what `predict` gives of the history up to that moment.
    """

    def __init__(  # noqa: PLR0913 - what is forecast and how far, what is known already, and by which models
        self,
        history: DemandHistory,
        fleet: Fleet,
        *,
        lead_min: int,
        hold_min: int,
        kept: bytes | None = None,
        tried: Tried = DEFAULT,
    ) -> None:
        self._history, self._fleet = history, fleet
        self._lead_min, self._hold_min = lead_min, hold_min
        self._kept, self._tried = kept, tried
        self._fit: Fit | None = None

    @property
    def kept(self) -> bytes | None:
        """What to give to the next run's predictor: until the next refit it then only has to update."""
        return self._fit.kept if self._fit else self._kept

    def at(self, as_of: datetime) -> Forecast:
        """Return the forecast of a decision at `as_of`; see `predict`."""
        horizon = Horizon.of(self._history, as_of, self._lead_min, self._hold_min)
        if self._fit is None or not _same(self._fit.horizon, horizon):
            self._fit = fit(self._history, self._fleet, horizon, self._kept, self._tried)
        _require_values(self._history, self._fit, horizon)
        return _forecast(self._history, self._fit, horizon)


def _require_values(history: DemandHistory, fit: Fit, horizon: Horizon) -> None:
    """Raise ForecastError for applications without any value, measured or borrowed."""
    empty = [bool(np.isnan(row).all()) for row in history.mbps[:, : horizon.length]]
    unknown = tuple(n for n, e, f in zip(history.applications, empty, fit.series, strict=True) if e and f is None)
    if unknown:
        raise ForecastError(
            "no value was measured, and no other application was measured for long enough to lend its shape",
            applications=unknown,
            remedy="add telemetry of it, or take it out of the fleet file until it has traffic",
        )


def _same(one: Horizon, other: Horizon) -> bool:
    def key(horizon: Horizon) -> tuple[int, ...]:
        return horizon.fitted, horizon.refit, horizon.steps, horizon.window_first

    return key(one) == key(other)


class _Series(NamedTuple):
    """The scenarios of one application."""

    now: Values
    """(scenarios, steps)"""
    earlier: Values
    """(hold-back, scenarios, steps of the window)"""
    least_recent: float
    """P1 of what the model expected of the last lead time's maximum, Mbit/s; 0 where it could not say."""


def _forecast(history: DemandHistory, fit: Fit, horizon: Horizon) -> Forecast:
    series = [_series(history, fit, horizon, row) for row in range(len(fit.series))]
    scenarios = np.stack([s.now for s in series])
    tail = tail_permille(scenarios[:, :, horizon.window_first :])
    applications = tuple(_application(history, (fit, horizon, row), series[row], tail) for row in range(len(series)))
    return Forecast(
        start=horizon.start,
        interval_min=horizon.season.interval_min,
        window_first_step=horizon.window_first,
        applications=applications,
        vpns=totals(applications, scenarios, horizon.window_first, tail),
        scenarios=scenarios,
        earlier=np.stack([s.earlier for s in series], axis=1),
        tail_factor_permille=tail,
    )


def _series(history: DemandHistory, fit: Fit, horizon: Horizon, row: int) -> _Series:
    fitted, first = fit.series[row], horizon.window_first
    places = horizon.present() - fit.first
    if fitted is None or np.isnan(fitted.paths[places[0]]).any():
        now = _wide(history, fit, horizon, row)
        return _Series(now, np.repeat(now[None, :, first:], horizon.back, axis=0), 0.0)
    sets = [whole(fitted.scenarios(max(int(place), 0))) for place in places]
    earlier = np.stack([np.nan_to_num(s[:, first:]) for s in sets[1:]])
    return _Series(sets[0], earlier, _least(fitted, horizon.length - 1 - horizon.lead - fit.first, horizon.lead))


def _least(fitted: Fitted, place: int, lead: int) -> float:
    """Return the P1 of the maximum over the last lead time, as forecast from its start."""
    if place < 0 or np.isnan(fitted.paths[place]).any():
        return 0.0
    return float(np.quantile(fitted.scenarios(place)[:, :lead].max(axis=1), 0.01, method="lower"))


def _wide(history: DemandHistory, fit: Fit, horizon: Horizon, row: int) -> Values:
    """Return the last value with a wide band: all that a history without past errors allows."""
    effect = fit.effects[row]
    factors = np.concatenate([effect.measured, effect.expected[len(effect.measured) :]])
    values = history.mbps[row : row + 1, : horizon.length] / factors[: horizon.length]
    last = held(values, np.array([horizon.length - 1]))[0, 0]
    path = last * effect.expected[horizon.length : horizon.length + horizon.steps]
    normal = NormalDist(0.0, WIDE_SIGMA)
    spread = np.exp([normal.inv_cdf((s + 0.5) / fit.scenarios) for s in range(fit.scenarios)])
    return whole(spread[:, None] * path)


def _application(
    history: DemandHistory, where: tuple[Fit, Horizon, int], series: _Series, tail_permille: int
) -> ApplicationForecast:
    fit, horizon, row = where
    values = history.mbps[row : row + 1, : horizon.length]
    recent = highest(values[:, -horizon.lead :])[0]
    floor = highest(least_demand(history, row, horizon.length)[None, -horizon.lead :])[0]
    last = last_measured(values)[0]
    # 0 where nothing was measured at all: then all is borrowed.
    last = np.nan_to_num(last)
    peak = min(math.ceil(round(float(last if np.isnan(recent) else floor), DECIMALS)), MAX_MBPS)
    steps = quantiles(series.now, tail_permille)
    window = quantiles(series.now[:, horizon.window_first :].max(axis=1)[:, None], tail_permille)
    effect, fitted = fit.effects[row], fit.series[row]
    fell = not np.isnan(recent) and round(float(recent), DECIMALS) < math.floor(round(series.least_recent, DECIMALS))
    first = max(horizon.length - horizon.lead, 0)
    fell = fell and not effect.may_lower(first, horizon.length)
    befell, now = fit.incidents.get(row), horizon.length - 1
    held, risen = (befell.holds(now), bool(befell.risen[now])) if befell is not None else (False, False)
    judged = fitted is not None and fitted.judged.calibrated
    said = (
        *saturation(history, row, (first, horizon.length)),
        *((FELL,) if fell and not held else ()),
        *(befell.texts(now) if befell is not None else ()),
        *((NO_BAND,) if fitted is not None and not judged else ()),
    )
    return ApplicationForecast(
        application=history.applications[row],
        vpn=history.vpns[row],
        model=fitted.judged.model if fitted else "last-value, wide band",
        p50_mbps=steps[0],
        p90_mbps=steps[1],
        p99_mbps=steps[2],
        window_p50_mbps=max(window[0][0], peak),
        window_p90_mbps=max(window[1][0], peak),
        window_p99_mbps=max(window[2][0], peak),
        recent_peak_mbps=peak,
        last_mbps=int(whole(last)),
        unexplained_fall=fell or held,
        coverage_permille=fitted.judged.coverage_permille if fitted else 0,
        calibrated=judged and not risen,
        incidents=said,
        event_effects=effect.texts(horizon.length, horizon.length + horizon.steps),
    )
