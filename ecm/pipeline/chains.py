"""What the chains of an applied plan offer to single requests, each number with its origin."""

from __future__ import annotations

from collections import Counter
from itertools import product
from math import comb, prod
from typing import Final

from ecm import plan as planning
from ecm.intent import Intent
from ecm.model.plan import ChainPlan, Plan, TierEvidence, TierPlan
from ecm.model.request import ChainState, Stated, TierRoom

NODE_UP: Final = 0.995
"""Share of time that one instance runs: what Amazon EC2's instance-level service level agreement commits to."""
ZONE_UP: Final = 0.9999
"""Share of time that a zone stands: the region-level commitment of the same agreement, taken for each zone alone."""


def chain_states(plan: Plan, intent: Intent) -> tuple[ChainState, ...]:
    """Return every chain of `plan` with what its tiers have beside their planned load, sorted by VPN and chain.

    A tier's room is its usable load (held after its worst loss, at maximum utilisation) less the planning quantile of
    what it carries. Prices are those of the catalog: a tier's nodes by usable Mbit/s, and traffic between tiers.
    """
    evidence = {tier.tier: tier for tier in plan.tiers}
    hosts = {vpn.id: vpn.host or vpn.id for vpn in plan.desired.vpns}
    known = (c for c in plan.desired.chains if all(tier in evidence for tier in c.tiers))
    return tuple(_state(chain, plan, intent, hosts[chain.vpn]) for chain in sorted(known, key=lambda c: (c.vpn, c.id)))


def _state(chain: ChainPlan, plan: Plan, intent: Intent, host: str) -> ChainState:
    evidence = {tier.tier: tier for tier in plan.tiers}
    said = f"plan, serial {plan.serial}"
    tiers = [plan.desired.tier(name) for name in chain.tiers]
    return ChainState(
        chain=chain.id,
        vpn=chain.vpn,
        region=plan.desired.region,
        tiers=tuple(
            TierRoom(tier=name, residual_mbps=_room(evidence[name]), origin=f"{said}: usable less planned load")
            for name in chain.tiers
        ),
        entry=host,
        security_level=Stated(value=chain.security_level, origin=f"{said}: facts of the weakest tier"),
        latency_us=Stated(value=chain.latency_us, origin=f"{said}: catalog's latency model at planned load"),
        loss_ppm=Stated(value=chain.loss_ppm, origin=f"{said}: catalog's loss of a link"),
        outage_s=Stated(value=chain.outage_s, origin=f"{said}: catalog's failover times"),
        availability_ppm=Stated(
            value=_availability_ppm(tiers, evidence),
            origin="service level agreement of EC2, nodes and zones of the plan",
        ),
        marginal_usd_micro=Stated(
            value=_marginal(chain, evidence, intent), origin=f"{said}: nodes; catalog: traffic between zones"
        ),
    )


def _room(tier: TierEvidence) -> int:
    return max(tier.usable_mbps - tier.load.planned_mbps, 0)


def _marginal(chain: ChainPlan, evidence: dict[str, TierEvidence], intent: Intent) -> int:
    """Return micro-USD per hour of one more Mbit/s through every tier and between them."""
    catalog = intent.catalog
    crossing = planning.traffic_price(1000, usd_micro_per_gb=catalog.bandwidth.cross_zone_usd_per_gb)
    traffic = (len(chain.tiers) - 1) * crossing * catalog.traffic.cross_zone_pct // 100
    nodes = sum(1000 * evidence[t].usd_micro_per_hour // max(evidence[t].usable_mbps, 1) for t in chain.tiers)
    return (traffic + nodes) // 1000


def _availability_ppm(tiers: list[TierPlan], evidence: dict[str, TierEvidence]) -> int:
    """Return the share of time in which every tier has the nodes that its planned load needs at full utilisation.

    Over every state of the zones, which tiers share: the product of each tier's chance that at least k of its nodes in
    the standing zones run (binomial, nodes fail by themselves).
    """
    zones = sorted({slot.zone for tier in tiers for slot in tier.slots})
    total = 0.0
    for standing in product((True, False), repeat=len(zones)):
        up = {zone for zone, stands in zip(zones, standing, strict=True) if stands}
        chance = prod(ZONE_UP if stands else 1 - ZONE_UP for stands in standing)
        total += chance * prod(_holds(tier, evidence[tier.id], up) for tier in tiers)
    return round(1_000_000 * total)


def _holds(tier: TierPlan, evidence: TierEvidence, up: set[str]) -> float:
    active = Counter(slot.zone for slot in tier.slots if slot.active)
    capacity = max(evidence.capacity_mbps // max(active.total(), 1), 1)
    needed = max(-(-evidence.load.planned_mbps // capacity), 1)
    n = sum(count for zone, count in active.items() if zone in up)
    return sum(comb(n, i) * NODE_UP**i * (1 - NODE_UP) ** (n - i) for i in range(needed, n + 1))
