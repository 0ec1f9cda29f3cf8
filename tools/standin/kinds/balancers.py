"""Network load balancers and their listeners.

Test double, not the AWS provider. Only what a network load balancer has: no application load balancers.
"""

from __future__ import annotations

from typing import Any

from tools.standin.kind import (
    Autoname,
    Aws,
    Change,
    Kind,
    Made,
    Observed,
    absent,
    exactly_one,
    found,
    given,
)
from tools.standin.kinds.elb import ARN, NAME, new_tags, retag, tags_of, wire
from tools.standin.schema import FLAG, IPV4, SET, Inputs, aws_id, blocks, text, whole


def _balancer_seen(balancer: dict[str, Any]) -> Observed:
    mappings = [
        {
            "subnetId": zone["SubnetId"],
            **given(next(iter(zone.get("LoadBalancerAddresses") or [{}])), allocationId="AllocationId"),
        }
        for zone in balancer.get("AvailabilityZones") or []
    ]
    arn = balancer["LoadBalancerArn"]
    return {
        "arn": arn,
        "arnSuffix": arn.split(":loadbalancer/")[-1],
        "name": balancer["LoadBalancerName"],
        "dnsName": balancer["DNSName"],
        "zoneId": balancer["CanonicalHostedZoneId"],
        "vpcId": balancer["VpcId"],
        "internal": balancer.get("Scheme") == "internal",
        "loadBalancerType": balancer["Type"],
        "ipAddressType": balancer.get("IpAddressType", "ipv4"),
        "subnets": [mapping["subnetId"] for mapping in mappings],
        "subnetMappings": mappings,
        "securityGroups": balancer.get("SecurityGroups") or [],
    }


def _mappings(inputs: Inputs) -> list[dict[str, Any]]:
    return [
        given(m, SubnetId="subnetId", AllocationId="allocationId", PrivateIPv4Address="privateIpv4Address")
        for m in inputs.get("subnetMappings") or []
    ]


def _balancer_create(aws: Aws, inputs: Inputs) -> Made:
    answer = aws.elb.create_load_balancer(
        Name=inputs["name"],
        Type=inputs["loadBalancerType"],
        Scheme="internal" if inputs.get("internal") else "internet-facing",
        **given(inputs, Subnets="subnets", SecurityGroups="securityGroups", IpAddressType="ipAddressType"),
        **({"SubnetMappings": _mappings(inputs)} if inputs.get("subnetMappings") else {}),
        **new_tags(inputs),
    )["LoadBalancers"][0]
    seen = {**_balancer_seen(answer), "tags": inputs.get("tags") or {}}
    return Made(answer["LoadBalancerArn"], seen)


_BALANCER_ATTRIBUTES = {
    "enableCrossZoneLoadBalancing": "load_balancing.cross_zone.enabled",
    "enableDeletionProtection": "deletion_protection.enabled",
}


def _balancer_attributes(aws: Aws, id_: str, inputs: Inputs) -> None:
    attributes = [
        {"Key": key, "Value": wire(inputs[name])}
        for name, key in _BALANCER_ATTRIBUTES.items()
        if inputs.get(name) is not None
    ]
    if attributes:
        aws.elb.modify_load_balancer_attributes(LoadBalancerArn=id_, Attributes=attributes)


def _balancer_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    answer = found(lambda: aws.elb.describe_load_balancers(LoadBalancerArns=[id_]), "LoadBalancerNotFound")
    if not answer or not answer["LoadBalancers"]:
        return None
    attributes = aws.elb.describe_load_balancer_attributes(LoadBalancerArn=id_)["Attributes"]
    values = {a["Key"]: a["Value"] for a in attributes}
    seen = {name: values[key] == "true" for name, key in _BALANCER_ATTRIBUTES.items() if key in values}
    return {**_balancer_seen(answer["LoadBalancers"][0]), **seen, "tags": tags_of(aws, id_)}


def _balancer_update(aws: Aws, id_: str, change: Change) -> None:
    if change.touches(*_BALANCER_ATTRIBUTES):
        _balancer_attributes(aws, id_, change.new)
    if change.touches("subnetMappings"):
        aws.elb.set_subnets(LoadBalancerArn=id_, SubnetMappings=_mappings(change.new))
    if change.touches("securityGroups"):
        aws.elb.set_security_groups(LoadBalancerArn=id_, SecurityGroups=change.new.get("securityGroups") or [])


