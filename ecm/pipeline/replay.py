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
LEVELS = (900, 950, 990)
"""Quantiles, permille, whose coverage is counted."""
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


@dataclass(frozen=True, eq=False)
class Replay:
    """What was decided."""

    desired: Counts
    """(quantiles, rows): decided nodes, held between decisions."""
    exceeded: dict[int, npt.NDArray[np.float64]] = field(default_factory=dict)
    """By permille: (rows with a decision), 1 where the window's maximum came to more than the quantile, NaN where the
    window was not measured."""
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
    exceeded = {level: np.full(len(times), np.nan) for level in LEVELS}
    loss = np.full(len(times), np.nan)
    models: Counter[str] = Counter()
    effects: dict[str, None] = {}
    incidents: dict[str, str] = {}
    held_at = 0
    for index, row in enumerate(times):
        forecast = world.forecast(row)
        demand = Demand(world.source(forecast), world.fleet.applications)
        for place, quantile in enumerate(asked.quantiles):
            held = int(current[place]) * UNITS_PER_NODE
            load = without_unexplained_fall(demand.at(quantile), forecast, held)
            current[place] = max(rules.min_nodes, -(-load.planned_mbps // UNITS_PER_NODE))
        desired[:, index] = current
        came = world.came(row, forecast)
        for level in LEVELS:
            exceeded[level][index] = np.nan if math.isnan(came) else came > _quantile(forecast, level)
        loss[index] = _pinball(came, _quantile(forecast, asked.quantiles[0]), asked.quantiles[0]) * world.unit
        models[forecast.applications[0].model] += 1
        effects.update(dict.fromkeys(forecast.applications[0].event_effects))
        for text in forecast.applications[0].incidents:
            incidents.setdefault(text.partition(" UTC")[0], text)
        held_at += forecast.applications[0].unexplained_fall
        progress(index + 1, len(times))
    rows = trace.rows - asked.first
    return Replay(
        desired=np.repeat(desired, period, axis=1)[:, :rows],
        exceeded=exceeded,
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
        self._trace = trace
        self.fleet = one_tier(asked.events, asked.time_zone, asked.holidays)
        profile = profile_of(asked.quantiles[0])
        self._profiles = {a.id: profile for a in self.fleet.applications}
        self.history = history_of(trace, self._unit)
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


def _quantile(forecast: Forecast, permille: int) -> float:
    maxima = np.sort(forecast.scenarios[0, :, forecast.window_first_step :].max(axis=1))
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


def one_tier(events: tuple[Event, ...] = (), time_zone: str = "UTC", holidays: str | None = None) -> Fleet:
    """Return a fleet of one application on one tier in one zone."""
    return Fleet(
        stack=NAME,
        region="us-east-1",
        zones=("us-east-1a",),
        network=Network(vpc_cidr=IPv4Network("10.0.0.0/16")),
        vpns=(Vpn(id=NAME, client_cidr=IPv4Network("172.16.0.0/24"), time_zone=time_zone, holidays=holidays),),
        applications=(Application(id=NAME, vpn=NAME, profile=NAME, destinations=(IPv4Network("0.0.0.0/0"),)),),
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
