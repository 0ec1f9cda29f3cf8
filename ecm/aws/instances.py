"""Nodes as EC2 and the load balancers see them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any, Final

import boto3

from ecm.aws.outputs import StackOutputs
from ecm.aws.session import client_config, translated
from ecm.model.base import UtcTime
from ecm.model.observed import Health, InstanceState, Observed, ObservedInterface, ObservedNode

if TYPE_CHECKING:
    from mypy_boto3_elbv2.client import ElasticLoadBalancingv2Client

_SLOT: Final = re.compile(r"[a-z](?:-?[a-z0-9]){0,23}/[a-z]{2}(?:-[a-z]+)+-\d[a-z]/\d{1,2}")
_TARGET_HEALTH: Final = {"healthy": Health.HEALTHY, "unhealthy": Health.UNHEALTHY, "initial": Health.NEW}
"""Every other state of a target (draining, unused, unavailable) says nothing about the node: unknown."""
_STATUS_HEALTH: Final = {"ok": Health.HEALTHY, "impaired": Health.UNHEALTHY, "initializing": Health.NEW}
_WORST_FIRST: Final = (Health.UNHEALTHY, Health.NEW, Health.UNKNOWN, Health.HEALTHY)
_RUNS: Final = (InstanceState.PENDING, InstanceState.RUNNING)


@dataclass(frozen=True)
class _Found:
    """What the calls returned, by instance or interface id."""

    instances: Mapping[str, Mapping[str, Any]]
    status: Mapping[str, Health]
    interfaces: Mapping[str, Mapping[str, Any]]
    targets: Mapping[str, Mapping[str, Health]]
    """Health by instance, for each target group by `<tier>/<class>`."""


def observe_nodes(
    session: boto3.Session, outputs: StackOutputs, stack: str
) -> tuple[tuple[ObservedNode, ...], tuple[ObservedInterface, ...]]:
    """Return every node of the outputs and every living instance with the stack's tags, by slot; and the interfaces.

    Instances are found by tag as well because an `up` that failed half-way leaves instances that no output names.
    """
    found = _ask(session, outputs, stack)
    wanted = {(*_split(key), node.instance_id) for key, node in outputs.nodes.items()}
    living = {
        (slot, generation, instance_id)
        for instance_id, instance in found.instances.items()
        if (place := _place_of(instance)) and _state(instance) not in (InstanceState.TERMINATED, InstanceState.MISSING)
        for slot, generation in [place]
    }
    alive = {(slot, generation) for slot, generation, _ in living}
    gone = {w for w in wanted if w not in living and w[:2] not in alive}
    named = {instance_id for _, _, instance_id in wanted}
    ordered = sorted(living | gone, key=lambda w: (w[0], w[1], w[2] not in named, w[2]))
    interfaces = sorted(_interfaces(found), key=lambda i: i.private_ip)
    return tuple(_node(*w, found) for w in ordered), tuple(interfaces)


def since_when(node: ObservedNode, taken_at: UtcTime, previous: Observed | None) -> ObservedNode:
    """Return `node` with the time since when it is healthy or unhealthy, from the last snapshot or from this one."""
    if node.health not in (Health.HEALTHY, Health.UNHEALTHY):
        return node
    before = previous.node(node.slot, node.generation) if previous else None
    same = before if before is not None and before.instance_id == node.instance_id else None
    if node.health is Health.HEALTHY:
        return node.model_copy(update={"healthy_since": (same and same.healthy_since) or taken_at})
    return node.model_copy(update={"unhealthy_since": (same and same.unhealthy_since) or taken_at})


def _ask(session: boto3.Session, outputs: StackOutputs, stack: str) -> _Found:
    ec2 = session.client("ec2", config=client_config())
    tagged = [{"Name": "tag:ecm:stack", "Values": [stack]}]
    with translated("read the stack's instances"):
        pages: Any = ec2.get_paginator("describe_instances").paginate(Filters=tagged)  # type: ignore[arg-type]
        reservations = [r for page in pages for r in page["Reservations"]]
        instances = {i["InstanceId"]: i for r in reservations for i in r["Instances"]}
        status_pages: Any = ec2.get_paginator("describe_instance_status").paginate()
        status = {s["InstanceId"]: _status(s) for page in status_pages for s in page["InstanceStatuses"]}
        interface_pages: Any = ec2.get_paginator("describe_network_interfaces").paginate(Filters=tagged)  # type: ignore[arg-type]
        interfaces = {i["NetworkInterfaceId"]: i for page in interface_pages for i in page["NetworkInterfaces"]}
    with translated("read the health of the targets"):
        elb = session.client("elbv2", config=client_config())
        targets = {name: _targets(elb, arn) for name, arn in outputs.target_groups.items()}
    return _Found(
        instances=instances,
        status=status,
        interfaces=interfaces,
        targets=targets,
    )


def _targets(elb: ElasticLoadBalancingv2Client, arn: str) -> dict[str, Health]:
    """Return the health of a group's targets; a group that is gone has none."""
    try:
        answer = elb.describe_target_health(TargetGroupArn=arn)
    except elb.exceptions.TargetGroupNotFoundException:
        return {}
    return {
        t["Target"]["Id"]: _TARGET_HEALTH.get(t["TargetHealth"]["State"], Health.UNKNOWN)
        for t in answer["TargetHealthDescriptions"]
        if t["TargetHealth"]["State"] != "draining"
    }


