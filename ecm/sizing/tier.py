"""Size one tier for a set of applications, or say why it cannot be sized."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from ecm.model.catalog import Catalog, Shape
from ecm.model.fleet import Application, Tenancy, Tier
from ecm.model.policy import Limits
from ecm.model.refusal import Because, Infeasible, Rejected
from ecm.model.sizing import ZONE_LOSS_NOT_SURVIVED, Choice, Load, Placement, Survival, TierSizing
from ecm.sizing.capacity import NodeCapacity, node_capacity
from ecm.sizing.load import LoadSource, planning_quantile, tier_load, without_unexplained_fall
from ecm.sizing.mix import Candidate, TierNeed, cheapest_mix
from ecm.sizing.survival import survivable


@dataclass(frozen=True)
class TierContext:
    """Everything about a tier that does not depend on which applications take it."""

    tier: Tier
    zones: tuple[str, ...]
    exits_only: bool
    chain_tiers: int
    """Tiers of the longest chain through this one: they share the chain's risk."""
    running: tuple[Placement, ...]
    """Nodes of the previous plan that take traffic."""
    unavailable: frozenset[tuple[str, str]]
    """(shape, zone) where EC2 has no capacity now."""


@dataclass(frozen=True)
class Sizer:
    """Sizes tiers from one forecast, one catalog and one set of limits."""

    source: LoadSource
    catalog: Catalog
    limits: Limits

    def capacity(self, context: TierContext, shape: str) -> NodeCapacity:
        """Return what one node of `shape` carries in the tier."""
        return node_capacity(
            self.catalog.shape(shape),
            context.tier.role,
            exits_only=context.exits_only,
            traffic=self.catalog.traffic,
        )

    def price(self, context: TierContext, shape: str) -> int:
        """Return micro-USD per hour of one node of `shape` with the tier's tenancy."""
        found = self.catalog.shape(shape)
        return _price(found, context.tier.tenancy) or found.usd_per_hour

    def candidates(self, context: TierContext, *, largest_flow_mbps: int = 0) -> tuple[Candidate, ...]:
        """Return where nodes of which shape may stand, sorted by zone, then shape."""
        running = {(p.shape, p.zone): p.count for p in context.running}
        most = self.limits.max_nodes_per_tier
        found = []
        for zone in context.zones:
            for shape in self._shapes(context):
                capacity = self.capacity(context, shape).mbps
                if capacity < max(largest_flow_mbps, 1):
                    continue
                now = running.get((shape, zone), 0)
                found.append(
                    Candidate(
                        zone=zone,
                        shape=shape,
                        capacity_mbps=capacity,
                        usd_micro_per_hour=self.price(context, shape),
                        running=now,
                        at_most=now if (shape, zone) in context.unavailable else most,
                    )
                )
        return tuple(found)

    def _shapes(self, context: TierContext) -> list[str]:
        image = self.catalog.image(context.tier.image)
        return sorted(
            shape.name
            for shape in self.catalog.shapes
            if shape.architecture is image.architecture
            and (not context.tier.shapes or shape.name in context.tier.shapes)
            and _price(shape, context.tier.tenancy) is not None
        )

    def size(self, context: TierContext, applications: tuple[Application, ...]) -> TierSizing | Infeasible:
        """Return the cheapest sizing of the tier for `applications`, or the reason why there is none."""
        flow = max((a.largest_flow_mbps or 0 for a in applications), default=0)
        candidates = self.candidates(context, largest_flow_mbps=flow)
        if not candidates:
            return _no_shape(context, flow)
        cheapest = min(c.usd_micro_per_hour for c in candidates)
        profiles = [self.source.profiles[a.id] for a in applications]
        quantile = planning_quantile(profiles, cheapest, context.chain_tiers, self.limits)
        load = self._load(context, applications, quantile)
        need, placements = self._placed(context, candidates, load.planned_mbps)
        if placements is None:
            return _too_much(context, need)
        return self._sizing(context, load, placements, zone_loss=need.survive_zone_loss)

    def size_as(
        self, context: TierContext, applications: tuple[Application, ...], placements: tuple[Placement, ...]
    ) -> TierSizing | Infeasible:
        """Return the sizing that has `placements`, which a person asks for, whether or not they hold the load."""
        wanted = self.size(context, applications)
        if isinstance(wanted, Infeasible):
            return wanted
        return self._sizing(context, wanted.load, placements, zone_loss=survives_zones(context))

    def least_cost(self, context: TierContext, planned_mbps: int) -> int | None:
        """Return micro-USD per hour, with the churn, of the cheapest nodes that hold `planned_mbps`; None: none do.

        Applications with a large flow of their own may make the same load dearer, never cheaper.
        """
        return self.step(context, planned_mbps)[0]

    def step(self, context: TierContext, planned_mbps: int, *, largest_flow_mbps: int = 0) -> tuple[int | None, bool]:
        """Return micro-USD per hour, with the churn, of the nodes for a load, and whether they survive a zone's loss.

        None: no nodes hold it. Where what is survived stays the same, it never falls as the load grows.
        """
        candidates = self.candidates(context, largest_flow_mbps=largest_flow_mbps)
        need, placements = self._placed(context, candidates, planned_mbps)
        if placements is None:
            return None, need.survive_zone_loss
        price = sum(p.count * self.price(context, p.shape) for p in placements)
        return price + self._removed(context, placements) * self.limits.churn_usd_per_node, need.survive_zone_loss

    def refused(self, context: TierContext, planned_mbps: int, *, largest_flow_mbps: int) -> Infeasible:
        """Return why no nodes hold a load, which is known."""
        candidates = self.candidates(context, largest_flow_mbps=largest_flow_mbps)
        if not candidates:
            return _no_shape(context, largest_flow_mbps)
        need, _ = self._placed(context, candidates, planned_mbps)
        return _too_much(context, need)

    def alike(self, context: TierContext, largest_flow_mbps: int) -> Hashable:
        """Return what `step` depends on besides the load: tiers of which it is the same cost the same."""
        candidates = self.candidates(context, largest_flow_mbps=largest_flow_mbps)
        return self._need(context, candidates, 0), context.running, bool(context.unavailable)

    def _placed(
        self, context: TierContext, candidates: tuple[Candidate, ...], planned_mbps: int
    ) -> tuple[TierNeed, tuple[Placement, ...] | None]:
        """Return what was needed and the cheapest placements that hold it."""
        need = self._need(context, candidates, planned_mbps)
        placements = cheapest_mix(need)
        if placements is None and need.survive_zone_loss and context.unavailable:
            # A zone without capacity cannot be a spare; serving from what is left beats half a tier.
            need = need.model_copy(update={"survive_zone_loss": False})
            placements = cheapest_mix(need)
        return need, placements

    def _removed(self, context: TierContext, placements: tuple[Placement, ...]) -> int:
        """Return how many running nodes `placements` take away."""
        kept = {(p.shape, p.zone): p.count for p in placements}
        return sum(max(0, p.count - kept.get((p.shape, p.zone), 0)) for p in context.running)

    def _need(self, context: TierContext, candidates: tuple[Candidate, ...], planned_mbps: int) -> TierNeed:
        return TierNeed(
            role=context.tier.role,
            candidates=candidates,
            planned_mbps=planned_mbps,
            node_failures=context.tier.node_failures,
            survive_zone_loss=survives_zones(context),
            min_nodes=self.limits.min_healthy_nodes,
            max_nodes=self.limits.max_nodes_per_tier,
            max_utilisation_permille=self.limits.max_utilisation_permille,
            churn_usd_micro=self.limits.churn_usd_per_node,
        )

    def _load(self, context: TierContext, applications: tuple[Application, ...], quantile: int) -> Load:
        load = tier_load(self.source, applications, quantile)
        held = self.usable(context, context.running, zone_loss=survives_zones(context))
        return without_unexplained_fall(load, self.source.forecast, held)

    def usable(self, context: TierContext, placements: tuple[Placement, ...], *, zone_loss: bool) -> int:
        """Return the load that `placements` hold after the worst loss, at maximum utilisation, Mbit/s."""
        survival = self.survival(context, placements)
        left = survival.after_node_losses_mbps
        if zone_loss:
            left = min(left, survival.after_zone_loss_mbps)
        return left * self.limits.max_utilisation_permille // 1000

    def survival(self, context: TierContext, placements: tuple[Placement, ...]) -> Survival:
        """Return what `placements` carry, whole and after their worst losses."""
        zones = self._by_zone(context, placements)
        return survivable(zones, context.tier.role, node_failures=context.tier.node_failures)

    def _by_zone(self, context: TierContext, placements: tuple[Placement, ...]) -> tuple[tuple[int, ...], ...]:
        """Return the capacities of the nodes of `placements`, per zone of the tier."""
        return tuple(
            tuple(self.capacity(context, p.shape).mbps for p in placements if p.zone == zone for _ in range(p.count))
            for zone in context.zones
        )

    def _sizing(
        self, context: TierContext, load: Load, placements: tuple[Placement, ...], *, zone_loss: bool
    ) -> TierSizing:
        survival = self.survival(context, placements)
        return TierSizing(
            tier=context.tier.id,
            load=load,
            placements=placements,
            usable_mbps=self.usable(context, placements, zone_loss=zone_loss),
            usd_micro_per_hour=sum(p.count * self.price(context, p.shape) for p in placements),
            churn_usd_micro=self._removed(context, placements) * self.limits.churn_usd_per_node,
            survival=survival,
            choices=tuple(
                Choice(
                    zone=c.zone,
                    shape=c.shape,
                    capacity_mbps=c.capacity_mbps,
                    usd_micro_per_hour=c.usd_micro_per_hour,
                    available=(c.shape, c.zone) not in context.unavailable,
                )
                for c in self.candidates(context)
            ),
            because=self._because(context, load, placements, zone_loss=zone_loss),
        )

    def _because(
        self, context: TierContext, load: Load, placements: tuple[Placement, ...], *, zone_loss: bool
    ) -> tuple[Because, ...]:
        subject = f"tier {context.tier.id}"
        nodes = sum(p.count for p in placements)
        survival = self.survival(context, placements)
        constraint = "node-failures"
        if survives_zones(context) and not zone_loss:
            constraint = ZONE_LOSS_NOT_SURVIVED
        elif load.planned_mbps == 0 or nodes <= self.limits.min_healthy_nodes:
            constraint = "minimum-nodes"
        elif zone_loss and survival.after_zone_loss_mbps <= survival.after_node_losses_mbps:
            constraint = "zone-loss"
        mix = ", ".join(f"{p.count} x {p.shape} in {p.zone}" for p in placements)
        detail = (
            f"{mix}: {survival.whole_mbps} Mbit/s whole, {survival.after_zone_loss_mbps} without the worst zone, "
            f"{survival.after_node_losses_mbps} without the worst {context.tier.node_failures} nodes; at "
            f"{self.limits.max_utilisation_permille / 10:g} % that must hold {load.planned_mbps} Mbit/s"
        )
        return (
            *(b.model_copy(update={"subject": subject}) for b in load.because),
            *(self._capacity_because(context, shape) for shape in sorted({p.shape for p in placements})),
            Because(
                subject=subject, number="nodes", value=nodes, unit="nodes", constraint=constraint, detail=detail[:500]
            ),
        )

    def _capacity_because(self, context: TierContext, shape: str) -> Because:
        capacity = self.capacity(context, shape)
        return Because(
            subject=f"tier {context.tier.id}",
            number=f"capacity of one {shape}",
            value=capacity.mbps,
            unit="Mbit/s",
            constraint=capacity.constraint,
            detail=capacity.detail,
        )


