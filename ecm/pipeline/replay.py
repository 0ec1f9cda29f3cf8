"""ECM's own decisions over one trace: the planner's forecast and load, step by step, with only the past visible."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Network

import numpy as np
import numpy.typing as npt

from ecm.backtest.coverage import grain, pit
from ecm.backtest.peers import HORIZON_H, REFRESH_H, HourlyForecasts
from ecm.backtest.trace import Rules, Trace
from ecm.forecast import DEFAULT, Predictor, Tried
from ecm.model.demand import DemandHistory, Forecast
from ecm.model.fleet import Application, Chain, Event, Fleet, Network, Role, Tier, Vpn
from ecm.model.policy import QosProfile
from ecm.sizing import Demand, LoadSource, without_unexplained_fall

NAME = "trace"
UNITS_PER_NODE = 1000
"""A node's capacity in the whole units that a forecast is rounded to: a permille of a node is below any noise."""
SEED = 19_971_211
"""Of the chance that breaks ties of counts."""
Counts = npt.NDArray[np.int64]
Loads = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Question:
    """What is replayed."""

    trace: Trace
    rules: Rules
    first: int
    """The first row with a decision; the rows before are history."""
    quantiles: tuple[int, ...]
    """Planning quantiles, permille; each is a sequence of decisions of its own."""
    events: tuple[Event, ...] = ()
    time_zone: str = "UTC"
    holidays: str | None = None
    tried: Tried = DEFAULT
    siblings: Loads | None = None
    """(siblings, rows): loads of other applications of the VPN on the trace's grid and in its unit, NaN where not
    measured; they are forecast with it and lend a young trace their shape."""


@dataclass(frozen=True, eq=False)
class Replay:
    """What was decided."""

    desired: Counts
    """(quantiles, rows): decided nodes, held between decisions."""
    pit: Loads = field(default_factory=lambda: np.empty(0))
    """(rows with a decision): where the window's maximum lay in its forecast, from 0 to 1, ties of counts broken by
    chance; NaN where the window was not measured."""
    loss: Loads = field(default_factory=lambda: np.empty(0))
    """(rows with a decision): pinball loss of the window's maximum at the first planning quantile, in units of the
    trace; NaN where the window was not measured."""
    models: tuple[tuple[str, int], ...] = ()
    """Decisions by chosen model, most frequent first."""
    effects: tuple[str, ...] = ()
    """What was said of events, in order of first mention."""
    incidents: tuple[str, ...] = ()
    """What was said of outages, retry storms and new levels, each as it was first mentioned."""
    held: int = 0
    """Decisions at which a fall that nothing explains kept capacity."""

    def exceeded(self, permille: int) -> Loads:
        """Return by decision 1 where the window's maximum lay above the quantile `permille`, else 0; NaN: unknown."""
        return np.where(np.isnan(self.pit), np.nan, self.pit > permille / 1000)