def _status(status: Mapping[str, Any]) -> Health:
    checks = (status["InstanceStatus"]["Status"], status["SystemStatus"]["Status"])
    return worst(_STATUS_HEALTH.get(check, Health.UNKNOWN) for check in checks)


def worst(healths: Iterable[Health]) -> Health:
    """Return what weighs most of what several checks say."""
    return min(healths, key=_WORST_FIRST.index, default=Health.UNKNOWN)


def _split(key: str) -> tuple[str, int]:
    slot, _, generation = key.partition("#")
    return slot, int(generation)


def _interfaces(found: _Found) -> Iterator[ObservedInterface]:
    for interface in found.interfaces.values():
        place = _place_of({"Tags": interface.get("TagSet", ())})
        if place is not None:
            slot, generation = place
            address = IPv4Address(interface["PrivateIpAddress"])
            yield ObservedInterface(slot=slot, generation=generation, private_ip=address)


def _place_of(instance: Mapping[str, Any]) -> tuple[str, int] | None:
    tags = {t["Key"]: t["Value"] for t in instance.get("Tags", ())}
    slot, generation = tags.get("ecm:slot", ""), tags.get("ecm:generation", "")
    return (slot, int(generation)) if _SLOT.fullmatch(slot) and re.fullmatch(r"[1-9]\d{0,6}", generation) else None


def _state(instance: Mapping[str, Any]) -> InstanceState:
    return InstanceState(instance["State"]["Name"])


def _node(slot: str, generation: int, instance_id: str, found: _Found) -> ObservedNode:
    instance = found.instances.get(instance_id)
    if instance is None:
        return ObservedNode(
            slot=slot,
            generation=generation,
            instance_id=instance_id,
            shape=None,
            zone=None,
            state=InstanceState.MISSING,
            health=Health.UNKNOWN,
        )
    state = _state(instance)
    tier = slot.split("/", 1)[0]
    groups = [targets for name, targets in found.targets.items() if name.split("/", 1)[0] == tier]
    interface_id = next((i["NetworkInterfaceId"] for i in instance.get("NetworkInterfaces", ())), None)
    interface = found.interfaces.get(interface_id or "", {})
    return ObservedNode(
        slot=slot,
        generation=generation,
        instance_id=instance_id,
        shape=instance["InstanceType"],
        zone=interface.get("AvailabilityZone") or instance["Placement"]["AvailabilityZone"],
        state=state,
        health=_health(instance_id, state, groups, found),
        instance_check=found.status.get(instance_id, Health.UNKNOWN) if state in _RUNS else None,
        target_check=worst(t.get(instance_id, Health.UNKNOWN) for t in groups) if groups and state in _RUNS else None,
        launched_at=instance.get("LaunchTime"),
        private_ip=instance.get("PrivateIpAddress"),
        interface_id=interface_id,
        source_dest_check=interface.get("SourceDestCheck"),
        registered=all(instance_id in targets for targets in groups) if groups else None,
    )


def _health(instance_id: str, state: InstanceState, groups: list[Mapping[str, Health]], found: _Found) -> Health:
    """Return the worst of EC2's own checks and the load balancers'; a node that does not run has no health."""
    if state not in _RUNS:
        return Health.UNKNOWN
    checks = [found.status.get(instance_id, Health.UNKNOWN)]
    checks += [targets.get(instance_id, Health.UNKNOWN) for targets in groups]
    return worst(checks)
