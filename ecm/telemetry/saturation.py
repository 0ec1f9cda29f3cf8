"""Which points were taken while a tier carried all that it could: lower bounds of the demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from ecm.model.fleet import Role
from ecm.model.plan import Plan
from ecm.model.points import Points
from ecm.model.series import SeriesKey

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TierLimit:
    """From which load on a tier counts as full, and whose load that is."""

    mbps: float
    applications: frozenset[tuple[str, str]]
    """VPN and application."""


@dataclass(frozen=True)
class Limits:
    """What the tiers of one plan carried while it stood: from `start` until before `end`."""

    start: datetime
    end: datetime
    tiers: tuple[TierLimit, ...]
    ingress: frozenset[str]
    """Tiers where clients come in: behind them the same bytes are counted again."""


def plan_limits(plan: Plan, span: tuple[datetime, datetime], full_pct: int) -> Limits:
    """Return the limits of a plan that stood for `span`: a tier is full at `full_pct` of its active nodes' capacity."""
    chains = {chain.id: chain.tiers for chain in plan.desired.chains}
    routes = [(chains[r.chain], (r.vpn, r.application)) for r in plan.desired.applications]
    return Limits(
        start=span[0],
        end=span[1],
        tiers=tuple(
            TierLimit(t.capacity_mbps * full_pct / 100, frozenset(pair for tiers, pair in routes if t.tier in tiers))
            for t in plan.tiers
            if t.capacity_mbps
        ),
        ingress=frozenset(t.id for t in plan.desired.tiers if t.role is Role.INGRESS),
    )


def at_capacity(points: Points, limits: Sequence[Limits]) -> Flags:
    """Return which of `points` (none twice) count as load of a tier at a time at which that tier was full.

    A tier's load is the sum over the applications whose chain passes it, measured where their clients come in. A point
    that is not known adds nothing: what is there may still be too much.
    """
    flags = np.zeros(len(points), dtype=np.bool_)
    for one in limits:
        inside = (points.stamps >= _stamp(one.start)) & (points.stamps < _stamp(one.end))
        for tier in one.tiers:
            mine = np.array([_counts(key, tier, one.ingress) for key in points.series], dtype=np.bool_)
            rows = np.flatnonzero(inside & mine[points.index]) if len(mine) else np.zeros(0, np.int64)
            _, at = np.unique(points.stamps[rows], return_inverse=True)
            load = np.bincount(at, weights=np.nan_to_num(points.mbps[rows]))
            flags[rows] |= load[at] >= tier.mbps
    return flags


def _counts(key: SeriesKey, tier: TierLimit, ingress: frozenset[str]) -> bool:
    return (key.vpn, key.application) in tier.applications and (not key.tier or key.tier in ingress)


def _stamp(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")
