"""What agents' reports mean for the health of their nodes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ecm.aws.reports import BOOT, SILENT, Heard, with_reports
from ecm.model.contract import report_key
from ecm.model.node_report import LayerName, NodeReport
from ecm.model.observed import Health, InstanceState, ObservedNode

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
OLD = NOW - timedelta(days=2)
SLOTS = tuple(f"{tier}/us-east-1{zone}/0" for tier in ("edge", "mid", "out") for zone in "ab")


def seen(slot: str, state: InstanceState = InstanceState.RUNNING, launched: datetime = OLD) -> ObservedNode:
    health = Health.HEALTHY if state is InstanceState.RUNNING else Health.UNKNOWN
    return ObservedNode(
        slot=slot,
        generation=1,
        instance_id="i-1",
        shape="c7gn.large",
        zone="us-east-1a",
        state=state,
        health=health,
        launched_at=launched,
    )


def said(
    slot: str, *wrong: LayerName, ago: timedelta = timedelta(seconds=30), healthy_at: datetime | None = OLD
) -> dict[str, Heard]:
    report = NodeReport(slot=slot, generation=1, serial=3, wrong=wrong, why="; ".join(wrong), healthy_at=healthy_at)
    return {report_key(slot, 1): Heard(NOW - ago, report)}


def everyone(**changes: dict[str, Heard]) -> dict[str, Heard]:
    """All nodes well, but for `changes`, each in the place of one."""
    found = {key: heard for slot in SLOTS for key, heard in said(slot).items()}
    for change in changes.values():
        found |= change
    return found


def judged(heard: dict[str, Heard], *nodes: ObservedNode) -> dict[str, ObservedNode]:
    return {n.slot: n for n in with_reports(nodes or tuple(map(seen, SLOTS)), heard, NOW)}


def unhealthy(heard: dict[str, Heard]) -> list[str]:
    return [slot for slot, node in judged(heard).items() if node.health is Health.UNHEALTHY]


def test_nodes_that_are_well_are_healthy_and_say_when_they_were_ready() -> None:
    launched = NOW - timedelta(hours=1)
    ready = launched + timedelta(seconds=95)
    node = judged(said(SLOTS[0], healthy_at=ready), seen(SLOTS[0], launched=launched))[SLOTS[0]]
    assert (node.agent_check, node.health, node.agent_says) == (Health.HEALTHY, Health.HEALTHY, "")
    assert node.ready_after_s == 95


@pytest.mark.parametrize("layer", [layer for layer in LayerName if layer is not LayerName.PATH])
def test_a_node_whose_own_layer_is_wrong_is_unhealthy_though_ec2_is_content(layer: LayerName) -> None:
    assert unhealthy(everyone(one=said("out/us-east-1a/0", layer))) == ["out/us-east-1a/0"]
    assert judged(everyone(one=said("out/us-east-1a/0", layer)))["out/us-east-1a/0"].agent_says == layer


def test_a_node_without_a_path_is_unhealthy_where_its_sibling_has_one() -> None:
    assert unhealthy(everyone(one=said("mid/us-east-1a/0", LayerName.PATH))) == ["mid/us-east-1a/0"]


def test_where_no_node_of_a_tier_has_a_path_the_next_tier_is_to_blame() -> None:
    paths = {zone: said(f"mid/us-east-1{zone}/0", LayerName.PATH) for zone in "ab"}
    assert unhealthy(everyone(**paths)) == []


def test_a_silent_sibling_has_no_say_about_paths() -> None:
    heard = everyone(one=said("mid/us-east-1a/0", LayerName.PATH), two=said("mid/us-east-1b/0", ago=2 * SILENT))
    assert unhealthy(heard) == ["mid/us-east-1b/0"]


def test_a_silent_agent_is_unhealthy_while_most_are_heard() -> None:
    assert unhealthy(everyone(one=said("out/us-east-1b/0", ago=2 * SILENT))) == ["out/us-east-1b/0"]
    assert unhealthy(everyone(one=said("out/us-east-1b/0", ago=SILENT))) == []


def test_when_most_agents_are_silent_nothing_is_held_against_them() -> None:
    quiet = {str(n): said(slot, ago=2 * SILENT) for n, slot in enumerate(SLOTS[:3])}
    nodes = judged(everyone(**quiet))
    assert [n.health for n in nodes.values()] == [Health.HEALTHY] * len(SLOTS)
    assert nodes[SLOTS[0]].agent_check is Health.UNKNOWN
    assert nodes[SLOTS[0]].agent_says == "silent for 12 min, as most agents are"


def test_a_node_that_was_never_right_is_new_while_it_boots_and_unhealthy_after() -> None:
    report = said(SLOTS[0], LayerName.CONFIG, healthy_at=None)
    assert judged(report, seen(SLOTS[0], launched=NOW - BOOT / 2))[SLOTS[0]].health is Health.NEW
    assert judged(report, seen(SLOTS[0], launched=NOW - BOOT))[SLOTS[0]].health is Health.UNHEALTHY


def test_a_node_that_was_right_before_is_not_new_again() -> None:
    launched = NOW - BOOT / 2
    report = said(SLOTS[0], LayerName.FIREWALL, healthy_at=launched + timedelta(minutes=1))
    assert judged(report, seen(SLOTS[0], launched=launched))[SLOTS[0]].health is Health.UNHEALTHY


def test_an_agent_that_was_never_heard_says_nothing() -> None:
    heard = everyone()
    del heard[report_key(SLOTS[0], 1)]
    node = judged(heard)[SLOTS[0]]
    assert (node.health, node.agent_check) == (Health.HEALTHY, None)


def test_a_report_does_not_make_a_node_healthier_than_ec2_finds_it() -> None:
    ill = seen(SLOTS[0]).model_copy(update={"health": Health.UNHEALTHY})
    assert judged(said(SLOTS[0]), ill)[SLOTS[0]].health is Health.UNHEALTHY
    gone = seen(SLOTS[0], InstanceState.TERMINATED)
    assert judged(said(SLOTS[0]), gone)[SLOTS[0]] == gone


def test_what_is_no_report_is_held_against_its_node() -> None:
    heard = everyone(one={report_key(SLOTS[0], 1): Heard(NOW, None)})
    assert unhealthy(heard) == [SLOTS[0]]


@pytest.mark.parametrize("claimed", [OLD - timedelta(days=1), NOW + timedelta(minutes=1)])
def test_a_time_that_cannot_be_is_no_measurement(claimed: datetime) -> None:
    node = judged(said(SLOTS[0], healthy_at=claimed), seen(SLOTS[0]))[SLOTS[0]]
    assert (node.first_healthy_at, node.ready_after_s) == (None, None)
