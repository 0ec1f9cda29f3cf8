"""How every node of every chain is, in layers: what `ecm status` shows."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from ecm.model.base import Frozen, UtcTime
from ecm.model.contract import base_key
from ecm.model.observed import Health, InstanceState, Observed
from ecm.model.plan import Node, NodeState, Plan, Slot, TierPlan


class Standing(StrEnum):
    """A tier or a chain as a whole."""

    WHOLE = "whole"
    """Every planned node carries traffic."""
    REDUCED = "reduced"
    """Some node does not, but enough do for the planned load."""
    SHORT = "short"
    """Those that do hold less than the planned load."""
    DOWN = "down"
    """No node carries traffic."""
    UNKNOWN = "unknown"
    """Nothing was observed."""


class NodeHealth(Frozen):
    """One generation of a slot; none: that layer says nothing of it."""

    slot: str
    generation: int
    state: NodeState
    instance: InstanceState | None
    health: Health
    instance_check: Health | None
    target_check: Health | None
    agent_check: Health | None
    agent_says: str
    config_current: bool | None
    """Whether the object that its agent pulls is the plan's."""
    key_published_at: UtcTime | None
    healthy_since: UtcTime | None
    unhealthy_since: UtcTime | None
    image: str
    joined_after_s: int | None
    """From the instance's launch to its agent's first public key, while that key is the first."""
    ready_after_s: int | None
    """From the instance's launch until everything was right for the first time."""


class TierHealth(Frozen):
    """One tier."""

    tier: str
    role: str
    standing: Standing
    serving: int
    planned: int
    serving_mbps: int
    """Capacity of the nodes that are not known to be down."""
    load_mbps: int
    nodes: tuple[NodeHealth, ...]


class ChainHealth(Frozen):
    """A chain stands as its weakest tier does."""

    chain: str
    vpn: str
    standing: Standing
    tiers: tuple[str, ...]


class FleetHealth(Frozen):
    """Everything that a plan has standing."""

    chains: tuple[ChainHealth, ...]
    tiers: tuple[TierHealth, ...]


_WEAKEST_FIRST = (Standing.DOWN, Standing.SHORT, Standing.UNKNOWN, Standing.REDUCED, Standing.WHOLE)


def fleet_health(plan: Plan, observed: Observed | None) -> FleetHealth:
    """Return the health of every node, tier and chain of `plan` in the light of a snapshot; none: all unknown."""
    loads = {t.tier: t.load.planned_mbps for t in plan.tiers}
    digests = {c.key: c.digest for c in plan.configs}
    current = {c.key: c.digest == digests.get(c.key) for c in observed.configs} if observed else {}
    tiers = {t.id: _tier(t, observed, current, loads.get(t.id, 0)) for t in plan.desired.tiers}
    chains = (
        ChainHealth(
            chain=c.id,
            vpn=c.vpn,
            standing=min((tiers[t].standing for t in c.tiers), key=_WEAKEST_FIRST.index),
            tiers=c.tiers,
        )
        for c in plan.desired.chains
    )
    return FleetHealth(chains=tuple(chains), tiers=tuple(tiers.values()))


def _tier(tier: TierPlan, observed: Observed | None, current: dict[str, bool], load: int) -> TierHealth:
    active = [s for s in tier.slots if s.active]
    serving = [s for s in active if any(_serves(s, n, observed) for n in s.nodes)]
    held = sum(s.capacity_mbps for s in serving)
    if observed is None:
        standing = Standing.UNKNOWN
    elif not serving:
        standing = Standing.DOWN
    elif held < load:
        standing = Standing.SHORT
    else:
        standing = Standing.WHOLE if len(serving) == len(active) else Standing.REDUCED
    return TierHealth(
        tier=tier.id,
        role=tier.role.value,
        standing=standing,
        serving=len(serving),
        planned=len(active),
        serving_mbps=held,
        load_mbps=load,
        nodes=tuple(_nodes(tier, observed, current)),
    )


def _serves(slot: Slot, node: Node, observed: Observed | None) -> bool:
    """Return whether a node is there and nothing was observed against it; an unknown health is no bad one."""
    seen = observed.node(slot.id, node.generation) if observed else None
    return (
        seen is not None
        and seen.state is InstanceState.RUNNING
        and seen.health in (Health.HEALTHY, Health.UNKNOWN)
        and node.state is NodeState.ACTIVE
    )


def _nodes(tier: TierPlan, observed: Observed | None, current: dict[str, bool]) -> Iterator[NodeHealth]:
    for slot in tier.slots:
        for node in slot.nodes:
            seen = observed.node(slot.id, node.generation) if observed else None
            joined = None
            if seen and seen.launched_at and seen.key_published_at and seen.key_published_at >= seen.launched_at:
                joined = int((seen.key_published_at - seen.launched_at).total_seconds())
            yield NodeHealth(
                slot=slot.id,
                generation=node.generation,
                state=node.state,
                instance=seen.state if seen else None,
                health=seen.health if seen else Health.UNKNOWN,
                instance_check=seen.instance_check if seen else None,
                target_check=seen.target_check if seen else None,
                agent_check=seen.agent_check if seen else None,
                agent_says=seen.agent_says if seen else "",
                config_current=current.get(base_key(slot.id, node.generation)),
                key_published_at=seen.key_published_at if seen else None,
                healthy_since=seen.healthy_since if seen else None,
                unhealthy_since=seen.unhealthy_since if seen else None,
                image=f"{node.image} {node.ami}",
                joined_after_s=joined,
                ready_after_s=seen.ready_after_s if seen else None,
            )
