"""Why one thing of a plan is as it is: each number with the constraint that bound it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ecm.model.plan import ChainPlan, Plan, Slot, TierPlan
from ecm.model.refusal import Because
from ecm.review.figures import change_usd, headroom, quantile


class UnknownSubject(LookupError):  # noqa: N818 - reads as what it reports
    """The plan has nothing of that name; the text says what it has."""


@dataclass(frozen=True)
class Explanation:
    """Everything that decided one slot, tier, chain, VPN or application."""

    subject: str
    numbers: tuple[Because, ...]
    notes: tuple[str, ...] = ()


def explain(plan: Plan, subject: str) -> tuple[Explanation, ...]:
    """Return the explanation of each thing called `subject`: a slot id, or a tier, chain, VPN or application by name.

    `tier NAME` (or chain, VPN, application, slot) says which where two share a name. UnknownSubject when there is none.
    """
    kind, _, name = subject.strip().rpartition(" ")
    found = [make(plan, name) for word, names, make in _kinds(plan) if name in names and kind in ("", word)]
    if not found:
        known = sorted({known for _, names, _ in _kinds(plan) for known in names})
        close = difflib.get_close_matches(name, known, n=3) or known[:8]
        raise UnknownSubject(
            f"plan {plan.serial} has no slot, tier, chain, VPN or application {subject!r}; it has: {', '.join(close)}"
        )
    return tuple(found)


def _kinds(plan: Plan) -> Iterator[tuple[str, set[str], Callable[[Plan, str], Explanation]]]:
    desired = plan.desired
    yield "slot", {s.id for t in desired.tiers for s in t.slots}, _slot
    yield "tier", {t.id for t in desired.tiers}, _tier
    yield "chain", {c.id for c in desired.chains}, _chain
    yield "VPN", {v.vpn for v in plan.vpn_forecasts}, _vpn
    yield "application", {a.application for a in desired.applications}, _application


def _tier(plan: Plan, name: str) -> Explanation:
    tier = plan.desired.tier(name)
    row = next((t for t in plan.tiers if t.tier == name), None)
    if row is None:
        return Explanation(f"tier {name}", (), (_security(tier),))
    load = row.load
    notes = (
        f"carries {', '.join(load.applications) or 'nothing'}",
        f"nodes {row.nodes_before} -> {row.nodes_after}",
        f"planned for {load.planned_mbps} Mbit/s, {quantile(load.quantile_permille)} of the window's maximum",
        f"holds {row.usable_mbps} Mbit/s after its worst loss: {headroom(row.usable_mbps, load.p99_mbps)} to P99",
        f"without the worst zone {row.after_zone_loss_mbps} Mbit/s: {'' if row.zone_loss_survived else 'NOT '}survived",
        f"without the worst f nodes {row.after_node_losses_mbps} Mbit/s",
        _security(tier),
    )
    return Explanation(f"tier {name}", row.because or load.because, notes)


def _security(tier: TierPlan) -> str:
    facts = {
        f"{tier.tenancy.value} tenancy": True,
        "pre-shared key": tier.pre_shared_key,
        "inspection": tier.inspection,
        f"{tier.subnets.value} subnets": True,
    }
    return f"security level {tier.security_level}: {', '.join(fact for fact, holds in facts.items() if holds)}"


def _slot(plan: Plan, name: str) -> Explanation:
    tier, slot = next((t, s) for t in plan.desired.tiers for s in t.slots if s.id == name)
    row = next((t for t in plan.tiers if t.tier == tier.id), None)
    node = slot.nodes[-1]
    about_shape = [
        b for b in (row.because if row else ()) if b.number.startswith("capacity of one") and node.shape in b.number
    ]
    subject = f"slot {name}"
    capacity = about_shape[0] if about_shape else None
    total = sum(s.weight for s in tier.slots)
    numbers = (
        Because(
            subject=subject,
            number="capacity",
            value=slot.capacity_mbps,
            unit="Mbit/s",
            constraint=capacity.constraint if capacity else "catalog",
            detail=capacity.detail if capacity else f"of one {node.shape}",
        ),
        Because(
            subject=subject,
            number="weight",
            value=slot.weight,
            unit=f"of {total}",
            constraint="capacity-share",
            detail="in proportion to capacity among the tier's nodes",
        ),
        Because(
            subject=subject,
            number="generation",
            value=node.generation,
            unit="",
            constraint="replacements",
            detail="counts what has stood in the slot",
        ),
    )
    of_tier = tuple(b for b in (row.because if row else ()) if b.number == "nodes")
    return Explanation(subject, (*numbers, *of_tier), tuple(_slot_notes(slot)))


def _slot_notes(slot: Slot) -> Iterator[str]:
    for node in slot.nodes:
        since = f" since {node.draining_since.isoformat()}" if node.draining_since else ""
        yield (
            f"generation {node.generation}: {node.shape}, image {node.image} ({node.ami}), {node.private_ip}, "
            f"{node.state.value}{since}"
        )
    for place, other in enumerate(slot.alternatives, start=1):
        extra = change_usd(0, other.extra_usd_micro_per_hour)
        yield f"alternative {place}: {other.shape} in {other.zone}, {extra} USD/h"


def _chain(plan: Plan, name: str) -> Explanation:
    chain = next(c for c in plan.desired.chains if c.id == name)
    riders = [a for a in plan.applications if a.chain == name]
    numbers = tuple(_chain_numbers(plan, chain))
    needs = tuple(b for a in riders for b in a.because)
    notes = (
        f"VPN {chain.vpn}: {' -> '.join(chain.tiers)}",
        f"carries {', '.join(a.application for a in riders) or 'nothing'}",
    )
    return Explanation(f"chain {name}", (*numbers, *needs), notes)


def _chain_numbers(plan: Plan, chain: ChainPlan) -> Iterator[Because]:
    levels = {t: plan.desired.tier(t).security_level for t in chain.tiers}
    weakest = min(levels, key=lambda t: (levels[t], t))
    hops = f"{len(chain.tiers)} tier{'s' if len(chain.tiers) > 1 else ''}"
    for number, value, unit, constraint, detail in (
        ("security level", chain.security_level, "", "weakest-tier", f"of {weakest}, the weakest of its tiers"),
        ("latency", chain.latency_us, "us", "tiers", f"p95 one way over the entry and {hops} at the planned load"),
        ("loss", chain.loss_ppm, "ppm", "tiers", f"of {hops} and the links behind them"),
        ("outage", chain.outage_s, "s", "slowest-failover", "until traffic flows again after one node fails"),
    ):
        yield Because(
            subject=f"chain {chain.id}", number=number, value=value, unit=unit, constraint=constraint, detail=detail
        )


def _vpn(plan: Plan, name: str) -> Explanation:
    total = next(v for v in plan.vpn_forecasts if v.vpn == name)
    parts = [f for f in plan.forecasts if f.vpn == name]
    alone = sum(f.window_p99_mbps for f in parts)
    window = f"P50 {total.window_p50_mbps}, P90 {total.window_p90_mbps}, P99 {total.window_p99_mbps}"
    notes = (
        f"its applications: {', '.join(total.applications)}",
        f"forecast of their sum: {window} Mbit/s; last {total.last_mbps}",
        f"the P99 of each alone add up to {alone} Mbit/s: peaks that they do not have in common are not paid for twice",
    )
    return Explanation(f"VPN {name}", (), notes)


def _application(plan: Plan, name: str) -> Explanation:
    route = next(a for a in plan.desired.applications if a.application == name)
    row = next((a for a in plan.applications if a.application == name), None)
    forecast = next((f for f in plan.forecasts if f.application == name), None)
    notes = [f"VPN {route.vpn}, chain {route.chain}, class {route.traffic_class}"]
    if row:
        notes += [f"moved from {row.moved_from}"] if row.moved_from else []
        notes += [f"not met: {text}" for text in row.violated]
        notes += [f"not taken: {text}" for text in row.rejected]
    if forecast:
        notes.append(
            f"forecast ({forecast.model}): P50 {forecast.window_p50_mbps}, P90 {forecast.window_p90_mbps}, "
            f"P99 {forecast.window_p99_mbps} Mbit/s; last {forecast.last_mbps}, P90 held in "
            f"{forecast.coverage_permille / 10:g} % of past windows"
        )
        notes += [*forecast.incidents, *forecast.event_effects]
    return Explanation(f"application {name}", row.because if row else (), tuple(notes))
