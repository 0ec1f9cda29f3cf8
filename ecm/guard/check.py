"""The verdict on a draft: stale or frozen, refused over a limit, for review, or automatic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from ecm.guard.usage import Usage
from ecm.model.base import MICRO
from ecm.model.plan import Change, ChangeKind, Cost, Decision, LimitHit, TierEvidence, Verdict
from ecm.model.policy import Limits
from ecm.model.sizing import ZONE_LOSS_NOT_SURVIVED


@dataclass(frozen=True)
class Draft:
    """What guard judges."""

    as_of: datetime
    telemetry_age_min: float
    """Of the application measured longest ago."""
    telemetry_days: float
    """Of the application measured for the longest time."""
    prices_as_of: date
    changes: tuple[Change, ...]
    cost: Cost
    tiers: tuple[TierEvidence, ...]
    usage: Usage
    creates_stack: bool
    """Nothing is applied yet: the step limits do not hold, a person decides."""
    telemetry_faults: tuple[str, ...] = ()
    """What was found in telemetry that no forecast can rest on, by application."""


def check(draft: Draft, limits: Limits) -> Verdict:
    """Return the verdict: the first of stale, frozen, refused, review and automatic that applies."""
    stale = tuple(_stale(draft, limits))
    if stale:
        return Verdict(decision=Decision.STALE, hits=stale)
    if not draft.changes:
        return Verdict(decision=Decision.AUTOMATIC)
    frozen = tuple(_frozen(draft, limits))
    if frozen:
        return Verdict(decision=Decision.FROZEN, hits=frozen)
    over = tuple(hit for rule in _RULES for hit in rule(draft, limits))
    if over:
        return Verdict(decision=Decision.REFUSED, hits=over)
    reasons = tuple(_reasons(draft, limits))
    return Verdict(decision=Decision.REVIEW if reasons else Decision.AUTOMATIC, reasons=reasons)


def _stale(draft: Draft, limits: Limits) -> Iterator[LimitHit]:
    if draft.telemetry_age_min > limits.telemetry_max_age_min:
        yield LimitHit(
            limit="telemetry_max_age_min",
            have=f"{draft.telemetry_age_min:.0f} min",
            allowed=f"{limits.telemetry_max_age_min} min",
            remedy="collect newer telemetry and plan again",
        )
    if draft.telemetry_days < limits.telemetry_min_days:
        yield LimitHit(
            limit="telemetry_min_days",
            have=f"{draft.telemetry_days:.1f} days",
            allowed=f"at least {limits.telemetry_min_days} days",
            remedy="plan with a longer history",
        )
    if draft.telemetry_faults:
        more = f" and {len(draft.telemetry_faults) - 1} more" if len(draft.telemetry_faults) > 1 else ""
        yield LimitHit(
            limit="telemetry_faults",
            have=f"{draft.telemetry_faults[0]}{more}",
            allowed="none",
            remedy="mend the export, collect it again and plan again; ecm telemetry check says what is wrong",
        )
    days = (draft.as_of.date() - draft.prices_as_of).days
    if days > limits.catalog_max_age_days:
        yield LimitHit(
            limit="catalog_max_age_days",
            have=f"{days} days",
            allowed=f"{limits.catalog_max_age_days} days",
            remedy="read the prices again and set as_of in catalog.yaml",
        )


def _frozen(draft: Draft, limits: Limits) -> Iterator[LimitHit]:
    for window in limits.freeze:
        if window.start <= draft.as_of < window.end:
            yield LimitHit(
                limit="freeze",
                have=draft.as_of.isoformat(),
                allowed=f"outside {window.start.isoformat()} to {window.end.isoformat()}",
                remedy=f"wait until the window ends ({window.reason or 'no reason given'})",
            )


def _steps(draft: Draft, limits: Limits) -> Iterator[LimitHit]:
    """A stack that is created from nothing has no step to limit: its size is limited by budget and quotas."""
    if draft.creates_stack:
        return
    kinds = [c.kind for c in draft.changes]
    added = kinds.count(ChangeKind.ADD_NODE) + kinds.count(ChangeKind.REPLACE_NODE)
    leaving = kinds.count(ChangeKind.DRAIN_NODE)
    for name, have, allowed in (
        ("max_nodes_added", added, limits.max_nodes_added),
        ("max_nodes_removed", leaving, limits.max_nodes_removed),
    ):
        if have > allowed:
            yield LimitHit(
                limit=name,
                have=f"{have} nodes",
                allowed=f"{allowed} nodes",
                remedy=f"raise {name} to {have} for this step",
            )


def _budget(draft: Draft, limits: Limits) -> Iterator[LimitHit]:
    after = draft.cost.after
    if after > limits.budget_usd_per_hour:
        yield LimitHit(
            limit="budget_usd_per_hour",
            have=f"{after / MICRO:.2f} USD/h",
            allowed=f"{limits.budget_usd_per_hour / MICRO:.2f} USD/h",
            remedy=f"raise the budget by {(after - limits.budget_usd_per_hour) / MICRO:.2f} USD/h or relax a profile",
        )


def _floor(draft: Draft, limits: Limits) -> Iterator[LimitHit]:
    for tier in draft.tiers:
        if tier.nodes_after < limits.min_healthy_nodes:
            yield LimitHit(
                limit="min_healthy_nodes",
                have=f"tier {tier.tier}: {tier.nodes_after} nodes",
                allowed=f"at least {limits.min_healthy_nodes}",
                remedy="plan again once capacity is available",
            )


def _quotas(draft: Draft, limits: Limits) -> Iterator[LimitHit]:
    quotas, usage = limits.quotas, draft.usage
    for name, have, allowed in (
        ("vcpus", usage.vcpus, quotas.vcpus),
        ("network_interfaces", usage.network_interfaces, quotas.network_interfaces),
        ("elastic_ips", usage.elastic_ips, quotas.elastic_ips),
        ("load_balancers", usage.load_balancers, quotas.load_balancers),
        ("routes_per_table", usage.routes_per_table, quotas.routes_per_table),
    ):
        if have > allowed:
            yield LimitHit(
                limit=f"quotas.{name}",
                have=str(have),
                allowed=str(allowed),
                remedy=f"ask AWS for a {name} quota of {have} and write it into limits.yaml",
            )


_DRAINING: Final = (ChangeKind.DRAIN_NODE, ChangeKind.REMOVE_NODE, ChangeKind.REPLACE_NODE)
_RULES: tuple[Callable[[Draft, Limits], Iterator[LimitHit]], ...] = (_steps, _budget, _floor, _quotas)


def _reasons(draft: Draft, limits: Limits) -> Iterator[str]:
    """Yield why a person is asked."""
    if draft.creates_stack:
        yield "the stack is created from nothing"
    elif not limits.approval.additive_automatic:
        yield "limits.yaml asks for approval of every change"
    for tier in draft.tiers:
        if any(b.constraint == ZONE_LOSS_NOT_SURVIVED for b in tier.because):
            yield f"tier {tier.tier} does not survive the loss of a zone: EC2 has no capacity for a spare"
    automatic = _DRAINING if limits.approval.draining_automatic else ()
    disruptive = [c for c in draft.changes if not c.additive and c.kind not in automatic]
    if disruptive and not draft.creates_stack:
        first = disruptive[0]
        yield f"{len(disruptive)} changes are not additive, such as {first.kind.value} of {first.subject}"
    rise = draft.cost.standing_after - draft.cost.standing_before
    step = limits.approval.automatic_budget_step_usd_per_hour
    if rise > step:
        over = f"more than the automatic step of {step / MICRO:.2f} USD/h"
        yield f"standing charges rise by {rise / MICRO:.2f} USD/h, {over}"
