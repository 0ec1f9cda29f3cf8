"""Generated panels of any size: days, weeks, levels that wander, noise, dated events, outages of measurement.

They are generated and prove nothing about a real network; what they are for is size. Each series draws its own shape,
so that no model suits all of them: offices with two humps, evenings, flat loads, loads that are there now and then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from ecm.model.demand import DemandHistory
from ecm.model.fleet import Application, Chain, Event, Fleet, Network, Role, Tier, Vpn

INTERVAL_MIN = 15
DAYS = 56
HOURS = 48
END = datetime(2026, 3, 4, tzinfo=UTC)
"""Where the telemetry ends: midnight, when everything is fitted again."""
VPNS = 50
SEED = 20_260_304
LOST_SHARE = 0.004
LOST_STEPS = 8
"""A measurement stops with this probability per step, for so many steps on average."""
INTERMITTENT_SHARE = 0.03
"""Series that are only now and then there."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """Telemetry and what came after it."""

    history: DemandHistory
    fleet: Fleet
    came: Values
    """(series, steps): the load of the next 48 h, Mbit/s."""


def panel(series: int) -> Panel:
    """Return a generated panel of so many series."""
    rng = np.random.default_rng(SEED)
    fleet = _fleet(series)
    steps = DAYS * 1440 // INTERVAL_MIN
    start = END - timedelta(days=DAYS)
    vpn_of = np.arange(series) % VPNS
    values = np.concatenate([
        _loads(rng, vpn_of[first : first + 1000], fleet.events, start, steps + HOURS * 60 // INTERVAL_MIN)
        for first in range(0, series, 1000)
    ])  # fmt: skip
    ids = tuple(a.id for a in fleet.applications)
    measured = values[:, :steps]
    lost = _lost(rng, measured.shape)
    history = DemandHistory(
        interval_min=INTERVAL_MIN,
        start=start,
        applications=ids,
        vpns=tuple(a.vpn for a in fleet.applications),
        mbps=np.where(lost, np.nan, measured),
    )
    return Panel(history, fleet, values[:, steps:].copy())


def next_step(made: Panel, count: int = 1) -> DemandHistory:
    """Return the history with the next `count` steps measured."""
    return made.history.model_copy(update={"mbps": np.concatenate([made.history.mbps, made.came[:, :count]], axis=1)})


def _fleet(series: int) -> Fleet:
    vpns = [f"v{n:02d}" for n in range(min(VPNS, series))]
    return Fleet(
        stack="bench",
        region="us-east-1",
        zones=("us-east-1a",),
        network=Network(vpc_cidr=IPv4Network("10.0.0.0/16")),
        vpns=tuple(Vpn(id=v, client_cidr=IPv4Network(f"100.64.{n}.0/24"), time_zone="UTC") for n, v in enumerate(vpns)),
        applications=tuple(
            Application(
                id=f"a{n:05d}", vpn=vpns[n % len(vpns)], profile="web", destinations=(IPv4Network("0.0.0.0/0"),)
            )
            for n in range(series)
        ),
        tiers=tuple(Tier(id=f"{v}-in", role=Role.INGRESS, image="node") for v in vpns),
        chains=tuple(Chain(id=f"{v}-c", vpn=v, tiers=(f"{v}-in",)) for v in vpns),
        events=tuple(e for n, v in enumerate(vpns) if n % 5 == 0 for e in _campaigns(v, n)),
    )


def _campaigns(vpn: str, seed: int) -> list[Event]:
    """Return a campaign a week of one VPN in five, the last within what is forecast."""
    first = END + timedelta(hours=10 + seed % 7)
    return [
        Event(
            id=f"{vpn}-e{week}",
            kind="campaign",
            start=first - timedelta(weeks=week),
            end=first - timedelta(weeks=week) + timedelta(hours=4),
            vpn=vpn,
        )
        for week in range(DAYS // 7)
    ]


def _loads(
    rng: np.random.Generator, vpn_of: npt.NDArray[np.int64], events: tuple[Event, ...], start: datetime, steps: int
) -> Values:
    count = len(vpn_of)

    def each(low: float, high: float) -> Values:
        return rng.uniform(low, high, (count, 1))

    hour = ((np.arange(steps) * INTERVAL_MIN / 60) % 24)[None]
    day = (np.arange(steps) * INTERVAL_MIN // 1440) % 7
    # The history starts on a Wednesday.
    weekend = np.isin((day + 2) % 7, (5, 6))[None]
    near = [np.exp(-((((hour - at + 12) % 24 - 12) / width) ** 2)) for at, width in (
        (each(8, 12), each(1.5, 3.5)), (each(13, 18), each(1.5, 4)), (each(18, 23), each(1.5, 3)))]  # fmt: skip
    humps = sum(each(0.0, 1.0) * one for one in near)
    night = each(0.05, 0.6)
    shape = (night + (1 - night) * humps) * np.where(weekend, each(0.3, 1.1), 1.0)
    slow = _wander(rng, (count, steps), 2 * 1440, each(0.02, 0.2))
    fast = _wander(rng, (count, steps), 60, each(0.03, 0.15))
    white = each(0.01, 0.1) * rng.standard_normal((count, steps))
    growth = each(-0.01, 0.02) * (np.arange(steps) * INTERVAL_MIN / 10080 - DAYS / 7)
    load = np.exp(rng.normal(4.0, 1.2, (count, 1))) * shape * np.exp(slow + fast + white + growth)
    for event in events:
        mine = vpn_of == int(event.vpn[1:]) if event.vpn else np.ones(count, dtype=bool)
        first, after = (round((t - start).total_seconds() / 60 / INTERVAL_MIN) for t in (event.start, event.end))
        load[mine, max(first, 0) : max(after, 0)] *= rng.uniform(1.2, 2.0, (int(mine.sum()), 1))
    there = _wander(rng, (count, steps), 360, np.ones((count, 1))) > 0.6
    rare = rng.random((count, 1)) < INTERMITTENT_SHARE
    return np.where(rare & ~there, 0.0, load)


def _wander(rng: np.random.Generator, shape: tuple[int, int], memory_min: float, size: Values) -> Values:
    """Return a first-order autoregression that forgets over `memory_min`, of standard deviation `size`."""
    kept = float(np.exp(-INTERVAL_MIN / memory_min))
    noise = rng.standard_normal(shape) * np.sqrt(1 - kept**2)
    noise[:, 0] /= np.sqrt(1 - kept**2)
    found: Values = size * lfilter([1.0], [1.0, -kept], noise, axis=1)
    return found


def _lost(rng: np.random.Generator, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    begins = rng.random(shape) < LOST_SHARE
    lasts = rng.geometric(1 / LOST_STEPS, shape) * begins
    left = np.zeros(shape[0], dtype=np.int64)
    lost = np.zeros(shape, dtype=np.bool_)
    for step in range(shape[1]):
        left = np.maximum(left - 1, lasts[:, step])
        lost[:, step] = left > 0
    return lost