def replay(asked: Question, progress: Callable[[int, int], None] = lambda _done, _of: None) -> Replay:
    """Return the decisions of every `asked.quantiles` at every decision time from `asked.first` on.

    Each is made as `ecm plan` makes it: the forecast of the history that had ended by then, the load at the planning
    quantile with its floors, nothing scaled in on an unexplained fall, then the fewest nodes that carry the load.
    `progress` is told how many decisions of how many are made. ForecastError when nothing precedes the first row.
    """
    trace, rules = asked.trace, asked.rules
    period = rules.period(trace.step_min)
    times = range(asked.first, trace.rows, period)
    world = World(asked, period)
    desired = np.empty((len(asked.quantiles), len(times)), dtype=np.int64)
    current = np.full(len(asked.quantiles), rules.min_nodes)
    places = np.full(len(times), np.nan)
    chance = np.random.default_rng(SEED).uniform(size=trace.rows)
    loss = np.full(len(times), np.nan)
    models: Counter[str] = Counter()
    effects: dict[str, None] = {}
    incidents: dict[str, str] = {}
    held_at = 0
    for index, row in enumerate(times):
        forecast = world.forecast(row)
        demand = Demand(world.source(forecast), world.fleet.applications[:1])
        for place, quantile in enumerate(asked.quantiles):
            held = int(current[place]) * UNITS_PER_NODE
            load = without_unexplained_fall(demand.at(quantile), forecast, held)
            current[place] = max(rules.min_nodes, -(-load.planned_mbps // UNITS_PER_NODE))
        desired[:, index] = current
        came = world.came(row, forecast)
        places[index] = world.place(came, forecast, float(chance[row]))
        loss[index] = _pinball(came, _quantile(forecast, asked.quantiles[0]), asked.quantiles[0]) * world.unit
        said = forecast.applications[forecast.row(NAME)]
        models[said.model] += 1
        effects.update(dict.fromkeys(said.event_effects))
        for text in said.incidents:
            incidents.setdefault(text.partition(" UTC")[0], text)
        held_at += said.unexplained_fall
        progress(index + 1, len(times))
    rows = trace.rows - asked.first
    return Replay(
        desired=np.repeat(desired, period, axis=1)[:, :rows],
        pit=places,
        loss=loss,
        models=tuple(models.most_common()),
        effects=tuple(effects),
        incidents=tuple(incidents.values()),
        held=held_at,
    )


class World:
    """The trace as the telemetry of one application on one tier."""

    def __init__(self, asked: Question, period: int) -> None:
        trace, rules = asked.trace, asked.rules
        self._unit = UNITS_PER_NODE / rules.capacity
        self._trace, self._grain = trace, grain(trace.load)
        others = np.empty((0, trace.rows)) if asked.siblings is None else asked.siblings
        names = (NAME, *(f"{NAME}-sibling-{k + 1}" for k in range(len(others))))
        self.fleet = one_tier(asked.events, asked.time_zone, asked.holidays, names)
        profile = profile_of(asked.quantiles[0])
        self._profiles = {a.id: profile for a in self.fleet.applications}
        self.history = _with(history_of(trace, self._unit), names, others * self._unit)
        step = trace.step_min
        self._predictor = Predictor(
            self.history, self.fleet, lead_min=max(rules.boot_min, 1), hold_min=period * step, tried=asked.tried
        )

    @property
    def unit(self) -> float:
        """What one unit of a forecast is in the unit of the trace."""
        return 1 / self._unit

    def forecast(self, row: int) -> Forecast:
        """Return the forecast of a decision at the start of `row`."""
        return self._predictor.at(self.history.start + timedelta(minutes=row * self._trace.step_min))

    def source(self, forecast: Forecast) -> LoadSource:
        """Return what the load is computed from."""
        return LoadSource(forecast, self._profiles)

    def came(self, row: int, forecast: Forecast) -> float:
        """Return the maximum over the sizing window that came, in forecast units; NaN where it was not measured."""
        window = self._trace.load[row : row + forecast.scenarios.shape[2]][forecast.window_first_step :]
        missing = window.size < forecast.scenarios.shape[2] - forecast.window_first_step or np.isnan(window).any()
        return float("nan") if missing else float(window.max()) * self._unit

    def place(self, came: float, forecast: Forecast, chance: float) -> float:
        """Return where the window's maximum `came` lay in its forecast, from 0 to 1; NaN where it was not measured."""
        return float("nan") if math.isnan(came) else pit(_maxima(forecast), came, chance, self._grain * self._unit)


def _maxima(forecast: Forecast) -> Loads:
    """Return the maximum over the sizing window in every scenario of the trace."""
    maxima: Loads = forecast.scenarios[forecast.row(NAME), :, forecast.window_first_step :].max(axis=1)
    return maxima


def _quantile(forecast: Forecast, permille: int) -> float:
    maxima = np.sort(_maxima(forecast))
    rank = math.ceil(permille * (len(maxima) + 1) / 1000)
    return float(maxima[min(rank, len(maxima)) - 1])


def _pinball(came: float, quantile: float, permille: int) -> float:
    """Return the pinball loss of `quantile`; NaN where nothing came."""
    short = came - quantile
    return max(permille * short, (permille - 1000) * short) / 1000


def history_of(trace: Trace, unit: float) -> DemandHistory:
    """Return the trace as telemetry, `unit` Mbit/s for each of its units."""
    return DemandHistory(
        interval_min=trace.step_min,
        start=trace.start,
        applications=(NAME,),
        vpns=(NAME,),
        mbps=trace.load[None] * unit,
    )


def profile_of(quantile_permille: int) -> QosProfile:
    """Return the profile of traffic that is planned at `quantile_permille` and promised nothing else."""
    return QosProfile(
        id=NAME,
        traffic_class=NAME,
        latency_ms=1000,
        bandwidth_mbps=0,
        security_level=0,
        max_outage_s=86_400,
        loss_pct=100,
        priority=5,
        violated_minute_usd=0,
        planning_quantile_permille=quantile_permille,
    )


def _with(history: DemandHistory, names: tuple[str, ...], others: Loads) -> DemandHistory:
    """Return `history` of one application with those of `others` (applications, rows) beside it."""
    mbps = np.concatenate([history.mbps, others])
    return history.model_copy(update={"applications": names, "vpns": (NAME,) * len(names), "mbps": mbps})


def one_tier(
    events: tuple[Event, ...] = (),
    time_zone: str = "UTC",
    holidays: str | None = None,
    applications: tuple[str, ...] = (NAME,),
) -> Fleet:
    """Return a fleet of applications of one VPN on one tier in one zone."""
    return Fleet(
        stack=NAME,
        region="us-east-1",
        zones=("us-east-1a",),
        network=Network(vpc_cidr=IPv4Network("10.0.0.0/16")),
        vpns=(Vpn(id=NAME, client_cidr=IPv4Network("172.16.0.0/24"), time_zone=time_zone, holidays=holidays),),
        applications=tuple(
            Application(id=name, vpn=NAME, profile=NAME, destinations=(IPv4Network("0.0.0.0/0"),))
            for name in applications
        ),
        tiers=(Tier(id=NAME, role=Role.INGRESS, image=NAME, node_failures=0),),
        chains=(Chain(id=NAME, vpn=NAME, tiers=(NAME,)),),
        events=events,
    )


def hourly_forecasts(asked: Question) -> HourlyForecasts:
    """Return forecasts of the hourly mean loads by ECM's own models, every 6 h for 48 h, for AWS predictive scaling.

    Its model is not published; ECM's own, on all of the history rather than on 14 days, is a strong stand-in. Refreshes
    follow the hour of the first decision; before a day of history there is no forecast.
    """
    trace = asked.trace
    minute = trace.start_minute + np.arange(trace.rows) * trace.step_min
    hours = minute // 60 - minute[0] // 60
    known = ~np.isnan(trace.load)
    count = np.bincount(hours, weights=known)
    total = np.bincount(hours, weights=np.where(known, trace.load, 0.0))
    means = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    start = datetime.fromtimestamp(int(minute[0]) // 60 * 3600, tz=trace.start.tzinfo)
    unit = UNITS_PER_NODE / asked.rules.capacity
    history = history_of(Trace(NAME, start, 60, means), unit)
    predictor = Predictor(
        history, one_tier((), asked.time_zone, asked.holidays), lead_min=60, hold_min=60 * (HORIZON_H - 1)
    )
    first = int(hours[asked.first])
    refreshes = range(first, int(hours[-1]) + 1, REFRESH_H)
    found = np.full((len(refreshes), HORIZON_H), np.nan)
    for place, hour in enumerate(refreshes):
        if hour >= 24:
            forecast = predictor.at(history.start + timedelta(hours=hour))
            found[place] = forecast.scenarios[0].mean(axis=0)[:HORIZON_H] / unit
    return HourlyForecasts(int(minute[0]) // 60 + first, found)
