"""Events and holidays: what each did to the load, and what the next one is expected to do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import holidays
import numpy as np

from ecm.forecast.arrays import Values, mean, seasonal_mean
from ecm.forecast.errors import ForecastError
from ecm.forecast.season import Season
from ecm.model.fleet import Fleet, Vpn, next_by_id

PRIOR_WEIGHT = 1.0
"""The fleet file's expected factor counts as much as one measured occurrence."""
FACTORS = (0.1, 20.0)
"""Bounds of a measured effect: beyond them the measurement is at fault."""
LEVEL_DAYS = 1
"""The level just before an occurrence is that of the day before it."""


@dataclass(frozen=True)
class Cause:
    """One occurrence of an event or holiday in the life of one application, on the grid of its history."""

    label: str
    kind: str
    first: int
    """First step, counted from the start of the history; negative before it."""
    after: int
    """First step after it."""
    stated: float | None
    """Expected factor of the fleet file."""
    when: str
    """For people, in the VPN's time zone."""


@dataclass(frozen=True)
class Expected:
    """What an occurrence is expected to do."""

    factor: float
    basis: str
    """Empty: nothing is known."""


@dataclass(frozen=True)
class Effects:
    """Factors of one application's events and holidays over history and horizon."""

    measured: Values
    """(history): the measured factor where an occurrence is over, else the expected one; 1 outside."""
    expected: Values
    """(history + horizon): the factor that was expected before each occurrence."""
    causes: tuple[tuple[Cause, Expected], ...]

    def texts(self, first: int, after: int) -> tuple[str, ...]:
        """Return a line for every occurrence within the steps [first, after)."""
        return tuple(_text(c, e)[:500] for c, e in self.causes if c.first < after and c.after > first)

    def may_lower(self, first: int, after: int) -> bool:
        """Return whether an occurrence within [first, after) lowers the load or has an unknown effect."""
        return any(e.factor < 1 or not e.basis for c, e in self.causes if c.first < after and c.after > first)


def effects(values: Values, causes: tuple[Cause, ...], season: Season, horizon: int) -> Effects:
    """Return the factors of `causes` (sorted by first step) for the load `values`, shape (history,).

    The effect of an occurrence is its load over what the same times of the weeks before suggest at the level of the day
    before it, occurrences left out. What is expected of an occurrence comes from those of its kind before it (mean of
    logarithms) and from the fleet file. A learnt fall is believed by n / (n + 1), since too low a forecast costs more.
    """
    length = len(values)
    quiet = values.copy()
    for cause in causes:
        quiet[max(cause.first, 0) : max(cause.after, 0)] = np.nan
    measured, expected = np.ones(length), np.ones(length + horizon)
    learnt: dict[str, list[float]] = {}
    rated = []
    for cause in causes:
        belief = _expected(cause, learnt.get(cause.kind, []))
        rated.append((cause, belief))
        steps = slice(max(cause.first, 0), max(cause.after, 0))
        expected[steps] *= belief.factor
        alone = sum(1 for c in causes if c.first < cause.after and c.after > cause.first) == 1
        effect = _effect(values, quiet, cause, season) if alone and cause.after <= length else None
        if effect is not None:
            learnt.setdefault(cause.kind, []).append(math.log(effect))
        measured[steps] *= belief.factor if effect is None else effect
    return Effects(np.clip(measured, *FACTORS), np.clip(expected, *FACTORS), tuple(rated))


def _expected(cause: Cause, learnt: list[float]) -> Expected:
    times = f"{len(learnt)} occurrence" + ("s" if len(learnt) != 1 else "")
    if cause.stated is not None:
        log = (math.log(cause.stated) * PRIOR_WEIGHT + sum(learnt)) / (PRIOR_WEIGHT + len(learnt))
        return Expected(math.exp(log), f"fleet file and {times}" if learnt else "prior from fleet file")
    if not learnt:
        return Expected(1.0, "")
    log = sum(learnt) / len(learnt)
    if log < 0:
        log *= len(learnt) / (len(learnt) + 1)
    return Expected(math.exp(log), f"learnt from {times}")


