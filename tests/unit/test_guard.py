"""Guard: every limit refuses with its name, what it has, what is allowed and what would satisfy it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from ecm import guard
from ecm.intent import load
from ecm.model.plan import Change, ChangeKind, Cost, CostLine, Decision, TierEvidence
from ecm.model.policy import FreezeWindow
from ecm.model.sizing import Load
from tests.forecasts import AS_OF
from tests.properties.fleets import ROOT

LIMITS = load(ROOT, "dev").limits
USAGE = guard.Usage(vcpus=4, network_interfaces=20, elastic_ips=4, load_balancers=1, routes_per_table=3)


def a_change(kind: ChangeKind = ChangeKind.ADD_NODE, *, additive: bool = True) -> Change:
    return Change(kind=kind, subject="slot t/us-east-1a/0", detail="", additive=additive)


def a_cost(before: int, after: int) -> Cost:
    line = CostLine(item="compute t", before_usd_micro_per_hour=before, after_usd_micro_per_hour=after)
    return Cost(prices_as_of="2026-07-20", lines=(line,))


def a_tier(nodes: int) -> TierEvidence:
    load_of = Load(applications=(), quantile_permille=950, planned_mbps=1, p50_mbps=1, p90_mbps=1, p99_mbps=1)
    return TierEvidence(
        tier="t",
        load=load_of,
        nodes_before=2,
        nodes_after=nodes,
        capacity_mbps=1,
        usable_mbps=1,
        after_zone_loss_mbps=1,
        after_node_losses_mbps=1,
        zone_loss_survived=True,
        usd_micro_per_hour=1,
        because=(),
    )


DRAFT = guard.Draft(
    as_of=AS_OF,
    telemetry_age_min=0,
    telemetry_days=30,
    prices_as_of=date(2026, 7, 20),
    changes=(a_change(),),
    cost=a_cost(1_000_000, 1_100_000),
    tiers=(a_tier(2),),
    usage=USAGE,
    creates_stack=False,
)


def test_an_additive_change_within_every_limit_is_automatic() -> None:
    assert guard.check(DRAFT, LIMITS).decision is Decision.AUTOMATIC


def test_nothing_to_change_is_automatic_even_in_a_freeze() -> None:
    freeze = FreezeWindow(start=AS_OF, end=AS_OF + timedelta(hours=1), reason="audit")
    limits = LIMITS.model_copy(update={"freeze": (freeze,)})
    assert guard.check(replace(DRAFT, changes=()), limits).decision is Decision.AUTOMATIC


def test_a_freeze_window_holds_changes_and_says_why() -> None:
    freeze = FreezeWindow(start=AS_OF, end=AS_OF + timedelta(hours=1), reason="audit")
    verdict = guard.check(DRAFT, LIMITS.model_copy(update={"freeze": (freeze,)}))
    assert verdict.decision is Decision.FROZEN
    assert "audit" in verdict.hits[0].remedy
    over = FreezeWindow(start=AS_OF - timedelta(hours=1), end=AS_OF, reason="over")
    assert guard.check(DRAFT, LIMITS.model_copy(update={"freeze": (over,)})).decision is Decision.AUTOMATIC


@pytest.mark.parametrize(
    ("draft", "limit"),
    [
        (replace(DRAFT, telemetry_age_min=90.5), "telemetry_max_age_min"),
        (replace(DRAFT, telemetry_days=6.9), "telemetry_min_days"),
        (replace(DRAFT, telemetry_faults=("lab/web: counter", "lab/desktop: counter")), "telemetry_faults"),
        (replace(DRAFT, prices_as_of=date(2026, 5, 1)), "catalog_max_age_days"),
    ],
)
def test_old_or_short_inputs_are_stale(draft: guard.Draft, limit: str) -> None:
    verdict = guard.check(draft, LIMITS)
    assert verdict.decision is Decision.STALE
    assert not verdict.passed
    assert [h.limit for h in verdict.hits] == [limit]


DRAINS = (a_change(ChangeKind.DRAIN_NODE, additive=False),) * 5


@pytest.mark.parametrize(
    ("draft", "limit", "allowed"),
    [
        (replace(DRAFT, changes=(a_change(),) * 13), "max_nodes_added", "12 nodes"),
        (replace(DRAFT, changes=(a_change(ChangeKind.REPLACE_NODE),) * 13), "max_nodes_added", "12 nodes"),
        (replace(DRAFT, changes=DRAINS), "max_nodes_removed", "4 nodes"),
        (replace(DRAFT, cost=a_cost(15_000_000, 15_000_001)), "budget_usd_per_hour", "15.00 USD/h"),
        (replace(DRAFT, tiers=(a_tier(0),)), "min_healthy_nodes", "at least 1"),
        (replace(DRAFT, usage=USAGE.model_copy(update={"vcpus": 65})), "quotas.vcpus", "64"),
        (replace(DRAFT, usage=USAGE.model_copy(update={"elastic_ips": 21})), "quotas.elastic_ips", "20"),
        (replace(DRAFT, usage=USAGE.model_copy(update={"load_balancers": 11})), "quotas.load_balancers", "10"),
        (
            replace(DRAFT, usage=USAGE.model_copy(update={"network_interfaces": 501})),
            "quotas.network_interfaces",
            "500",
        ),
        (replace(DRAFT, usage=USAGE.model_copy(update={"routes_per_table": 51})), "quotas.routes_per_table", "50"),
    ],
)
def test_over_a_limit_the_plan_is_refused_and_the_limit_named(draft: guard.Draft, limit: str, allowed: str) -> None:
    verdict = guard.check(draft, LIMITS)
    assert verdict.decision is Decision.REFUSED
    assert [(h.limit, h.allowed) for h in verdict.hits] == [(limit, allowed)]
    assert verdict.hits[0].remedy


def test_creating_a_stack_has_no_step_limit_but_a_person_decides() -> None:
    verdict = guard.check(replace(DRAFT, changes=(a_change(),) * 13, creates_stack=True), LIMITS)
    assert verdict.decision is Decision.REVIEW
    assert verdict.reasons[0] == "the stack is created from nothing"


@pytest.mark.parametrize(
    ("draft", "reason"),
    [
        (replace(DRAFT, changes=(a_change(ChangeKind.DRAIN_NODE, additive=False),)), "not additive"),
        (replace(DRAFT, cost=a_cost(1_000_000, 3_000_001)), "standing charges rise by 2.00 USD/h"),
    ],
)
def test_what_takes_away_or_costs_more_than_the_step_is_reviewed(draft: guard.Draft, reason: str) -> None:
    verdict = guard.check(draft, LIMITS)
    assert verdict.decision is Decision.REVIEW
    assert reason in verdict.reasons[0]


def test_where_limits_ask_for_it_every_change_is_reviewed() -> None:
    verdict = guard.check(DRAFT, load(ROOT, "prod").limits)
    assert verdict.decision is Decision.REVIEW
    assert verdict.reasons[0] == "limits.yaml asks for approval of every change"


@pytest.mark.parametrize("kind", [ChangeKind.DRAIN_NODE, ChangeKind.REMOVE_NODE, ChangeKind.REPLACE_NODE])
def test_draining_goes_by_itself_only_where_the_limits_say_so(kind: ChangeKind) -> None:
    draft = replace(DRAFT, changes=(a_change(kind, additive=False),))
    approval = LIMITS.approval.model_copy(update={"draining_automatic": True})
    assert guard.check(draft, LIMITS).decision is Decision.REVIEW
    assert guard.check(draft, LIMITS.model_copy(update={"approval": approval})).decision is Decision.AUTOMATIC


def test_what_is_disruptive_never_goes_by_itself() -> None:
    draft = replace(DRAFT, changes=(a_change(ChangeKind.MOVE_APPLICATION, additive=False),))
    approval = LIMITS.approval.model_copy(update={"draining_automatic": True})
    assert guard.check(draft, LIMITS.model_copy(update={"approval": approval})).decision is Decision.REVIEW


def test_traffic_that_follows_the_load_is_no_reason_to_ask_a_person() -> None:
    line = CostLine(item="traffic entry", before_usd_micro_per_hour=0, after_usd_micro_per_hour=9_000_000)
    draft = replace(DRAFT, cost=DRAFT.cost.model_copy(update={"lines": (*DRAFT.cost.lines, line)}))
    assert guard.check(draft, LIMITS).decision is Decision.AUTOMATIC
    paid = line.model_copy(update={"item": "compute u"})
    draft = replace(DRAFT, cost=DRAFT.cost.model_copy(update={"lines": (*DRAFT.cost.lines, paid)}))
    assert "standing charges rise by 9.10 USD/h" in guard.check(draft, LIMITS).reasons[0]
