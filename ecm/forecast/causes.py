"""Events and holidays in the life of an application: found in the fleet file and in calendars."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import holidays

from ecm.forecast.errors import ForecastError
from ecm.model.fleet import Fleet, Vpn, next_by_id


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


def causes_of(fleet: Fleet, application: str, span: tuple[datetime, int, int]) -> tuple[Cause, ...]:
    """Return the events and holidays of `application`, sorted; `span` is start, interval_min and steps in all."""
    return causes_by_application(fleet, (application,), span)[0]


def causes_by_application(
    fleet: Fleet, applications: tuple[str, ...], span: tuple[datetime, int, int]
) -> tuple[tuple[Cause, ...], ...]:
    """Return the events and holidays of each of `applications` as `causes_of` does; calendars are read once a VPN."""
    vpn_of = {a.id: a.vpn for a in fleet.applications}
    known = {v: _causes_of_vpn(fleet, v, span) for v in sorted({vpn_of[a] for a in applications})}
    return tuple(tuple(c for scope, c in known[vpn_of[a]] if scope in (None, a)) for a in applications)


def _causes_of_vpn(fleet: Fleet, vpn_id: str, span: tuple[datetime, int, int]) -> tuple[tuple[str | None, Cause], ...]:
    """Return the causes within the span that concern a VPN, each with its application (none: all), sorted."""
    vpn = next_by_id(fleet.vpns, vpn_id)
    zone = ZoneInfo(vpn.time_zone)
    found = [
        (e.application, _cause((e.id, e.kind), (e.start, e.end), e.expected_factor, (span, zone)))
        for e in fleet.events
        if e.region in (None, fleet.region) and e.vpn in (None, vpn.id)
    ]
    found += [
        (None, _cause((label, "holiday"), (start, end), None, (span, zone)))
        for label, start, end in _holidays(vpn, span, zone)
    ]
    inside = [(scope, c) for scope, c in found if c.after > 0 and c.first < span[2] and c.after > c.first]
    return tuple(sorted(inside, key=lambda item: (item[1].first, item[1].after, item[1].kind, item[1].label)))


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
        # Without a language the package takes the environment's, and a plan would differ by machine.
        calendar = holidays.country_holidays(vpn.holidays, years=years, language="en_US")
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
