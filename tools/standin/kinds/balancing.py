"""Network load balancers, target groups, attachments and listeners.

Test double, not the AWS provider. Only what a network load balancer has: no application load balancers.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    tag_list,
    tag_map,
)
from tools.standin.schema import FLAG, IPV4, SET, Inputs, aws_id, block, blocks, text, whole

_NAME = r"(?!internal-)(?!-)[A-Za-z0-9-]{1,32}(?<!-)"
_ARN = r"arn:aws:elasticloadbalancing:[a-z0-9-]+:\d{12}:"


def _retag(aws: Aws, id_: str, state: Observed, put: Mapping[str, str], remove: list[str]) -> None:
    arn = state.get("arn", id_)
    if remove:
        aws.elb.remove_tags(ResourceArns=[arn], TagKeys=remove)
    if put:
        aws.elb.add_tags(ResourceArns=[arn], Tags=tag_list(put))


def _tags(inputs: Inputs) -> dict[str, Any]:
    tags = tag_list(inputs.get("tags"))
    return {"Tags": tags} if tags else {}


def _tags_of(aws: Aws, arn: str) -> dict[str, str]:
    return tag_map(aws.elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"])


def _wire(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _balancer_seen(balancer: dict[str, Any]) -> Observed:
    mappings = [
        {"subnetId": zone["SubnetId"], **given(next(iter(zone.get("LoadBalancerAddresses") or [{}])), allocationId="AllocationId")}
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
        **_tags(inputs),
    )["LoadBalancers"][0]
    seen = {**_balancer_seen(answer), "tags": inputs.get("tags") or {}}
    return Made(answer["LoadBalancerArn"], seen)


_BALANCER_ATTRIBUTES = {
    "enableCrossZoneLoadBalancing": "load_balancing.cross_zone.enabled",
    "enableDeletionProtection": "deletion_protection.enabled",
}


def _balancer_attributes(aws: Aws, id_: str, inputs: Inputs) -> None:
    attributes = [
        {"Key": key, "Value": _wire(inputs[name])}
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
    return {**_balancer_seen(answer["LoadBalancers"][0]), **seen, "tags": _tags_of(aws, id_)}


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
    token="aws:lb/loadBalancer:LoadBalancer",
    inputs={
        "name": text(pattern=_NAME).fixed(),
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
    retag=_retag,
    autoname=Autoname(longest=32),
    rules=(exactly_one("subnets", "subnetMappings"),),
    also_replaces=_balancer_replaces,
)

_HEALTH = {
    "protocol": "HealthCheckProtocol",
    "port": "HealthCheckPort",
    "path": "HealthCheckPath",
    "interval": "HealthCheckIntervalSeconds",
    "timeout": "HealthCheckTimeoutSeconds",
    "healthyThreshold": "HealthyThresholdCount",
    "unhealthyThreshold": "UnhealthyThresholdCount",
    "enabled": "HealthCheckEnabled",
}
_GROUP_ATTRIBUTES = {
    "deregistrationDelay": "deregistration_delay.timeout_seconds",
    "connectionTermination": "deregistration_delay.connection_termination.enabled",
    "preserveClientIp": "preserve_client_ip.enabled",
    "proxyProtocolV2": "proxy_protocol_v2.enabled",
}


def _health_parameters(inputs: Inputs) -> dict[str, Any]:
    check = inputs.get("healthCheck") or {}
    parameters = {parameter: check[name] for name, parameter in _HEALTH.items() if check.get(name) is not None}
    if check.get("matcher"):
        parameters["Matcher"] = {"HttpCode": check["matcher"]}
    return parameters


def _group_seen(group: dict[str, Any]) -> Observed:
    arn = group["TargetGroupArn"]
    health = {name: group[parameter] for name, parameter in _HEALTH.items() if group.get(parameter) is not None}
    if group.get("Matcher", {}).get("HttpCode"):
        health["matcher"] = group["Matcher"]["HttpCode"]
    return {
        **given(group, name="TargetGroupName", port="Port", protocol="Protocol", vpcId="VpcId", targetType="TargetType"),
        "arn": arn,
        "arnSuffix": arn.split(":")[-1],
        "ipAddressType": group.get("IpAddressType", "ipv4"),
        "loadBalancerArns": group.get("LoadBalancerArns") or [],
        "healthCheck": health,
    }


def _group_create(aws: Aws, inputs: Inputs) -> Made:
    answer = aws.elb.create_target_group(
        Name=inputs["name"],
        **given(inputs, Protocol="protocol", Port="port", VpcId="vpcId", TargetType="targetType"),
        **_health_parameters(inputs),
        **_tags(inputs),
    )["TargetGroups"][0]
    return Made(answer["TargetGroupArn"], {**_group_seen(answer), "tags": inputs.get("tags") or {}})


def _group_attributes(aws: Aws, id_: str, inputs: Inputs) -> None:
    values = {key: inputs[name] for name, key in _GROUP_ATTRIBUTES.items() if inputs.get(name) is not None}
    sticky = inputs.get("stickiness")
    if sticky:
        values |= {"stickiness.enabled": sticky.get("enabled", True), "stickiness.type": sticky["type"]}
    attributes = [{"Key": key, "Value": _wire(value)} for key, value in sorted(values.items())]
    if attributes:
        aws.elb.modify_target_group_attributes(TargetGroupArn=id_, Attributes=attributes)


def _group_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    answer = found(lambda: aws.elb.describe_target_groups(TargetGroupArns=[id_]), "TargetGroupNotFound")
    if not answer or not answer["TargetGroups"]:
        return None
    attributes = aws.elb.describe_target_group_attributes(TargetGroupArn=id_)["Attributes"]
    values = {a["Key"]: a["Value"] for a in attributes}
    seen: Observed = {"tags": _tags_of(aws, id_)}
    for name, key in _GROUP_ATTRIBUTES.items():
        if key in values:
            seen[name] = _attribute(name, values[key])
    if "stickiness.enabled" in values:
        seen["stickiness"] = {"enabled": values["stickiness.enabled"] == "true", "type": values.get("stickiness.type")}
    return {**_group_seen(answer["TargetGroups"][0]), **seen}


def _attribute(name: str, value: str) -> Any:
    if name == "deregistrationDelay":
        return int(value)
    # The provider keeps preserveClientIp as a string, because unset is a third state.
    return value if name == "preserveClientIp" else value == "true"


def _group_update(aws: Aws, id_: str, change: Change) -> None:
    if change.touches("healthCheck"):
        aws.elb.modify_target_group(TargetGroupArn=id_, **_health_parameters(change.new))
    if change.touches(*_GROUP_ATTRIBUTES, "stickiness"):
        _group_attributes(aws, id_, change.new)


def _group_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent("TargetGroupNotFound"):
        aws.elb.delete_target_group(TargetGroupArn=id_)


def _health_fits(inputs: Inputs) -> str | None:
    check = inputs.get("healthCheck") or {}
    protocol = check.get("protocol")
    if protocol == "TCP" and (check.get("path") or check.get("matcher")):
        return "healthCheck: path and matcher go with HTTP and HTTPS only"
    timeout, interval = check.get("timeout"), check.get("interval")
    if isinstance(timeout, int) and isinstance(interval, int) and timeout >= interval:
        return f"healthCheck: timeout {timeout} must be smaller than interval {interval}"
    return None


TARGET_GROUP = Kind(
    token="aws:lb/targetGroup:TargetGroup",
    inputs={
        "name": text(pattern=_NAME).fixed(),
        "port": whole(1, 65535).need().fixed(),
        "protocol": text("TCP", "UDP", "TCP_UDP").need().fixed(),
        "targetType": text("instance", "ip").fixed(),
        "vpcId": aws_id("vpc").need().fixed(),
        "deregistrationDelay": whole(0, 3600),
        "connectionTermination": FLAG,
        "preserveClientIp": text("true", "false"),
        "proxyProtocolV2": FLAG,
        "stickiness": block(type=text("source_ip").need(), enabled=FLAG),
        "healthCheck": block(
            enabled=FLAG,
            protocol=text("TCP", "HTTP", "HTTPS"),
            port=text(pattern=r"traffic-port|\d{1,5}"),
            path=text(pattern=r"/.{0,1023}"),
            matcher=text(pattern=r"\d{3}([-,]\d{3})*"),
            interval=whole(5, 300),
            timeout=whole(2, 120),
            healthyThreshold=whole(2, 10),
            unhealthyThreshold=whole(2, 10),
        ),
    },
    computed=("arn", "arnSuffix", "healthCheck", "ipAddressType", "loadBalancerArns"),
    create=_group_create,
    finish=lambda aws, made, inputs: _group_attributes(aws, made.id, inputs),
    read=_group_read,
    update=_group_update,
    delete=_group_delete,
    retag=_retag,
    autoname=Autoname(longest=32),
    rules=(_health_fits,),
)


def _target(inputs: Inputs) -> dict[str, Any]:
    return given(inputs, Id="targetId", Port="port")


def _attachment_create(aws: Aws, inputs: Inputs) -> Made:
    aws.elb.register_targets(TargetGroupArn=inputs["targetGroupArn"], Targets=[_target(inputs)])
    return Made(f"{inputs['targetGroupArn']}-{inputs['targetId']}-{inputs.get('port', '')}", {})


def _attachment_read(aws: Aws, _id: str, state: Observed) -> Observed | None:
    group = state["targetGroupArn"]
    answer = found(lambda: aws.elb.describe_target_health(TargetGroupArn=group), "TargetGroupNotFound")
    for described in answer["TargetHealthDescriptions"] if answer else ():
        target, reason = described["Target"], described["TargetHealth"].get("Reason", "")
        same_port = state.get("port") is None or state["port"] == target.get("Port")
        if target["Id"] == state["targetId"] and same_port and reason != "Target.NotRegistered":
            return {"targetGroupArn": group, "targetId": target["Id"]}
    return None


def _attachment_delete(aws: Aws, _id: str, state: Observed) -> None:
    with absent("TargetGroupNotFound", "InvalidTarget"):
        aws.elb.deregister_targets(TargetGroupArn=state["targetGroupArn"], Targets=[_target(state)])


ATTACHMENT = Kind(
    token="aws:lb/targetGroupAttachment:TargetGroupAttachment",
    inputs={
        "targetGroupArn": text(pattern=_ARN + r"targetgroup/.+").need().fixed(),
        "targetId": text(pattern=rf"i-[0-9a-f]{{8,17}}|{IPV4}").need().fixed(),
        "port": whole(1, 65535).fixed(),
        "availabilityZone": text().fixed(),
    },
    computed=(),
    create=_attachment_create,
    read=_attachment_read,
    delete=_attachment_delete,
)


def _actions(inputs: Inputs) -> list[dict[str, Any]]:
    return [given(a, Type="type", TargetGroupArn="targetGroupArn") for a in inputs["defaultActions"]]


def _listener_create(aws: Aws, inputs: Inputs) -> Made:
    listener = aws.elb.create_listener(
        LoadBalancerArn=inputs["loadBalancerArn"],
        Port=inputs["port"],
        Protocol=inputs["protocol"],
        DefaultActions=_actions(inputs),
        **_tags(inputs),
    )["Listeners"][0]
    return Made(listener["ListenerArn"], {"arn": listener["ListenerArn"], "tags": inputs.get("tags") or {}})


def _listener_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    answer = found(lambda: aws.elb.describe_listeners(ListenerArns=[id_]), "ListenerNotFound", "LoadBalancerNotFound")
    if not answer or not answer["Listeners"]:
        return None
    listener = answer["Listeners"][0]
    actions = [given(a, type="Type", targetGroupArn="TargetGroupArn") for a in listener["DefaultActions"]]
    seen = given(listener, loadBalancerArn="LoadBalancerArn", port="Port", protocol="Protocol")
    return {**seen, "arn": id_, "defaultActions": actions, "tags": _tags_of(aws, id_)}


def _listener_update(aws: Aws, id_: str, change: Change) -> None:
    parameters = given(change.new, Port="port", Protocol="protocol")
    aws.elb.modify_listener(ListenerArn=id_, DefaultActions=_actions(change.new), **parameters)


def _listener_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent("ListenerNotFound", "LoadBalancerNotFound"):
        aws.elb.delete_listener(ListenerArn=id_)


LISTENER = Kind(
    token="aws:lb/listener:Listener",
    inputs={
        "loadBalancerArn": text(pattern=_ARN + r"loadbalancer/net/.+").need().fixed(),
        "port": whole(1, 65535).need(),
        "protocol": text("TCP", "UDP", "TCP_UDP").need(),
        "defaultActions": blocks(
            type=text("forward").need(), targetGroupArn=text(pattern=_ARN + r"targetgroup/.+").need()
        ).need(),
    },
    computed=("arn",),
    create=_listener_create,
    read=_listener_read,
    update=_listener_update,
    delete=_listener_delete,
    retag=_retag,
)

KINDS = (LOAD_BALANCER, TARGET_GROUP, ATTACHMENT, LISTENER)
