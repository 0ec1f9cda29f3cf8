"""Slots against what stands: additions, drains, replacements by generation, dead nodes, missing capacity."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from ecm import plan
from ecm.model.observed import Health, InstanceState, Observed, ObservedInterface, Unavailable
from ecm.model.plan import NodeState
from tests.forecasts import AS_OF
from tests.unit.slot_states import (
    IMAGE,
    LARGE,
    LIMITS,
    SMALL,
    A,
    B,
    generations,
    planned,
    seen,
    snapshot,
)


def test_scaling_out_adds_slots_and_leaves_the_others_as_they_were() -> None:
    before = planned({(A, SMALL): 1, (B, SMALL): 1})
    after = planned({(A, SMALL): 2, (B, SMALL): 1}, before)
    assert [s.id for s in after] == [f"t/{A}/0", f"t/{A}/1", f"t/{B}/0"]
    assert set(before) < set(after)


def test_scaling_in_drains_the_highest_index_and_removes_it_when_drained() -> None:
    before = planned({(A, SMALL): 3})
    draining = planned({(A, SMALL): 2}, before)
    assert generations(draining)[f"t/{A}/2"] == [(1, SMALL, "draining")]
    assert draining[:2] == before[:2]
    early = planned({(A, SMALL): 2}, draining, at=AS_OF + timedelta(minutes=LIMITS.drain_min - 1))
    assert early == draining
    late = planned({(A, SMALL): 2}, draining, at=AS_OF + timedelta(minutes=LIMITS.drain_min))
    assert late == before[:2]


def test_a_draining_slot_takes_traffic_again_before_a_new_one_is_launched() -> None:
    before = planned({(A, SMALL): 2})
    draining = planned({(A, SMALL): 1}, before)
    assert planned({(A, SMALL): 2}, draining) == before


def test_an_index_is_not_used_again_while_its_node_drains() -> None:
    draining = planned({(A, SMALL): 1}, planned({(A, SMALL): 2}))
    after = planned({(A, SMALL): 1, (A, LARGE): 1}, draining)
    assert generations(after)[f"t/{A}/1"] == [(1, SMALL, "draining")]
    assert generations(after)[f"t/{A}/2"] == [(1, LARGE, "active")]
    assert len({s.number for s in after}) == 3
    assert len({n.private_ip for s in after for n in s.nodes}) == 3


def test_a_shape_change_brings_up_the_new_generation_drains_the_old_and_then_removes_it() -> None:
    before = planned({(A, SMALL): 1})
    slot = before[0]
    both = planned({(A, LARGE): 1}, before, observed=snapshot(seen(slot)))
    assert generations(both)[slot.id] == [(1, SMALL, "active"), (2, LARGE, "active")]
    assert both[0].nodes[0] == slot.nodes[0]
    assert both[0].nodes[1].private_ip != slot.nodes[0].private_ip
    waiting = snapshot(seen(slot), seen(slot, generation=2, health=Health.NEW))
    assert planned({(A, LARGE): 1}, both, observed=waiting) == both
    healthy = snapshot(seen(slot), seen(slot, generation=2))
    draining = planned({(A, LARGE): 1}, both, observed=healthy)
    assert generations(draining)[slot.id] == [(1, SMALL, "draining"), (2, LARGE, "active")]
    later = AS_OF + timedelta(minutes=LIMITS.drain_min)
    assert generations(planned({(A, LARGE): 1}, draining, observed=healthy, at=later))[slot.id] == [
        (2, LARGE, "active")
    ]


def test_a_new_image_is_a_new_generation() -> None:
    before = planned({(A, SMALL): 1})
    newer = IMAGE.model_copy(update={"ami": "ami-00000000000000002"})
    after = planned({(A, SMALL): 1}, before, image=newer)
    assert [n.ami for n in after[0].nodes] == [IMAGE.ami, newer.ami]


@pytest.mark.parametrize("state", [InstanceState.TERMINATED, InstanceState.MISSING, InstanceState.STOPPED])
def test_a_dead_node_is_replaced_at_once_by_a_new_generation(state: InstanceState) -> None:
    before = planned({(A, SMALL): 2})
    dead = snapshot(seen(before[0], state=state), seen(before[1]))
    after = planned({(A, SMALL): 2}, before, observed=dead)
    assert generations(after)[before[0].id] == [(2, SMALL, "active")]
    assert after[1] == before[1]
    assert planned({(A, SMALL): 2}, after, observed=dead) == after


def test_a_running_node_is_replaced_only_when_unhealthy_for_longer_than_the_limit() -> None:
    before = planned({(A, SMALL): 1})
    minutes = LIMITS.unhealthy_after_min

    def sick(since: datetime) -> Observed:
        return snapshot(seen(before[0], health=Health.UNHEALTHY, since=since))

    recent = planned({(A, SMALL): 1}, before, observed=sick(AS_OF - timedelta(minutes=minutes - 1)))
    assert recent == before
    long = planned({(A, SMALL): 1}, before, observed=sick(AS_OF - timedelta(minutes=minutes)))
    assert generations(long)[before[0].id] == [(1, SMALL, "active"), (2, SMALL, "active")]
    unknown = snapshot(seen(before[0], health=Health.UNKNOWN))
    assert planned({(A, SMALL): 1}, before, observed=unknown) == before


def test_two_generations_of_a_slot_never_share_the_parity_that_tunnel_addresses_use() -> None:
    before = planned({(A, SMALL): 1})
    slot = before[0]
    both = planned({(A, LARGE): 1}, before, observed=snapshot(seen(slot)))
    failed = snapshot(seen(slot), seen(slot, generation=2, state=InstanceState.TERMINATED))
    again = planned({(A, LARGE): 1}, both, observed=failed)
    old, new = again[0].nodes
    assert (old.generation, old.shape) == (1, SMALL)
    assert new.generation > 2
    assert (new.generation - old.generation) % 2 == 1


def test_a_node_that_never_came_up_for_want_of_capacity_leaves_no_trace() -> None:
    mark = Unavailable(shape=SMALL, zone=B, until=AS_OF + timedelta(hours=1))
    tried = planned({(A, SMALL): 1, (B, SMALL): 1})
    after = planned({(A, SMALL): 1, (B, LARGE): 1}, tried, observed=snapshot(seen(tried[0]), unavailable=(mark,)))
    assert generations(after) == {f"t/{A}/0": [(1, SMALL, "active")], f"t/{B}/0": [(2, LARGE, "active")]}
    moved = planned({(A, SMALL): 2}, tried, observed=snapshot(seen(tried[0]), unavailable=(mark,)))
    assert generations(moved) == {f"t/{A}/0": [(1, SMALL, "active")], f"t/{A}/1": [(1, SMALL, "active")]}
    expired = snapshot(seen(tried[0]), unavailable=(mark.model_copy(update={"until": AS_OF}),))
    assert planned({(A, SMALL): 1, (B, SMALL): 1}, tried, observed=expired) == tried


def test_a_slot_that_comes_back_is_not_what_a_failed_up_left_of_it() -> None:
    before = planned({(A, SMALL): 1})
    left = ObservedInterface(slot=f"t/{B}/0", generation=2, private_ip=before[0].nodes[0].private_ip + 9)
    seen_now = snapshot(seen(before[0])).model_copy(update={"interfaces": (left,)})
    after = planned({(A, SMALL): 1, (B, SMALL): 1}, before, observed=seen_now)
    assert generations(after) == {f"t/{A}/0": [(1, SMALL, "active")], f"t/{B}/0": [(3, SMALL, "active")]}


def test_a_tier_whose_numbers_are_all_taken_by_draining_nodes_says_to_wait() -> None:
    before = planned({(A, SMALL): 16})
    draining = planned({}, before)
    assert all(s.nodes[-1].state is NodeState.DRAINING for s in draining)
    with pytest.raises(plan.NoFreeNumberError, match="all 16 node numbers"):
        planned({(B, SMALL): 1}, draining)
