"""What an approval covers when EC2 has no capacity."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ecm.cli.retry import beyond_approval, expiry, marks, resource_name
from ecm.engine import CapacityRefusal
from ecm.infra.naming import node_name
from ecm.model.observed import Health, InstanceState, Observed, ObservedNode
from ecm.model.plan import Cost, CostLine, Decision, LimitHit, NodeState, Plan, TierEvidence, Verdict
from ecm.model.sizing import Load
from tests.builders import AS_OF, ZONES, a_desired, a_node, a_plan, a_route, a_slot

SLOT = a_slot()


def evidence(tier: str = "edge", *, planned: int = 1000, usable: int = 1200) -> TierEvidence:
    load = Load(applications=("web",), quantile_permille=990, planned_mbps=planned, p50_mbps=1, p90_mbps=2, p99_mbps=3)
    return TierEvidence(
        tier=tier,
        load=load,
        nodes_before=0,
        nodes_after=2,
        capacity_mbps=4000,
        usable_mbps=usable,
        after_zone_loss_mbps=2000,
        after_node_losses_mbps=2000,
        zone_loss_survived=True,
        usd_micro_per_hour=1,
        because=(),
    )


def costing(micro: int) -> Cost:
    line = CostLine(item="compute", before_usd_micro_per_hour=0, after_usd_micro_per_hour=micro)
    return Cost(prices_as_of="2026-02-20", lines=(line,))


def plan(**changes) -> Plan:
    return a_plan(**({"tiers": (evidence(),), "cost": costing(1_000_000)} | changes))


def seen(generation: int = 1, state: InstanceState = InstanceState.RUNNING) -> Observed:
    node = ObservedNode(
        slot=SLOT.id,
        generation=generation,
        instance_id="i-1",
        shape="c7gn.large",
        zone=ZONES[0],
        state=state,
        health=Health.HEALTHY,
    )
    return Observed(stack="dev", taken_at=AS_OF, applied=None, nodes=(node,))


def with_first_node(**update: object) -> Plan:
    desired = a_desired()
    edge = desired.tiers[0]
    slot = edge.slots[0]
    node = slot.nodes[0].model_copy(update=update)
    edge = edge.model_copy(update={"slots": (slot.model_copy(update={"nodes": (node,)}), *edge.slots[1:])})
    return plan(desired=desired.model_copy(update={"tiers": (edge, *desired.tiers[1:])}))


def test_resource_names_are_those_of_the_program() -> None:
    assert resource_name(SLOT, a_node(generation=3)) == node_name(SLOT, a_node(generation=3))


def test_marks_of_refused_nodes() -> None:
    def refusal(name: str) -> CapacityRefusal:
        return CapacityRefusal(
            urn=f"u::{name}", name=name, code="InsufficientInstanceCapacity", kind="capacity", message=""
        )

    until = expiry(AS_OF, 60)
    assert until == AS_OF + timedelta(minutes=60)
    found = marks(plan(), [refusal("edge-us-east-1a-0-g1"), refusal("out-us-east-1a-0-g1"), refusal("corp")], until)
    assert [(m.shape, m.zone, m.until) for m in found] == [("c7gn.large", "us-east-1a", until)]
    assert marks(plan(), [refusal("edge-us-east-1a-0-g9")], until) == ()


def test_the_same_plan_is_covered() -> None:
    assert beyond_approval(plan(), plan(), None, 0) == ()


@pytest.mark.parametrize(("micro", "covered"), [(1_000_000, True), (1_500_000, True), (1_500_001, False)])
def test_cost(micro: int, covered: bool) -> None:
    reasons = beyond_approval(plan(), plan(cost=costing(micro)), None, 500_000)
    assert (reasons == ()) is covered


@pytest.mark.parametrize(("usable", "covered"), [(1200, True), (1000, True), (999, False)])
def test_capacity(usable: int, covered: bool) -> None:
    reasons = beyond_approval(plan(), plan(tiers=(evidence(usable=usable),)), None, 0)
    assert (reasons == ()) is covered
    assert beyond_approval(plan(), plan(tiers=()), None, 0) != ()


def test_a_verdict_that_did_not_pass() -> None:
    hit = LimitHit(limit="quotas.vcpus", have="70", allowed="64", remedy="ask")
    made = plan(verdict=Verdict(decision=Decision.REFUSED, hits=(hit,)))
    (reason,) = beyond_approval(plan(), made, None, 0)
    assert "quotas.vcpus" in reason
    assert beyond_approval(plan(), plan(verdict=Verdict(decision=Decision.REVIEW, reasons=("asked",))), None, 0) == ()


def test_an_application_that_moves() -> None:
    made = plan(desired=a_desired(applications=(a_route(chain="other"),)))
    assert "chain other" in beyond_approval(plan(), made, None, 0)[0]


def test_a_node_that_never_came_up_may_be_replaced_but_not_one_that_runs() -> None:
    replaced = with_first_node(generation=2)
    assert beyond_approval(plan(), replaced, None, 0) == ()
    assert beyond_approval(plan(), replaced, seen(state=InstanceState.TERMINATED), 0) == ()
    (reason,) = beyond_approval(plan(), replaced, seen(), 0)
    assert f"node {SLOT.id} generation 1 runs and would be taken away" in reason


def test_a_running_node_may_not_be_drained() -> None:
    draining = with_first_node(state=NodeState.DRAINING, draining_since=AS_OF)
    assert beyond_approval(plan(), draining, seen(), 0) != ()
    assert beyond_approval(draining, draining, seen(), 0) == ()
