"""How a node is built: metadata service, volumes, addresses, forwarding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ecm.guardrails.rule import (
    ADDRESS,
    ADDRESS_ASSOCIATION,
    INSTANCE,
    INTERFACE,
    Bounds,
    Declared,
    Finding,
    Resource,
    ResourceRule,
    StackRule,
)
from ecm.model.fleet import Role

_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
_VOLUME = "aws:ebs/volume:Volume"
_SUBNET = "aws:ec2/subnet:Subnet"
ROLE_TAG: Final = "ecm:role"


def _metadata(resource: Resource, _: Bounds) -> Iterator[str]:
    if resource.type not in (INSTANCE, _TEMPLATE):
        return
    options = resource.props.get("metadataOptions") or {}
    if options.get("httpEndpoint") == "disabled":
        return
    if options.get("httpTokens") != "required":
        yield "the metadata service answers without a session token (IMDSv1). Set metadataOptions.httpTokens: required."
    if options.get("httpPutResponseHopLimit") != 1:
        yield (
            "forwarded packets may reach the metadata service. Set metadataOptions.httpPutResponseHopLimit: 1, as a "
            "node forwards other people's packets."
        )


def _volumes(resource: Resource, _: Bounds) -> Iterator[str]:
    if resource.type == _VOLUME and resource.props.get("encrypted") is not True:
        yield "the volume is not encrypted. Set encrypted: true."
    if resource.type != INSTANCE:
        return
    devices = [("rootBlockDevice", resource.props.get("rootBlockDevice") or {})]
    devices += [("ebsBlockDevices", device) for device in resource.props.get("ebsBlockDevices") or ()]
    for name, device in devices:
        if device.get("encrypted") is not True:
            yield f"{name} is not encrypted. Set {name}.encrypted: true."


def _automatic_addresses(resource: Resource, _: Bounds) -> Iterator[str]:
    if resource.type == INSTANCE and resource.props.get("associatePublicIpAddress"):
        yield "EC2 would give the instance a public address. Leave associatePublicIpAddress out."
    if resource.type == _SUBNET and resource.props.get("mapPublicIpOnLaunch"):
        yield "every instance in the subnet would get a public address. Set mapPublicIpOnLaunch: false."
    if resource.type == ADDRESS and resource.tag(ROLE_TAG) == Role.TRANSIT:
        yield f"a public address for the transit node {resource.slot}. Transit nodes need none: take it away."


def _attached_addresses(declared: Declared, _: Bounds) -> Iterator[Finding]:
    """Follow each association to its interface by reference, which a preview knows before there is an id."""
    transit = {r.urn: r.slot for r in declared if r.type in (INTERFACE, INSTANCE) and r.tag(ROLE_TAG) == Role.TRANSIT}
    for resource in declared:
        if resource.type != ADDRESS_ASSOCIATION:
            continue
        targets = {u for key in ("networkInterfaceId", "instanceId") for u in resource.refers.get(key, ())}
        for urn in sorted(targets & transit.keys()):
            yield Finding(f"a public address on the transit node {transit[urn]}. Take it away.", resource.urn)


def _forwarding(resource: Resource, _: Bounds) -> Iterator[str]:
    if resource.type not in (INTERFACE, INSTANCE):
        return
    checked = resource.props.get("sourceDestCheck")
    if resource.type == INTERFACE and resource.slot:
        if checked is not False:
            yield (
                f"node {resource.slot} forwards packets, but EC2 would drop them. Set sourceDestCheck: false on its "
                "interface."
            )
    elif checked is False:
        yield (
            "the source/destination check is off where no node forwards. Leave sourceDestCheck out; a node's belongs "
            "on its interface, tagged ecm:slot."
        )


RULES: Final = (
    ResourceRule("instance-metadata", "IMDSv2 only, one hop.", _metadata),
    ResourceRule("encrypted-volumes", "Every volume is encrypted.", _volumes),
    ResourceRule("no-automatic-address", "No automatic public address, none for transit nodes.", _automatic_addresses),
    ResourceRule("source-dest-check", "The source/destination check is off on nodes' interfaces only.", _forwarding),
)
STACK_RULES: Final = (
    StackRule("no-transit-address", "No public address is attached to a transit node.", _attached_addresses),
)
