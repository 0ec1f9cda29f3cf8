"""From files to one demand history on one grid, with everything that was found on the way."""

from __future__ import annotations

from math import lcm
from pathlib import Path
from typing import NamedTuple
from zoneinfo import available_timezones

import numpy as np
import numpy.typing as npt

from ecm.model.demand import DemandHistory, Severity, TelemetryFinding
from ecm.model.fleet import Application, Fleet, next_by_id
from ecm.model.points import Points
from ecm.model.series import SeriesKey
from ecm.telemetry.errors import TelemetryError
from ecm.telemetry.rows import Rows, Source, called, read_rows
from ecm.telemetry.series import Series, Values, examined, minute_time, regular
from ecm.telemetry.stamps import Stamps, place


class _Times(NamedTuple):
    stamps: Stamps
    """UTC; NaT where the wall clock never showed the time."""
    findings: tuple[TelemetryFinding, ...]


def read(source: Source, *, fleet: Fleet, time_zone: str | None = None) -> DemandHistory:
    """Return the load of every application of `fleet` from a file, a folder or a table.

    Times without an offset are read in `time_zone`, else in the time zone that the fleet file states for the VPN; where
    neither says, they are refused. An application without any row is a row of NaN and a finding. The result is the same
    for any order of the input rows. TelemetryError says what cannot be read and how to mend it.
    """
    if time_zone is not None and time_zone not in available_timezones():
        remedy = "use an IANA name such as Europe/Berlin"
        raise TelemetryError("unknown time zone", file=called(source), value=time_zone, remedy=remedy)
    rows = read_rows(source, fleet)
    applications = sorted(fleet.applications, key=lambda a: a.id)
    found: list[TelemetryFinding] = []
    series: list[Series] = []
    for index, application in enumerate(applications):
        mine = np.flatnonzero(rows.application == index)
        if not mine.size:
            found.append(_absent(application))
            continue
        times = _utc(rows, mine, (application, fleet), time_zone)
        found += times.findings
        known = ~np.isnat(times.stamps)
        if not known.any():
            found.append(_absent(application))
            continue
        name = (application.vpn, application.id)
        series.append(examined(regular(name, times.stamps[known], rows.mbps[mine][known], (rows, mine[known]))))
    if not series:
        remedy = "write times with an offset (Z for UTC)"
        raise TelemetryError("no row has a time that its clock ever showed", file=called(source), remedy=remedy)
    return _combined(series, tuple(applications), found)


def inspect(source: Source, *, fleet: Fleet, time_zone: str | None = None) -> tuple[TelemetryFinding, ...]:
    """Return all findings of `read` and those that concern the files alone: rows that are not in time order.

    Row order is no property of the demand, so it is not in the history: that stays the same in any order.
    """
    history = read(source, fleet=fleet, time_zone=time_zone)
    rows = read_rows(source, fleet)
    found = list(history.findings)
    for index, (application, vpn) in enumerate(zip(history.applications, history.vpns, strict=True)):
        mine = np.flatnonzero(rows.application == index)
        back = np.flatnonzero(np.diff(rows.stamps[mine]) < np.timedelta64(0, "us")) + 1
        if back.size:
            file, row = rows.place(int(mine[back[0]]))
            found.append(
                TelemetryFinding(
                    vpn=vpn,
                    application=application,
                    kind="unsorted",
                    severity=Severity.INFO,
                    count=int(back.size),
                    first=None,
                    detail=f"rows earlier than the one before them, first {row} of {Path(file).name}; read sorted",
                )
            )
    return _ordered(found)


def points(source: Source, *, fleet: Fleet, time_zone: str | None = None) -> Points:
    """Return the rows of `source` as points of one series for each application, times in UTC; errors as `read`."""
    rows = read_rows(source, fleet)
    applications = sorted(fleet.applications, key=lambda a: a.id)
    stamps = rows.stamps.copy()
    for index, application in enumerate(applications):
        mine = np.flatnonzero(rows.application == index)
        stamps[mine] = _utc(rows, mine, (application, fleet), time_zone).stamps
    series = tuple(SeriesKey(vpn=a.vpn, application=a.id) for a in applications)
    made = Points(series, rows.application.astype(np.int32), stamps, rows.mbps, rows.saturated)
    return made.chosen(~np.isnat(stamps))


def _absent(application: Application) -> TelemetryFinding:
    return TelemetryFinding(
        vpn=application.vpn,
        application=application.id,
        kind="missing",
        severity=Severity.ERROR,
        count=1,
        first=None,
        detail="no row for this application of the fleet",
    )


