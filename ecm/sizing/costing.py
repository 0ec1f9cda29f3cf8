"""What tiers cost with any applications on them, worked out from what a set nearby costs."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

from ecm.model.fleet import Application
from ecm.model.refusal import Infeasible
from ecm.sizing.carried import Carried
from ecm.sizing.load import quantile_of
from ecm.sizing.tier import Sizer, TierContext, survives_zones

Step = tuple[int | None, bool]
"""(micro-USD per hour with the churn; None: no nodes hold it, whether the loss of a zone is survived)."""

_NEAR = 64
"""Applications more or less up to which a set's sums come from those of the set before."""


LEVEL_MBPS = 128
"""Grid of the loads at which a tier's cost is looked at where an assignment is too large to be searched exactly."""


@dataclass
class _Steps:
    """What nodes cost by planned load: it rises in steps, so that between two equal costs nothing is worked out."""

    loads: list[int] = field(default_factory=list)
    costs: list[Step] = field(default_factory=list)

    def known(self, mbps: int) -> tuple[int, Step | None]:
        """Return where `mbps` belongs, and what it costs where that is known."""
        at = bisect_left(self.loads, mbps)
        if at < len(self.loads) and self.loads[at] == mbps:
            return at, self.costs[at]
        inside = 0 < at < len(self.loads) and self.costs[at - 1] == self.costs[at]
        return at, self.costs[at] if inside else None


@dataclass(frozen=True)
class _Kind:
    """What of a tier's cost does not depend on the load, for one largest flow."""

    steps: _Steps
    cheapest: int
    """Micro-USD per hour of the cheapest node."""
    held: int
    """Load that the running nodes hold, Mbit/s."""


@dataclass
class _Base:
    """A set of applications on a tier, and what the sets cost that differ from it by one."""

    carried: Carried
    cost: int | Infeasible
    beside: dict[str, int | Infeasible] = field(default_factory=dict)


class Costing:
    """Costs of tiers; the same as those of `Sizer.size`, without its explanations.

    A set costs an addition or subtraction of forecasts for every application in which it differs from the set that
    was asked for before, on the same tier.
    """

    def __init__(
        self, sizer: Sizer, contexts: Mapping[str, TierContext], applications: Mapping[str, Application]
    ) -> None:
        self._sizer, self._contexts, self._applications = sizer, contexts, applications
        self._bases: dict[str, _Base] = {}
        self._steps: dict[Hashable, _Steps] = {}
        self._kinds: dict[tuple[str, int], _Kind | None] = {}

    def __call__(self, tier: str, applications: frozenset[str]) -> int | Infeasible:
        """Return micro-USD per hour, price and churn, of `tier` with `applications`, or why it cannot be sized."""
        base = self._bases.get(tier)
        differ = applications if base is None else applications ^ base.carried.applications
        if base is not None and not differ:
            return base.cost
        if base is not None and len(differ) == 1:
            (one,) = differ
            if one not in base.beside:
                base.beside[one] = self._of(tier, base.carried.changed(self._applications[one]))
            return base.beside[one]
        if base is None or len(differ) > min(len(applications), _NEAR):
            carried = Carried.of(self._sizer.source, (self._applications[a] for a in sorted(applications)))
        else:
            carried = base.carried
            for one in sorted(differ):
                carried = carried.changed(self._applications[one])
        self._bases[tier] = _Base(carried, self._of(tier, carried))
        return self._bases[tier].cost

    def levels(self, tier: str, most_kbps: int, small_kbps: int) -> tuple[tuple[int, int], ...]:
        """Return (load in kbit/s, least cost of more than the level before) of `tier` up to a load, or what it holds.

        Loads that are multiples of LEVEL_MBPS; up to `small_kbps` nothing but the least cost of any load is sure.
        """
        context, kind = self._contexts[tier], self._kind(tier, 0)
        if kind is None:
            return ((0, 0),)

        def cost(step: int) -> int | None:
            below = step * LEVEL_MBPS
            return self._step(kind.steps, context, below + 1 if below * 1000 >= small_kbps else 1, 0)

        last = max(-(-most_kbps // (1000 * LEVEL_MBPS)) - 1, 0)
        found = [
            ((step + 1) * LEVEL_MBPS * 1000, price) for step, price in _changes(cost, 0, last) if price is not None
        ]
        # Where a dearer level comes before a cheaper one, only the cheaper one is sure.
        return tuple((top, min(price for _, price in found[n:])) for n, (top, _) in enumerate(found)) or ((0, 0),)

    def _of(self, tier: str, carried: Carried) -> int | Infeasible:
        """Return what `carried` costs."""
        context, limits, flow = self._contexts[tier], self._sizer.limits, carried.largest_flow_mbps
        kind = self._kind(tier, flow)
        if kind is None:
            return self._sizer.refused(context, 0, largest_flow_mbps=flow)
        under = sum(p.violated_minute_usd * n for p, n in carried.profiles)
        stated = [p.planning_quantile_permille for p, _ in carried.profiles if p.planning_quantile_permille]
        mbps = carried.planned_mbps(quantile_of(under, stated, kind.cheapest, context.chain_tiers, limits))
        if carried.fallen:
            mbps = max(mbps, kind.held)
        cost = self._step(kind.steps, context, mbps, flow)
        return self._sizer.refused(context, mbps, largest_flow_mbps=flow) if cost is None else cost

    def _step(self, steps: _Steps, context: TierContext, mbps: int, flow: int) -> int | None:
        at, step = steps.known(mbps)
        if step is None:
            step = self._sizer.step(context, mbps, largest_flow_mbps=flow)
            steps.loads.insert(at, mbps)
            steps.costs.insert(at, step)
        return step[0]

    def _kind(self, tier: str, flow: int) -> _Kind | None:
        """Return what of the cost of `tier` does not depend on the load; None where no shape fits."""
        if (tier, flow) not in self._kinds:
            sizer, context = self._sizer, self._contexts[tier]
            candidates = sizer.candidates(context, largest_flow_mbps=flow)
            self._kinds[tier, flow] = None
            if candidates:
                self._kinds[tier, flow] = _Kind(
                    steps=self._steps.setdefault(sizer.alike(context, flow), _Steps()),
                    cheapest=min(c.usd_micro_per_hour for c in candidates),
                    held=sizer.usable(context, context.running, zone_loss=survives_zones(context)),
                )
        return self._kinds[tier, flow]


def _changes(cost: Callable[[int], int | None], first: int, last: int) -> list[tuple[int, int | None]]:
    """Return (last step of it, cost) of every cost from the first to the last step, where it does not fall between."""
    if cost(first) == cost(last):
        return [(last, cost(last))]
    middle = (first + last) // 2
    low, high = _changes(cost, first, middle), _changes(cost, middle + 1, last)
    return [*(low[:-1] if low[-1][1] == high[0][1] else low), *high]
