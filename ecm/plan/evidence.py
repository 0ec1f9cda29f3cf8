"""The evidence of a plan: per tier and per application, each number with the constraint that bound it."""

from __future__ import annotations

from ecm.model.catalog import Catalog
from ecm.model.plan import ApplicationEvidence, Desired, TierEvidence, TierPlan
from ecm.model.policy import QosProfile
from ecm.model.refusal import Because, Rejected
from ecm.model.sizing import TierSizing
from ecm.plan.cost import node_prices


def tier_evidence(
    desired: Desired,
    previous: Desired | None,
    sizings: dict[str, TierSizing],
    catalog: Catalog,
    images: dict[str, tuple[Because, ...]],
) -> tuple[TierEvidence, ...]:
    """Return one row per tier of `desired`; `images` says of each tier how far a change of its image is."""
    before = {t.id: t for t in previous.tiers} if previous else {}
    rows = []
    for tier in desired.tiers:
        sizing = sizings[tier.id]
        zones = len({p.zone for p in sizing.placements})
        rows.append(
            TierEvidence(
                tier=tier.id,
                load=sizing.load,
                nodes_before=_active(before[tier.id]) if tier.id in before else 0,
                nodes_after=_active(tier),
                capacity_mbps=sizing.survival.whole_mbps,
                usable_mbps=sizing.usable_mbps,
                after_zone_loss_mbps=sizing.survival.after_zone_loss_mbps,
                after_node_losses_mbps=sizing.survival.after_node_losses_mbps,
                zone_loss_survived=zones > 1 and _survives(sizing),
                usd_micro_per_hour=node_prices(tier, catalog),
                because=(*sizing.because, *images.get(tier.id, ())),
                risk=sizing.risk,
            )
        )
    return tuple(rows)


def _active(tier: TierPlan) -> int:
    return sum(1 for s in tier.slots if s.active)


def _survives(sizing: TierSizing) -> bool:
    """Return whether the load is held without the worst zone, at full utilisation."""
    return sizing.survival.after_zone_loss_mbps >= sizing.load.planned_mbps


def application_evidence(
    desired: Desired,
    previous: Desired | None,
    profiles: dict[str, QosProfile],
    refusals: dict[str, tuple[tuple[Rejected, ...], tuple[Rejected, ...]]],
    outages: dict[str, int],
) -> tuple[ApplicationEvidence, ...]:
    """Return one row per application; `refusals` holds (chains kept out, requirements missed) by application.

    `outages` is the longest outage in seconds by application.
    """
    before = {a.application: a.chain for a in previous.applications} if previous else {}
    chains = {c.id: c for c in desired.chains}
    rows = []
    for route in desired.applications:
        profile, chain = profiles[route.application], chains[route.chain]
        kept_out, missed = refusals[route.application]
        old = before.get(route.application)
        subject = f"application {route.application}"
        facts = (
            ("security level", chain.security_level, "", "security-level", f"profile needs {profile.security_level}"),
            ("latency", chain.latency_us, "us", "latency", f"profile allows {profile.latency_ms} ms"),
            ("loss", chain.loss_ppm, "ppm", "loss", f"profile allows {profile.loss_pct:g} %"),
            ("outage", chain.outage_s, "s", "outage", f"profile allows {profile.max_outage_s} s"),
        )
        rows.append(
            ApplicationEvidence(
                application=route.application,
                chain=route.chain,
                moved_from=old if old and old != route.chain else None,
                because=tuple(
                    Because(subject=subject, number=n, value=v, unit=u, constraint=c, detail=f"{chain.id}: {d}")
                    for n, v, u, c, d in facts
                ),
                rejected=tuple(_words(r) for r in kept_out),
                violated=tuple(_words(r) for r in missed),
                profile=profile.id,
                outage_s=outages[route.application],
                max_outage_s=profile.max_outage_s,
            )
        )
    return tuple(rows)


def _words(rejected: Rejected) -> str:
    return f"{rejected.candidate}: {rejected.requirement} is {rejected.have}, needed {rejected.need}"