def _balancer_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent("LoadBalancerNotFound"):
        aws.elb.delete_load_balancer(LoadBalancerArn=id_)


def _balancer_replaces(old: Inputs, new: Inputs) -> frozenset[str]:
    """A network load balancer gains zones in place; it is replaced when it loses or changes one, or its first group."""
    replaced = set()
    if any(mapping not in (new.get("subnetMappings") or []) for mapping in old.get("subnetMappings") or []):
        replaced.add("subnetMappings")
    if bool(old.get("securityGroups")) != bool(new.get("securityGroups")):
        replaced.add("securityGroups")
    return frozenset(replaced)


LOAD_BALANCER = Kind(
    type_name="aws:lb/loadBalancer:LoadBalancer",
    inputs={
        "name": text(pattern=NAME).fixed(),
        "loadBalancerType": text("network").need().fixed(),
        "internal": FLAG.fixed(),
        "ipAddressType": text("ipv4", "dualstack"),
        "subnets": SET.fixed(),
        "subnetMappings": blocks(
            unordered=True,
            subnetId=aws_id("subnet").need(),
            allocationId=text(pattern=r"eipalloc-[0-9a-f]{8,17}"),
            privateIpv4Address=text(pattern=IPV4),
        ),
        "securityGroups": SET,
        "enableCrossZoneLoadBalancing": FLAG,
        "enableDeletionProtection": FLAG,
    },
    computed=("arn", "arnSuffix", "dnsName", "securityGroups", "subnetMappings", "subnets", "vpcId", "zoneId"),
    create=_balancer_create,
    finish=lambda aws, made, inputs: _balancer_attributes(aws, made.id, inputs),
    read=_balancer_read,
    update=_balancer_update,
    delete=_balancer_delete,
    retag=retag,
    autoname=Autoname(longest=32),
    rules=(exactly_one("subnets", "subnetMappings"),),
    also_replaces=_balancer_replaces,
)


def _actions(inputs: Inputs) -> list[dict[str, Any]]:
    return [given(a, Type="type", TargetGroupArn="targetGroupArn") for a in inputs["defaultActions"]]


def _listener_create(aws: Aws, inputs: Inputs) -> Made:
    listener = aws.elb.create_listener(
        LoadBalancerArn=inputs["loadBalancerArn"],
        Port=inputs["port"],
        Protocol=inputs["protocol"],
        DefaultActions=_actions(inputs),
        **new_tags(inputs),
    )["Listeners"][0]
    return Made(listener["ListenerArn"], {"arn": listener["ListenerArn"], "tags": inputs.get("tags") or {}})


def _listener_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    answer = found(lambda: aws.elb.describe_listeners(ListenerArns=[id_]), "ListenerNotFound", "LoadBalancerNotFound")
    if not answer or not answer["Listeners"]:
        return None
    listener = answer["Listeners"][0]
    actions = [given(a, type="Type", targetGroupArn="TargetGroupArn") for a in listener["DefaultActions"]]
    seen = given(listener, loadBalancerArn="LoadBalancerArn", port="Port", protocol="Protocol")
    return {**seen, "arn": id_, "defaultActions": actions, "tags": tags_of(aws, id_)}


def _listener_update(aws: Aws, id_: str, change: Change) -> None:
    parameters = given(change.new, Port="port", Protocol="protocol")
    aws.elb.modify_listener(ListenerArn=id_, DefaultActions=_actions(change.new), **parameters)


def _listener_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent("ListenerNotFound", "LoadBalancerNotFound"):
        aws.elb.delete_listener(ListenerArn=id_)


LISTENER = Kind(
    type_name="aws:lb/listener:Listener",
    inputs={
        "loadBalancerArn": text(pattern=ARN + r"loadbalancer/net/.+").need().fixed(),
        "port": whole(1, 65535).need(),
        "protocol": text("TCP", "UDP", "TCP_UDP").need(),
        "defaultActions": blocks(
            type=text("forward").need(), targetGroupArn=text(pattern=ARN + r"targetgroup/.+").need()
        ).need(),
    },
    computed=("arn",),
    create=_listener_create,
    read=_listener_read,
    update=_listener_update,
    delete=_listener_delete,
    retag=retag,
)

KINDS = (LOAD_BALANCER, LISTENER)
