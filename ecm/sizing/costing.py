"""What tiers cost with any applications on them, worked out from what a set nearby costs."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Mapping
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
    cost: int | None
    beside: dict[str, int | None] = field(default_factory=dict)


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
        found = self._cost(tier, applications)
        if found is not None:
            return found
        ordered = tuple(self._applications[a] for a in sorted(applications))
        sized = self._sizer.size(self._contexts[tier], ordered)
        return sized if isinstance(sized, Infeasible) else sized.usd_micro_per_hour + sized.churn_usd_micro

    def _cost(self, tier: str, applications: frozenset[str]) -> int | None:
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

    def _of(self, tier: str, carried: Carried) -> int | None:
        """Return what `carried` costs."""
        kind = self._kind(tier, carried.largest_flow_mbps)
        if kind is None:
            return None
        context, limits = self._contexts[tier], self._sizer.limits
        under = sum(p.violated_minute_usd * n for p, n in carried.profiles)
        stated = [p.planning_quantile_permille for p, _ in carried.profiles if p.planning_quantile_permille]
        mbps = carried.planned_mbps(quantile_of(under, stated, kind.cheapest, context.chain_tiers, limits))
        if carried.fallen:
            mbps = max(mbps, kind.held)
        at, cost = kind.steps.known(mbps)
        if cost is None:
            cost = self._sizer.step(context, mbps, largest_flow_mbps=carried.largest_flow_mbps)
            kind.steps.loads.insert(at, mbps)
            kind.steps.costs.insert(at, cost)
        return cost[0]

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