def _effect(values: Values, quiet: Values, cause: Cause, season: Season) -> float | None:
    if cause.first < season.day:
        return None
    steps = np.arange(cause.first, cause.after)
    before = np.arange(cause.first - LEVEL_DAYS * season.day, cause.first)
    lags = [season.week * k for k in (1, 2, 3, 4)] if cause.first >= season.week + season.day else []
    if not lags:
        days = -(-len(steps) // season.day)
        lags = [season.day * k for k in range(days, days + 3)]
    usual = seasonal_mean(quiet[None], steps, lags, 1.0)[0]
    usual_before = seasonal_mean(quiet[None], before, lags, 1.0)[0]
    both = np.where(np.isnan(usual) | np.isnan(values[steps]), np.nan, 1.0)
    level_both = np.where(np.isnan(usual_before) | np.isnan(quiet[before]), np.nan, 1.0)
    base, load = mean(usual * both), mean(values[steps] * both)
    level = mean(quiet[before] * level_both) / mean(usual_before * level_both)
    if not (base > 0 and load > 0):
        return None
    ratio = float(load / base) / (float(level) if np.isfinite(level) and level > 0 else 1.0)
    return min(max(ratio, FACTORS[0]), FACTORS[1])


def _text(cause: Cause, expected: Expected) -> str:
    if not expected.basis:
        return f"{cause.label} {cause.when}: effect unknown, none assumed"
    percent = round((expected.factor - 1) * 100)
    verb = f"adds {percent} %" if percent >= 0 else f"takes {-percent} %"
    return f"{cause.label} {verb} {cause.when} ({expected.basis})"


def causes_of(fleet: Fleet, application: str, span: tuple[datetime, int, int]) -> tuple[Cause, ...]:
    """Return the events and holidays of `application`, sorted; `span` is start, interval_min and steps in all."""
    vpn = next_by_id(fleet.vpns, next_by_id(fleet.applications, application).vpn)
    zone = ZoneInfo(vpn.time_zone)
    found = [
        _cause((event.id, event.kind), (event.start, event.end), event.expected_factor, (span, zone))
        for event in fleet.events
        if event.application in (None, application) and event.vpn in (None, vpn.id)
    ]
    found += [
        _cause((label, "holiday"), (start, end), None, (span, zone)) for label, start, end in _holidays(vpn, span, zone)
    ]
    _, _, steps = span
    inside = [c for c in found if c.after > 0 and c.first < steps and c.after > c.first]
    return tuple(sorted(inside, key=lambda c: (c.first, c.after, c.kind, c.label)))


def _cause(
    names: tuple[str, str],
    times: tuple[datetime, datetime],
    stated: float | None,
    grid: tuple[tuple[datetime, int, int], ZoneInfo],
) -> Cause:
    (start, interval_min, _), zone = grid
    # A step belongs to an occurrence that covers at least half of it.
    first, after = (round((t - start).total_seconds() / 60 / interval_min) for t in times)
    local = tuple(t.astimezone(zone) for t in times)
    if local[1] - local[0] == timedelta(days=1) and local[0].time() == time():
        when = f"on {local[0]:%A}"
    elif local[0].date() == local[1].date():
        when = f"on {local[0]:%A} {local[0]:%H:%M} to {local[1]:%H:%M}"
    else:
        when = f"from {local[0]:%A} {local[0]:%H:%M} to {local[1]:%A} {local[1]:%H:%M}"
    label, kind = names
    return Cause(label, kind, first, after, stated, when)


def _holidays(vpn: Vpn, span: tuple[datetime, int, int], zone: ZoneInfo) -> list[tuple[str, datetime, datetime]]:
    if vpn.holidays is None:
        return []
    start, interval_min, steps = span
    end = start + timedelta(minutes=interval_min * steps)
    years = range(start.astimezone(zone).year, end.astimezone(zone).year + 1)
    try:
        calendar = holidays.country_holidays(vpn.holidays, years=years)
    except NotImplementedError as error:
        raise ForecastError(
            f"no calendar of holidays for {vpn.holidays!r} of VPN {vpn.id}",
            applications=(),
            remedy="use an ISO 3166 country that has one, or leave `holidays` out and write its days as events",
        ) from error
    found = []
    for day, name in sorted(calendar.items()):
        first = datetime.combine(day, time(), tzinfo=zone)
        after = datetime.combine(day + timedelta(days=1), time(), tzinfo=zone)
        label = "".join(c for c in f"holiday {name}" if c.isprintable())
        found.append((label, first.astimezone(UTC), after.astimezone(UTC)))
    return found
