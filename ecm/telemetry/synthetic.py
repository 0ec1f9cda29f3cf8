"""Generated telemetry for demonstrations and tests: deterministic, and always to be presented as generated."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from ecm.model.fleet import Event, Fleet, next_by_id

WEEKLY_GROWTH = 0.01
"""Growth of the level per week."""
WEEKEND_SHARE = 0.55
"""Load of a weekend day over that of a weekday."""
NIGHT_SHARE = 0.22
"""Load of the quietest hour over that of the busiest."""
NOISE = 0.05
NOISE_MEMORY_MIN = 45.0
"""Standard deviation of the relative noise, and the time over which it forgets."""
DEFAULT_EVENT_FACTOR = 1.5
"""Effect of an event without an expected factor: the generator must choose one."""
DEFAULT_SCALE_MBPS = 200.0

Values = npt.NDArray[np.float64]


def generate(
    fleet: Fleet, *, end: datetime, days: int, interval_min: int, scale: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Return generated telemetry in long form: timestamp (text, UTC), vpn, application, mbps.

    `scale` gives the busiest ordinary hour's load of an application, Mbit/s (200 where it is not named). Same
    arguments, same values: the noise is seeded by the application's name and the first interval. Days and weeks
    follow the time zone of the VPN; the events of the fleet multiply the load.
    """
    if interval_min < 1 or 60 % interval_min or days < 1:
        raise ValueError(f"interval_min {interval_min} must divide 60 and days {days} be positive")
    steps = days * 1440 // interval_min
    last = end.astimezone(UTC).replace(second=0, microsecond=0)
    last -= timedelta(minutes=last.minute % interval_min)
    index = pd.date_range(end=last, periods=steps + 1, freq=f"{interval_min}min")[:-1]
    text = index.strftime("%Y-%m-%dT%H:%M:%SZ").to_numpy()
    parts = []
    for application in sorted(fleet.applications, key=lambda a: a.id):
        zone = next_by_id(fleet.vpns, application.vpn).time_zone
        level = float((scale or {}).get(application.id, DEFAULT_SCALE_MBPS))
        events = [
            e for e in fleet.events if e.application in (None, application.id) and e.vpn in (None, application.vpn)
        ]
        factor = _shape(index.tz_convert(zone)) * _growth(index) * _events(index, events)
        mbps = level * factor * _noise(application.id, index, interval_min)
        parts.append(
            pd.DataFrame(
                {"timestamp": text, "vpn": application.vpn, "application": application.id, "mbps": np.round(mbps, 3)}
            )
        )
    return pd.concat(parts, ignore_index=True)


def _shape(local: pd.DatetimeIndex) -> Values:
    hour = local.hour.to_numpy() + local.minute.to_numpy() / 60
    # Two humps, at 10:30 and 15:30, over a quiet night: the day of an office.
    day = np.exp(-(((hour - 10.5) / 2.6) ** 2)) + 0.9 * np.exp(-(((hour - 15.5) / 2.9) ** 2))
    weekend = local.dayofweek.to_numpy() >= 5
    busy = NIGHT_SHARE + (1 - NIGHT_SHARE) * np.minimum(day / 1.05, 1.0)
    shape: Values = busy * np.where(weekend, WEEKEND_SHARE, 1.0)
    return shape


def _growth(index: pd.DatetimeIndex) -> Values:
    weeks = (index - index[-1]).total_seconds().to_numpy() / (7 * 86400)
    growth: Values = (1 + WEEKLY_GROWTH) ** weeks
    return growth


def _events(index: pd.DatetimeIndex, events: list[Event]) -> Values:
    factor = np.ones(len(index))
    for event in events:
        during = (index >= pd.Timestamp(event.start)) & (index < pd.Timestamp(event.end))
        factor[during] *= event.expected_factor or DEFAULT_EVENT_FACTOR
    return factor


def _noise(name: str, index: pd.DatetimeIndex, interval_min: int) -> Values:
    seed = hashlib.sha256(f"{name}@{index[0].isoformat()}/{interval_min}".encode()).digest()
    white = np.random.Generator(np.random.PCG64(int.from_bytes(seed[:8], "big"))).standard_normal(len(index))
    memory = float(np.exp(-interval_min / NOISE_MEMORY_MIN))
    reach = max(1, int(6 * NOISE_MEMORY_MIN / interval_min))
    weights = memory ** np.arange(reach)
    smooth = np.convolve(white, weights / np.sqrt((weights**2).sum()))[: len(white)]
    noise: Values = np.exp(NOISE * smooth)
    return noise
