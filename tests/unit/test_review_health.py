"""How nodes, tiers and chains are: each layer beside the others, and a chain as weak as its weakest tier."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ecm.model.fleet import Role
from ecm.model.observed import Health, InstanceState, Observed, ObservedConfig, ObservedNode
from ecm.model.plan import ConfigDigest, NodeState, Plan
from ecm.review import Standing, fleet_health
from tests.builders import AS_OF, a_chain, a_desired, a_digest, a_plan, a_tier

SLOTS = ("us-east-1a/0", "us-east-1b/0")


def a_fleet(**changes: Any) -> Plan:
    tiers = (a_tier("edge"), a_tier("mid", Role.TRANSIT), a_tier("out", Role.EGRESS))
    chains = (a_chain(("edge", "mid", "out"), "guarded", 1), a_chain(("edge", "out"), "fast", 2))
    config = ConfigDigest(key="nodes/mid/us-east-1a/0/g1/base.json", digest=a_digest("new"))
    return a_plan(desired=a_desired(tiers=tiers, chains=chains), configs=(config,), **changes)


def seen(slot: str, **changes: Any) -> ObservedNode:
    values = {
        "slot": slot, "generation": 1, "instance_id": "i-1", "shape": None, "zone": None,
        "state": InstanceState.RUNNING, "health": Health.HEALTHY, "instance_check": Health.HEALTHY,
    }  # fmt: skip
    return ObservedNode.model_validate(values | changes)


def snapshot(**changed: dict[str, Any]) -> Observed:
    """Everything healthy, but for the nodes of the tiers in `changed` that stand in the first zone."""
    nodes = [
        seen(f"{tier}/{place}", **(changed.get(tier, {}) if place == SLOTS[0] else {}))
        for tier in ("edge", "mid", "out")
        for place in SLOTS
    ]
    config = ObservedConfig(key="nodes/mid/us-east-1a/0/g1/base.json", digest=a_digest("old"))
    return Observed(stack="dev", taken_at=AS_OF, applied=None, nodes=tuple(nodes), configs=(config,))


def test_all_healthy_is_whole_and_nothing_observed_is_unknown() -> None:
    assert {c.standing for c in fleet_health(a_fleet(), snapshot()).chains} == {Standing.WHOLE}
    assert {c.standing for c in fleet_health(a_fleet(), None).chains} == {Standing.UNKNOWN}


@pytest.mark.parametrize(
    "bad",
    [{"health": Health.UNHEALTHY}, {"health": Health.NEW}, {"state": InstanceState.STOPPED, "health": Health.UNKNOWN}],
)
def test_a_transit_node_that_no_load_balancer_watches_counts(bad: dict[str, Any]) -> None:
    fleet = fleet_health(a_fleet(), snapshot(mid=bad))
    assert {c.chain: c.standing for c in fleet.chains} == {"guarded": Standing.REDUCED, "fast": Standing.WHOLE}
    mid = next(t for t in fleet.tiers if t.tier == "mid")
    assert (mid.serving, mid.planned, mid.serving_mbps) == (1, 2, 2000)


def test_a_tier_without_a_node_takes_its_chains_down() -> None:
    observed = snapshot().model_copy(update={"nodes": tuple(n for n in snapshot().nodes if n.slot[:3] != "out")})
    assert {c.standing for c in fleet_health(a_fleet(), observed).chains} == {Standing.DOWN}


def test_each_layer_of_a_node_stands_beside_the_others() -> None:
    joined = {"launched_at": AS_OF, "key_published_at": AS_OF + timedelta(seconds=95), "target_check": Health.UNHEALTHY}
    fleet = fleet_health(a_fleet(), snapshot(mid=joined))
    node = next(n for t in fleet.tiers for n in t.nodes if n.slot == "mid/us-east-1a/0")
    assert (node.instance_check, node.target_check) == (Health.HEALTHY, Health.UNHEALTHY)
    assert (node.joined_after_s, node.config_current, node.state) == (95, False, NodeState.ACTIVE)


def test_what_an_agent_says_of_its_node_stands_there() -> None:
    said = {
        "agent_check": Health.UNHEALTHY,
        "agent_says": "firewall: the loaded ruleset is not the node's",
        "health": Health.UNHEALTHY,
        "launched_at": AS_OF,
        "first_healthy_at": AS_OF + timedelta(seconds=140),
    }
    fleet = fleet_health(a_fleet(), snapshot(mid=said))
    node = next(n for t in fleet.tiers for n in t.nodes if n.slot == "mid/us-east-1a/0")
    assert (node.agent_check, node.ready_after_s) == (Health.UNHEALTHY, 140)
    assert "firewall" in node.agent_says
    assert {c.chain: c.standing for c in fleet.chains} == {"guarded": Standing.REDUCED, "fast": Standing.WHOLE}