def survives_zones(context: TierContext) -> bool:
    """Return whether the tier has to survive the loss of a zone."""
    return context.tier.survive_zone_loss and len(context.zones) > 1


def _price(shape: Shape, tenancy: Tenancy) -> int | None:
    return shape.dedicated_usd_per_hour if tenancy is Tenancy.DEDICATED else shape.usd_per_hour


def _no_shape(context: TierContext, flow: int) -> Infeasible:
    tier = context.tier
    allowed = ", ".join(tier.shapes) or "every shape of the catalog"
    return Infeasible(
        subject=f"tier {tier.id}",
        rejected=(
            Rejected(
                candidate=allowed,
                requirement="shape",
                have="none that fits the image's architecture, the tenancy and the largest flow",
                need=f"one node that carries {flow} Mbit/s",
            ),
        ),
        relaxation=f"allow a larger shape in tiers.{tier.id}.shapes, or price dedicated tenancy in the catalog",
    )


def _too_much(context: TierContext, need: TierNeed) -> Infeasible:
    tier = context.tier
    losses = f"{tier.node_failures} node failures" + (" and the loss of a zone" if need.survive_zone_loss else "")
    where = "one zone" if len(context.zones) == 1 else f"{len(context.zones)} zones"
    return Infeasible(
        subject=f"tier {tier.id}",
        rejected=(
            Rejected(
                candidate=f"{need.max_nodes} nodes in {where}",
                requirement="usable capacity",
                have="less",
                need=f"{need.planned_mbps} Mbit/s after {losses}",
            ),
        ),
        relaxation=f"allow a larger shape in tiers.{tier.id}.shapes, or raise max_nodes_per_tier in limits.yaml",
    )
