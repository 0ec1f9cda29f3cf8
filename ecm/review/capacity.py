"""Tiers and chains of a plan, before and after: nodes, headroom, losses, expected violations."""

from __future__ import annotations

from collections.abc import Iterable

from ecm.model.plan import ChainPlan, NodeState, Plan, TierEvidence, TierPlan
from ecm.model.review import ChainRow, ChainZone, Choice, TierRow, ZoneRow
from ecm.model.sizing import OneNode, Risk
from ecm.review.figures import minutes, usd


def tier_rows(plan: Plan, previous: Plan | None) -> tuple[TierRow, ...]:
    """Return a row per tier of `plan`, in its order."""
    before = {t.id: t for t in previous.desired.tiers} if previous else {}
    chains = {t.id: tuple(c.id for c in plan.desired.chains if t.id in c.tiers) for t in plan.desired.tiers}
    return tuple(_tier(plan, row, before.get(row.tier), chains[row.tier]) for row in plan.tiers)


def _tier(plan: Plan, row: TierEvidence, before: TierPlan | None, chains: tuple[str, ...]) -> TierRow:
    tier, load, risk = plan.desired.tier(row.tier), row.load, row.risk
    zones = _zones(tier, before)
    p50, p90, p99 = (_headroom(row.usable_mbps, need) for need in (load.p50_mbps, load.p90_mbps, load.p99_mbps))
    return TierRow(
        tier=row.tier,
        vpn=tier.vpn,
        role=tier.role.value,
        chains=chains,
        applications=load.applications,
        nodes_before=sum(z.nodes_before for z in zones),
        nodes_after=row.nodes_after,
        zones=zones,
        planned_mbps=load.planned_mbps,
        quantile_permille=load.quantile_permille,
        p50_mbps=load.p50_mbps,
        p90_mbps=load.p90_mbps,
        p99_mbps=load.p99_mbps,
        before_mbps=(row.capacity_mbps if before == tier else risk.before_mbps) if risk else None,
        capacity_mbps=row.capacity_mbps,
        usable_mbps=row.usable_mbps,
        headroom_p50_pct=p50,
        headroom_p90_pct=p90,
        headroom_p99_pct=p99,
        after_zone_loss_mbps=row.after_zone_loss_mbps,
        zone_loss_survived=row.zone_loss_survived,
        after_node_losses_mbps=row.after_node_losses_mbps,
        node_losses_survived=row.after_node_losses_mbps >= load.planned_mbps,
        violated_before_s=(risk.violated_after_s if before == tier else risk.violated_before_s) if risk else None,
        violated_after_s=risk.violated_after_s if risk else None,
        usd_micro_per_hour=row.usd_micro_per_hour,
        not_less=_not_less(row, risk) if risk else None,
        not_more=_not_more(row, risk) if risk else None,
        because=row.because or load.because,
        band_p50_mbps=risk.p50_mbps if risk else (),
        band_p90_mbps=risk.p90_mbps if risk else (),
        band_p99_mbps=risk.p99_mbps if risk else (),
    )


def _headroom(have: int, need: int) -> int | None:
    return None if need == 0 else round(100 * (have - need) / need)


def _zones(tier: TierPlan, before: TierPlan | None) -> tuple[ZoneRow, ...]:
    zones = sorted({s.zone for t in (tier, before) if t for s in t.slots})
    return tuple(
        ZoneRow(
            zone=zone,
            nodes_before=_active(before, zone) if before else 0,
            nodes_after=_active(tier, zone),
            draining=sum(n.state is NodeState.DRAINING for s in tier.slots if s.zone == zone for n in s.nodes),
            carried_mbps=sum(s.capacity_mbps for s in tier.slots if s.zone == zone and s.active),
        )
        for zone in zones
    )


def _active(tier: TierPlan, zone: str) -> int:
    return sum(s.zone == zone and s.active for s in tier.slots)


