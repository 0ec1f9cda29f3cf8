"""What the joint forecast says of a tier as it was, as it will be, and with one node less or more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ecm.model.base import MAX_MBPS
from ecm.model.demand import Forecast
from ecm.model.policy import OnViolation
from ecm.model.sizing import ZONE_LOSS_NOT_SURVIVED, OneNode, Placement, Risk, TierSizing
from ecm.sizing.load import LoadSource
from ecm.sizing.tier import Sizer, TierContext, survives_zones


def risk(sizer: Sizer, context: TierContext, sized: TierSizing) -> Risk:
    """Return what the forecast says of `sized`, a sizing of the tier of `context` by `sizer`."""
    demand = _Demand.of(sizer.source, sized.load.applications)
    zone_loss = survives_zones(context) and all(b.constraint != ZONE_LOSS_NOT_SURVIVED for b in sized.because)
    before = sizer.survival(context, context.running).whole_mbps

    def one(placements: tuple[Placement, ...], changed: Placement) -> OneNode:
        return OneNode(
            zone=changed.zone,
            shape=changed.shape,
            usable_mbps=sizer.usable(context, placements, zone_loss=zone_loss),
            violated_s=demand.violated_s(sizer.survival(context, placements).whole_mbps),
            usd_micro_per_hour=sizer.price(context, changed.shape),
        )

    less = [one(left, gone) for left, gone in _without_one(sized.placements)]
    more = (
        [one(grown, new) for grown, new in _with_one(sized)] if _nodes(sized) < sizer.limits.max_nodes_per_tier else []
    )
    p50, p90, p99 = (demand.steps(permille) for permille in (500, 900, 990))
    return Risk(
        p50_mbps=p50,
        p90_mbps=p90,
        p99_mbps=p99,
        before_mbps=min(before, MAX_MBPS),
        violated_before_s=demand.violated_s(before),
        violated_after_s=demand.violated_s(sized.survival.whole_mbps),
        less=max(less, key=lambda o: (o.usable_mbps, o.usd_micro_per_hour, o.zone, o.shape), default=None),
        more=min(more, key=lambda o: (o.usd_micro_per_hour, -o.usable_mbps, o.zone, o.shape), default=None),
    )


@dataclass(frozen=True)
class _Demand:
    """The summed load of a tier's applications."""

    mbps: npt.NDArray[np.float64]
    """(scenarios, steps), whole Mbit/s."""
    forecast: Forecast

    @classmethod
    def of(cls, source: LoadSource, applications: tuple[str, ...]) -> _Demand:
        """Return what `applications` ask for together, those served at best effort left out."""
        made = source.forecast
        counted = [a for a in applications if source.profiles[a].on_violation is not OnViolation.BEST_EFFORT]
        rows = [made.row(a) for a in counted]
        return cls(np.ceil(np.round(made.scenarios[rows].sum(axis=0), 3)), made)

    def steps(self, permille: int) -> tuple[int, ...]:
        """Return a quantile of each step: the value of rank ceil(q (S + 1)) of S scenarios, the largest at most."""
        count = self.mbps.shape[0]
        rank = min(count, -(-permille * (count + 1) // 1000))
        ordered = np.sort(self.mbps, axis=0)[max(rank, 1) - 1]
        return tuple(min(int(value), MAX_MBPS) for value in ordered)

    def violated_s(self, capacity_mbps: int) -> int:
        """Return the expected seconds of the sizing window in which the load exceeds `capacity_mbps`."""
        window = self.mbps[:, self.forecast.window_first_step :]
        over = float((window > capacity_mbps).sum(axis=1).mean())
        return round(over * self.forecast.interval_min * 60)


def _nodes(sized: TierSizing) -> int:
    return sum(p.count for p in sized.placements)


def _without_one(placements: tuple[Placement, ...]) -> Iterator[tuple[tuple[Placement, ...], Placement]]:
    """Yield what is left without one node of each placement, and that placement."""
    for gone in placements:
        left = tuple(
            p if p != gone else p.model_copy(update={"count": p.count - 1})
            for p in placements
            if p != gone or p.count > 1
        )
        yield left, gone


def _with_one(sized: TierSizing) -> Iterator[tuple[tuple[Placement, ...], Placement]]:
    """Yield the placements with one node more of each choice that is available, and that node."""
    for choice in sized.choices:
        if choice.available:
            new = Placement(zone=choice.zone, shape=choice.shape, count=1)
            yield (*sized.placements, new), new