def _utc(rows: Rows, mine: npt.NDArray[np.int64], whose: tuple[Application, Fleet], time_zone: str | None) -> _Times:
    application, fleet = whose
    stamps = rows.stamps[mine].copy()
    naive = np.flatnonzero(~rows.aware[mine])
    if not naive.size:
        return _Times(stamps, ())
    vpn = next_by_id(fleet.vpns, application.vpn)
    zone = time_zone or (vpn.time_zone if "time_zone" in vpn.model_fields_set else None)
    if zone is None:
        file, row = rows.place(int(mine[naive[0]]))
        raise TelemetryError(
            "no offset, and nothing says which time zone this is",
            file=file,
            where=f"{row}, column timestamp",
            value=str(stamps[naive[0]]),
            remedy=f"write an offset (Z for UTC), or state time_zone for VPN {vpn.id!r} in the fleet file",
        )
    placed = place(stamps[naive], zone)
    measured = ~np.isnan(rows.mbps[mine][naive])
    notes = (
        (Severity.INFO, np.ones(naive.size, dtype=bool), f"times without an offset, read in {zone}"),
        (
            Severity.WARNING,
            placed.ambiguous,
            f"shown twice by the clock in {zone}: read as the first (daylight saving) hour, the second is a gap",
        ),
        (
            Severity.WARNING,
            placed.nonexistent & measured,
            f"the clock in {zone} never showed these times (daylight saving): rows left out",
        ),
    )
    stamps[naive] = placed.stamps
    found = [_time_finding(application, severity, stamps[naive][at], text) for severity, at, text in notes if at.any()]
    return _Times(stamps, tuple(found))


def _time_finding(application: Application, severity: Severity, at: Stamps, detail: str) -> TelemetryFinding:
    known = at[~np.isnat(at)]
    first = minute_time(int(known.min().astype(np.int64)) // 60_000_000) if known.size else None
    return TelemetryFinding(
        vpn=application.vpn,
        application=application.id,
        kind="time-zone",
        severity=severity,
        count=int(at.size),
        first=first,
        detail=detail,
    )


def _combined(
    series: list[Series], applications: tuple[Application, ...], found: list[TelemetryFinding]
) -> DemandHistory:
    interval = lcm(*(s.interval_min for s in series))
    start = min(s.start_min for s in series) // interval * interval
    end = max(-(-(s.start_min + len(s.mbps) * s.interval_min) // interval) * interval for s in series)
    grid = np.full((len(applications), (end - start) // interval), np.nan)
    saturated = np.zeros(grid.shape, dtype=np.bool_)
    row = {a.id: i for i, a in enumerate(applications)}
    for item in series:
        if item.interval_min != interval:
            every = np.ones(len(item.mbps), dtype=bool)
            detail = f"measured every {item.interval_min} min, averaged to the common {interval} min"
            item = item.found("interval", Severity.INFO, every, detail)  # noqa: PLW2901 - the same series, one finding more
        found += item.findings
        place = row[item.application]
        grid[place] = _averaged(item, interval, (start, end))
        first = np.arange(len(item.mbps)) * item.interval_min + item.start_min - start
        saturated[place, first[item.saturated] // interval] = True
    return DemandHistory(
        interval_min=interval,
        start=minute_time(start),
        applications=tuple(a.id for a in applications),
        vpns=tuple(a.vpn for a in applications),
        mbps=grid,
        saturated=saturated,
        findings=_ordered(found),
    )


def _averaged(series: Series, interval: int, span: tuple[int, int]) -> Values:
    """Return the series on the common grid: means, NaN where less than half of an interval was measured."""
    start, end = span
    fine = np.full((end - start) // series.interval_min, np.nan)
    offset = (series.start_min - start) // series.interval_min
    fine[offset : offset + len(series.mbps)] = series.mbps
    parts = fine.reshape(-1, interval // series.interval_min)
    measured = (~np.isnan(parts)).sum(axis=1)
    sums = np.nansum(parts, axis=1)
    enough = measured * 2 >= parts.shape[1]
    return np.where(enough, sums / np.maximum(measured, 1), np.nan)


def _ordered(found: list[TelemetryFinding]) -> tuple[TelemetryFinding, ...]:
    return tuple(sorted(found, key=lambda f: (f.vpn, f.application, f.kind, f.detail)))