def _not_less(row: TierEvidence, risk: Risk) -> Choice | None:
    """Say what one node less would break: the load after the worst loss, or the floor of nodes."""
    one = risk.less
    if one is None:
        return None
    planned = row.load.planned_mbps
    saves = f"saves {usd(one.usd_micro_per_hour)} USD/h"
    without = f"without one {one.shape} in {one.zone} ({saves})"
    if one.usable_mbps < planned:
        text = f"{without} it holds {one.usable_mbps} Mbit/s after its worst loss; {planned} are planned"
    else:
        text = f"{without} it would still hold {one.usable_mbps} Mbit/s: kept by {_floor(row)}"
    return _choice(one, text, saves=True)


def _floor(row: TierEvidence) -> str:
    nodes = next((b for b in row.because if b.number == "nodes"), None)
    if nodes is not None and nodes.constraint == "minimum-nodes":
        return f"the floor of {row.nodes_after} nodes (minimum-nodes)"
    return "what a change of running nodes costs"


def _not_more(row: TierEvidence, risk: Risk) -> Choice | None:
    """Say what one node more costs, and what it would avoid."""
    one = risk.more
    if one is None:
        return None
    avoided = max(0, risk.violated_after_s - one.violated_s)
    benefit = f"avoids {minutes(avoided)} of expected violation" if avoided else "avoids no expected violation"
    text = f"one more {one.shape} in {one.zone} costs {usd(one.usd_micro_per_hour)} USD/h and {benefit}"
    if row.usable_mbps >= row.load.planned_mbps:
        text += f": {row.usable_mbps} Mbit/s are held already, {row.load.planned_mbps} are planned"
    return _choice(one, text, saves=False)


def _choice(one: OneNode, text: str, *, saves: bool) -> Choice:
    price = -one.usd_micro_per_hour if saves else one.usd_micro_per_hour
    return Choice(text=text[:500], usd_micro_per_hour=price, violated_s=one.violated_s)


def chain_rows(plan: Plan, tiers: tuple[TierRow, ...]) -> tuple[ChainRow, ...]:
    """Return a row per chain of `plan`, in its order."""
    by_id = {t.tier: t for t in tiers}
    return tuple(
        _chain(plan, chain, [by_id[t] for t in chain.tiers if t in by_id])
        for chain in plan.desired.chains
        if any(t in by_id for t in chain.tiers)
    )


def _chain(plan: Plan, chain: ChainPlan, tiers: list[TierRow]) -> ChainRow:
    weakest = min(tiers, key=lambda t: (t.headroom_p99_pct is None, t.headroom_p99_pct or 0, t.tier))
    window = _window_s(plan)
    zones = sorted({z.zone for t in tiers for z in t.zones})
    return ChainRow(
        chain=chain.id,
        vpn=chain.vpn,
        tiers=chain.tiers,
        applications=tuple(sorted(a.application for a in plan.desired.applications if a.chain == chain.id)),
        zones=tuple(
            ChainZone(
                zone=zone,
                nodes_before=sum(z.nodes_before for t in tiers for z in t.zones if z.zone == zone),
                nodes_after=sum(z.nodes_after for t in tiers for z in t.zones if z.zone == zone),
            )
            for zone in zones
        ),
        weakest_tier=weakest.tier,
        headroom_p50_pct=_least(t.headroom_p50_pct for t in tiers),
        headroom_p90_pct=_least(t.headroom_p90_pct for t in tiers),
        headroom_p99_pct=_least(t.headroom_p99_pct for t in tiers),
        zone_loss_survived=all(t.zone_loss_survived for t in tiers),
        node_losses_survived=all(t.node_losses_survived for t in tiers),
        violated_before_s=_together((t.violated_before_s for t in tiers), window),
        violated_after_s=_together((t.violated_after_s for t in tiers), window),
        latency_us=chain.latency_us,
        loss_ppm=chain.loss_ppm,
    )


def _least(values: Iterable[int | None]) -> int | None:
    return min((v for v in values if v is not None), default=None)


def _together(values: Iterable[int | None], most: int) -> int | None:
    known = [v for v in values if v is not None]
    return min(sum(known), most) if known else None


def _window_s(plan: Plan) -> int:
    if plan.grid is None or not plan.forecasts:
        return 0
    return (len(plan.forecasts[0].p50_mbps) - plan.grid.window_first_step) * plan.grid.interval_min * 60
