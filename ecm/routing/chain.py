"""What a chain offers: security, latency, loss and outage, each computed and compared with a profile."""

from __future__ import annotations

from ecm.model.base import Frozen, Name
from ecm.model.catalog import Catalog
from ecm.model.fleet import Application, Chain, Fleet, WayIn
from ecm.model.policy import Limits, QosProfile
from ecm.model.refusal import Rejected


class ChainFacts(Frozen):
    """What a chain offers at the highest utilisation that is planned for."""

    chain: Name
    security_level: int
    latency_us: int
    loss_ppm: int
    outage_s: int


def chain_facts(chain: Chain, levels: dict[str, int], *, zones: int, catalog: Catalog, limits: Limits) -> ChainFacts:
    """Return what `chain` offers.

    Latency is the sum of the entry, of one link between tiers per hop (the slower kind where tiers span zones: p95)
    and of each node's service time grown by utilisation as 1 / (1 - rho) (M/M/1 waiting plus service). Loss adds one
    link per tier. Outage is the slowest failover that a packet of the chain depends on.
    """
    model = catalog.latency
    hops = len(chain.tiers) - 1
    link = model.cross_zone_us if zones > 1 else model.same_zone_us
    idle = 1000 - limits.max_utilisation_permille
    nodes = len(chain.tiers) * model.node_us * 1000 // idle
    survive = 1.0
    for _ in chain.tiers:
        survive *= 1 - model.link_loss_ppm / 1_000_000
    return ChainFacts(
        chain=chain.id,
        security_level=min(levels[tier] for tier in chain.tiers),
        latency_us=model.entry_us + hops * link + nodes,
        loss_ppm=round((1 - survive) * 1_000_000),
        outage_s=catalog.failover.entry_s if not hops else max(catalog.failover.entry_s, catalog.failover.inter_tier_s),
    )


def failed_requirements(
    application: Application, profile: QosProfile, facts: ChainFacts, limits: Limits
) -> tuple[Rejected, ...]:
    """Return every requirement of `profile` that the chain does not meet; empty: it may be taken."""
    outage = outage_s(application, facts, limits)
    checks = (
        (
            "security_level",
            facts.security_level >= profile.security_level,
            facts.security_level,
            profile.security_level,
        ),
        ("latency_ms", facts.latency_us <= profile.latency_ms * 1000, facts.latency_us / 1000, profile.latency_ms),
        ("loss_pct", facts.loss_ppm <= profile.loss_pct * 10_000, facts.loss_ppm / 10_000, profile.loss_pct),
        ("max_outage_s", outage <= profile.max_outage_s, outage, profile.max_outage_s),
    )
    return tuple(
        Rejected(candidate=f"chain {facts.chain}", requirement=name, have=f"{have:g}", need=f"{need:g}")
        for name, met, have, need in checks
        if not met
    )


def candidates(fleet: Fleet, application: Application) -> tuple[Chain, ...]:
    """Return the chains that people allow for `application`, sorted by id."""
    allowed = [c for c in fleet.chains if c.vpn == application.vpn]
    if application.chains:
        allowed = [c for c in allowed if c.id in application.chains]
    return tuple(sorted(allowed, key=lambda c: c.id))


def outage_s(application: Application, facts: ChainFacts, limits: Limits) -> int:
    """Return the outage after one failure: a VPC route has one interface and fails over with a reconcile run only."""
    return max(facts.outage_s, way_in_outage_s(application, limits))


def way_in_outage_s(application: Application, limits: Limits) -> int:
    """Return the outage that the way in alone causes: 0 for clients, that of a reconcile run for a VPC route."""
    if application.way_in is WayIn.CLIENT:
        return 0
    return (limits.lead.decision_period_min + limits.lead.up_min) * 60
