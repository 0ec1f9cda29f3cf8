"""What stands: which nodes of the previous plan are gone, failing, healthy or drained at the moment of planning."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from ecm.model.observed import Health, InstanceState, Observed, ObservedInterface
from ecm.model.plan import Node, NodeState, Plan, Slot, TierPlan
from ecm.model.policy import Limits
from ecm.model.sizing import Placement

_ALIVE = (InstanceState.PENDING, InstanceState.RUNNING)


class NoFreeNumberError(Exception):
    """Every stable number of a tier is taken by nodes that stand or drain; the remedy is to wait for the drain."""


@dataclass(frozen=True)
class Standing:
    """The previous plan's nodes in the light of the snapshot; a node that was not observed is unknown, not dead."""

    as_of: datetime
    observed: Observed | None
    limits: Limits

    @property
    def unavailable(self) -> frozenset[tuple[str, str]]:
        """(shape, zone) without capacity now."""
        marks = self.observed.unavailable if self.observed else ()
        return frozenset((m.shape, m.zone) for m in marks if m.until > self.as_of)

    @property
    def interfaces(self) -> tuple[ObservedInterface, ...]:
        """Network interfaces that are there, whatever plan they are of."""
        return self.observed.interfaces if self.observed else ()

    def last_generation(self, slot: str) -> int:
        """Return the highest generation of `slot` of which something is there; 0: nothing is."""
        return max((i.generation for i in self.interfaces if i.slot == slot), default=0)

    def gone(self, slot: Slot, node: Node) -> bool:
        """Return whether the node does not run, or never came up where EC2 has no capacity."""
        seen = self.observed.node(slot.id, node.generation) if self.observed else None
        if seen is None:
            return (node.shape, slot.zone) in self.unavailable
        return seen.state not in _ALIVE

    def failing(self, slot: Slot, node: Node) -> bool:
        """Return whether the node runs but has been unhealthy for longer than the data plane's own failover."""
        seen = self.observed.node(slot.id, node.generation) if self.observed else None
        if seen is None or seen.health is not Health.UNHEALTHY or seen.unhealthy_since is None:
            return False
        return self.as_of - seen.unhealthy_since >= timedelta(minutes=self.limits.unhealthy_after_min)

    def dead(self, plan: Plan | None) -> frozenset[tuple[str, int]]:
        """Return slot and generation of the nodes of `plan` that carry no traffic: they are gone, or are failing."""
        slots = (slot for tier in (plan.desired.tiers if plan else ()) for slot in tier.slots)
        return frozenset(
            (slot.id, node.generation)
            for slot in slots
            for node in slot.nodes
            if self.gone(slot, node) or self.failing(slot, node)
        )

    def healthy(self, slot: Slot, node: Node) -> bool:
        """Return whether the node was observed healthy."""
        seen = self.observed.node(slot.id, node.generation) if self.observed else None
        return seen is not None and seen.health is Health.HEALTHY

    def well(self, slot: Slot, node: Node) -> bool:
        """Return whether nothing was observed against the node: it runs, and no check finds it unhealthy."""
        seen = self.observed.node(slot.id, node.generation) if self.observed else None
        return not self.gone(slot, node) and (seen is None or seen.health not in (Health.UNHEALTHY, Health.NEW))

    def proven(self, slot: Slot, node: Node) -> bool:
        """Return whether the node has been observed healthy for as long as a canary has to be."""
        seen = self.observed.node(slot.id, node.generation) if self.observed else None
        if seen is None or seen.health is not Health.HEALTHY or seen.healthy_since is None:
            return False
        return self.as_of - seen.healthy_since >= timedelta(minutes=self.limits.image_canary_min)

    def drained(self, node: Node) -> bool:
        """Return whether the node has been draining for long enough to go."""
        since = node.draining_since
        return since is not None and self.as_of - since >= timedelta(minutes=self.limits.drain_min)


def running_placements(tier: TierPlan | None, standing: Standing) -> tuple[Placement, ...]:
    """Return the nodes of the previous plan that take traffic and were not seen dead, by zone and shape."""
    counts: Counter[tuple[str, str]] = Counter()
    for slot in tier.slots if tier else ():
        node = slot.nodes[-1]
        if node.state is NodeState.ACTIVE and not standing.gone(slot, node):
            counts[slot.zone, node.shape] += 1
    return tuple(Placement(zone=zone, shape=shape, count=n) for (zone, shape), n in sorted(counts.items()))
