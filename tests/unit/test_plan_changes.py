"""What happens to dead nodes is additive: it touches nothing that carries traffic, so no person has to be asked."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ecm.model.observed import Health, InstanceState, Observed, ObservedInterface, ObservedNode
from ecm.model.plan import ChangeKind, Node, Plan
from ecm.model.review import ChangeClass
from ecm.pipeline import World, decide_from
from ecm.review import build
from tests.forecasts import AS_OF, a_forecast, a_history
from tests.reviews import LOW, ROOT, context, prod, standing

SLOT = "corp-in/us-east-1a/0"


def decided(state: InstanceState, health: Health, interfaces: tuple[ObservedInterface, ...] = ()) -> Plan:
    """The next plan for the same load, with the first node of a tier in a state of its own."""
    before = standing()
    nodes = tuple(
        ObservedNode(
            slot=slot.id,
            generation=node.generation,
            instance_id=f"i-{number}",
            shape=node.shape,
            zone=slot.zone,
            state=state if slot.id == SLOT else InstanceState.RUNNING,
            health=health if slot.id == SLOT else Health.HEALTHY,
            unhealthy_since=AS_OF - timedelta(hours=1) if slot.id == SLOT else None,
        )
        for number, (slot, node) in enumerate(
            (slot, node) for tier in before.desired.tiers for slot in tier.slots for node in slot.nodes
        )
    )
    loads = {a.id: LOW for a in prod().fleet.applications}
    seen = Observed(stack="prod", taken_at=AS_OF, applied=before.digest, nodes=nodes, interfaces=interfaces)
    world = World(as_of=AS_OF, observed=seen, previous=before, basis=before.digest, templates=ROOT / "templates")
    outcome = decide_from(prod(), a_history(prod().fleet, loads), a_forecast(prod().fleet, loads), world)
    assert outcome.plan is not None
    return outcome.plan


@pytest.mark.parametrize(
    ("state", "health", "kinds"),
    [
        (InstanceState.TERMINATED, Health.UNKNOWN, {ChangeKind.REPLACE_NODE, ChangeKind.REMOVE_NODE}),
        (InstanceState.RUNNING, Health.UNHEALTHY, {ChangeKind.REPLACE_NODE}),
    ],
)
def test_a_dead_node_is_replaced_by_additive_changes(
    state: InstanceState, health: Health, kinds: set[ChangeKind]
) -> None:
    made = decided(state, health)
    found = [c for c in made.changes if c.subject == f"slot {SLOT}"]
    assert {c.kind for c in found} == kinds
    assert all(c.additive for c in found)
    review = build(made, context(made, standing()))
    assert {c.change_class for c in review.changes if c.subject == f"slot {SLOT}"} == {ChangeClass.ADDITIVE}


def test_a_node_that_is_well_stays() -> None:
    assert decided(InstanceState.RUNNING, Health.HEALTHY).changes == ()


def test_what_a_failed_up_left_of_a_slot_is_another_node() -> None:
    """Its interfaces stand until an `up` ends: their addresses and generations are given to nobody."""

    def last(made: Plan) -> Node:
        return next(s for t in made.desired.tiers for s in t.slots if s.id == SLOT).nodes[-1]

    free = last(decided(InstanceState.TERMINATED, Health.UNKNOWN))
    assert free.generation == 2
    left = ObservedInterface(slot=SLOT, generation=4, private_ip=free.private_ip)
    other = last(decided(InstanceState.TERMINATED, Health.UNKNOWN, (left,)))
    assert (other.generation, other.private_ip) == (5, free.private_ip + 1)
