"""What a change means to those who use the VPNs: sessions that move, outage against each profile's budget."""

from __future__ import annotations

from collections.abc import Mapping

from ecm.model.fleet import Role
from ecm.model.plan import ApplicationEvidence, NodeState, Plan, Slot, TierPlan
from ecm.model.review import Move, ProfileOutage

NOW = "when this plan is applied"
LATER = "once the nodes that replace theirs are healthy"


def moves(plan: Plan, previous: Plan | None, clients: Mapping[str, int]) -> tuple[Move, ...]:
    """Return what leaves nodes, tier by tier, then applications that take another chain.

    `clients` counts the registered clients of each VPN: each has at most one session at its ingress tier, and sessions
    spread over the nodes by weight.
    """
    if previous is None:
        return ()
    before = {t.id: t for t in previous.desired.tiers}
    found = []
    for tier in plan.desired.tiers:
        if tier.id not in before:
            continue
        total = clients.get(tier.vpn, 0) if tier.role is Role.INGRESS else None
        for when, share in zip((NOW, LATER), _shares(before[tier.id], tier), strict=True):
            if share:
                moved = None if total is None else -(-total * share // 1000)
                found.append(Move(subject=f"tier {tier.id}", when=when, share_permille=share, clients=moved))
    moved_on = (a.application for a in plan.applications if a.moved_from)
    found += [Move(subject=f"application {a}", when=NOW, share_permille=1000, clients=None) for a in moved_on]
    return tuple(found)


def _shares(before: TierPlan, after: TierPlan) -> tuple[int, int]:
    """Return permille of the tier's weight that leaves its nodes with this plan, and with the one after it."""
    kept = {s.id: s for s in after.slots}
    active = [s for s in before.slots if any(n.state is NodeState.ACTIVE for n in s.nodes)]
    total = sum(s.weight for s in active)
    if not total:
        return 0, 0
    leaves = sum(s.weight for s in active if _stops(s, kept.get(s.id)))
    waits = sum(s.weight for s in active if not _stops(s, kept.get(s.id)) and _replaced(s, kept[s.id]))
    return round(1000 * leaves / total), round(1000 * waits / total)


def _stops(before: Slot, after: Slot | None) -> bool:
    """Return whether a generation that took traffic takes none under the new plan."""
    still = {n.generation for n in after.nodes if n.state is NodeState.ACTIVE} if after else set()
    return any(n.generation not in still for n in before.nodes if n.state is NodeState.ACTIVE)


def _replaced(before: Slot, after: Slot) -> bool:
    return after.nodes[-1].generation > before.nodes[-1].generation


def outages(plan: Plan, moved: tuple[Move, ...]) -> tuple[ProfileOutage, ...]:
    """Return a row per profile, sorted: the longest outage that this change may cause, against the budget.

    A session on a node that drains waits at most for the failover of its chain; no other session is interrupted.
    """
    by_profile: dict[str, list[ApplicationEvidence]] = {}
    for row in plan.applications:
        if row.profile and row.outage_s is not None:
            by_profile.setdefault(row.profile, []).append(row)
    return tuple(_outage(plan, profile, rows, moved) for profile, rows in sorted(by_profile.items()))


def _outage(plan: Plan, profile: str, rows: list[ApplicationEvidence], moved: tuple[Move, ...]) -> ProfileOutage:
    chains = {c.id: c.tiers for c in plan.desired.chains}
    subjects = {m.subject for m in moved}
    hit = [
        (row, cause)
        for row in rows
        for cause in sorted(subjects & {f"application {row.application}", *(f"tier {t}" for t in chains[row.chain])})
    ]
    worst = max((row.outage_s or 0 for row, _ in hit), default=0)
    causes = sorted({cause for _, cause in hit})
    return ProfileOutage(
        profile=profile,
        applications=tuple(sorted(r.application for r in rows)),
        expected_s=worst,
        budget_s=min(r.max_outage_s or 0 for r in rows),
        cause=f"hand-over of {', '.join(causes)}"[:500] if causes else "no session moves",
    )
