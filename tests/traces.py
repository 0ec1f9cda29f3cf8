"""Real request traces as VPN traffic: scaled with a stated factor, shifted by whole weeks to a common end.

The scaled unit is not measured; every use states factor and shift (`TraceSet.statements`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from pathlib import Path

import pandas as pd

from ecm.model.fleet import Application, Chain, Event, Fleet, Network, Role, Tier, Vpn
from ecm.telemetry import PlainImport, write_table
from ecm.telemetry.plain import plain_table

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "telemetry"
END = datetime(2026, 3, 5, 0, 0, tzinfo=UTC)
"""A Thursday, 00:00: just before the weekday and hour at which the shortest trace ends."""
INTERVAL_MIN = 15
WEEK = timedelta(weeks=1)


@dataclass(frozen=True)
class Trace:
    """One file and what it stands for."""

    application: str
    vpn: str
    file: str
    unit: str
    factor: float
    """Mbit/s per unit."""
    interval_min: int
    """Of the file: values are counts over it."""


TRACES = (
    Trace("portal", "corp", "appserver_requests_1h_2015_2017.csv", "request per h", 0.0005, 60),
    Trace("archive", "corp", "nasa_requests_5min_july.csv", "request per 5 min", 0.5, 5),
    Trace("gateway", "partner", "nab_elb_request_count_5min.csv", "request per 5 min", 2.0, 5),
)
TAXI = Trace("rides", "corp", "nab_nyc_taxi_30min.csv", "passenger per 30 min", 0.01, 30)


@dataclass(frozen=True)
class TraceSet:
    """All traces on one grid, in long form."""

    table: pd.DataFrame
    statements: tuple[str, ...]


def available() -> bool:
    """Whether the traces are there."""
    return all((FOLDER / t.file).is_file() for t in (*TRACES, TAXI))


def load(traces: tuple[Trace, ...] = TRACES, *, end: datetime = END, weeks: int = 8) -> TraceSet:
    """The last `weeks` before `end` of every trace on a grid of 15 min; shorter traces are shorter.

    Finer values are averaged, hourly ones hold for their four quarters. Each trace is moved by the least number of
    whole weeks that lets it reach `end`; what is later is left out.
    """
    parts, statements = [], []
    for trace in traces:
        series, shift = _shifted(trace, end)
        grid = series.resample(f"{INTERVAL_MIN}min").mean()
        if trace.interval_min > INTERVAL_MIN:
            grid = grid.ffill(limit=trace.interval_min // INTERVAL_MIN - 1)
            whole = pd.date_range(grid.index[0], end, freq=f"{INTERVAL_MIN}min", inclusive="left")
            grid = grid.reindex(whole, method="ffill", limit=trace.interval_min // INTERVAL_MIN - 1)
        grid = grid[(grid.index >= end - weeks * WEEK) & (grid.index < end)]
        stamps = grid.index.strftime("%Y-%m-%dT%H:%M:%SZ")
        row = {
            "timestamp": stamps,
            "vpn": trace.vpn,
            "application": trace.application,
            "mbps": grid.round(4).to_numpy(),
        }
        parts.append(pd.DataFrame(row))
        statements.append(
            f"{trace.application}: {trace.file}, 1 {trace.unit} stated as {trace.factor:g} Mbit/s, "
            f"moved by {shift} whole weeks"
        )
    return TraceSet(pd.concat(parts, ignore_index=True), tuple(statements))


def write(folder: Path, traces: tuple[Trace, ...] = TRACES, *, end: datetime = END, weeks: int = 8) -> Path:
    """Write the traces as telemetry and return the file."""
    target = folder / "telemetry.csv"
    write_table(load(traces, end=end, weeks=weeks).table, target)
    return target


def _shifted(trace: Trace, end: datetime) -> tuple[pd.Series, int]:
    how = PlainImport(
        vpn=trace.vpn, application=trace.application, factor=trace.factor, unit=trace.unit, time_zone="UTC"
    )
    table = plain_table(FOLDER / trace.file, how)
    stamps = pd.to_datetime(table["timestamp"], utc=True)
    last = stamps.iloc[-1] + timedelta(minutes=trace.interval_min)
    shift = int(-((last - end) // WEEK))
    index = (stamps + shift * WEEK).dt.floor(f"{min(trace.interval_min, INTERVAL_MIN)}min")
    return pd.Series(table["mbps"].to_numpy(), index=pd.DatetimeIndex(index)), shift


def a_fleet(
    applications: tuple[tuple[str, str], ...] = tuple((t.vpn, t.application) for t in TRACES),
    *,
    events: tuple[Event, ...] = (),
    time_zone: str = "UTC",
    holidays: str | None = None,
) -> Fleet:
    """A fleet of one tier per VPN with the given (vpn, application) pairs."""
    vpns = sorted({vpn for vpn, _ in applications})
    return Fleet(
        stack="test",
        region="us-east-1",
        zones=("us-east-1a", "us-east-1b"),
        network=Network(vpc_cidr=IPv4Network("10.64.0.0/16")),
        vpns=tuple(
            Vpn(id=v, client_cidr=IPv4Network(f"100.64.{i}.0/24"), time_zone=time_zone, holidays=holidays)
            for i, v in enumerate(vpns)
        ),
        applications=tuple(
            Application(id=a, vpn=v, profile="bulk", destinations=(IPv4Network("0.0.0.0/0"),)) for v, a in applications
        ),
        tiers=tuple(Tier(id=f"{v}-in", role=Role.INGRESS, image="vpne") for v in vpns),
        chains=tuple(Chain(id=f"{v}-main", vpn=v, tiers=(f"{v}-in",)) for v in vpns),
        events=events,
    )
