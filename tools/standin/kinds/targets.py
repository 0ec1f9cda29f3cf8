"""Target groups of network load balancers, and the targets in them.

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
    found,
    given,
)
from tools.standin.kinds.elb import ARN, NAME, new_tags, retag, tags_of, wire
from tools.standin.schema import FLAG, IPV4, Inputs, aws_id, block, text, whole
from tools.standin.wire import Value

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
        **given(
            group, name="TargetGroupName", port="Port", protocol="Protocol", vpcId="VpcId", targetType="TargetType"
        ),
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
        **new_tags(inputs),
    )["TargetGroups"][0]
    return Made(answer["TargetGroupArn"], {**_group_seen(answer), "tags": inputs.get("tags") or {}})


def _group_attributes(aws: Aws, id_: str, inputs: Inputs) -> None:
    values = {key: inputs[name] for name, key in _GROUP_ATTRIBUTES.items() if inputs.get(name) is not None}
    sticky = inputs.get("stickiness")
    if sticky:
        values |= {"stickiness.enabled": sticky.get("enabled", True), "stickiness.type": sticky["type"]}
    attributes = [{"Key": key, "Value": wire(value)} for key, value in sorted(values.items())]
    if attributes:
        aws.elb.modify_target_group_attributes(TargetGroupArn=id_, Attributes=attributes)


def _group_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    answer = found(lambda: aws.elb.describe_target_groups(TargetGroupArns=[id_]), "TargetGroupNotFound")
    if not answer or not answer["TargetGroups"]:
        return None
    attributes = aws.elb.describe_target_group_attributes(TargetGroupArn=id_)["Attributes"]
    values = {a["Key"]: a["Value"] for a in attributes}
    seen: Observed = {"tags": tags_of(aws, id_)}
    for name, key in _GROUP_ATTRIBUTES.items():
        if key in values:
            seen[name] = _attribute(name, values[key])
    if "stickiness.enabled" in values:
        seen["stickiness"] = {"enabled": values["stickiness.enabled"] == "true", "type": values.get("stickiness.type")}
    return {**_group_seen(answer["TargetGroups"][0]), **seen}


def _attribute(name: str, value: str) -> Value:
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
    type_name="aws:lb/targetGroup:TargetGroup",
    inputs={
        "name": text(pattern=NAME).fixed(),
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
    retag=retag,
    autoname=Autoname(longest=32),
    rules=(_health_fits,),
)


_LEFT = ("Target.NotRegistered", "Target.DeregistrationInProgress")
"""Reasons of a target that is registered no longer."""


def _target(inputs: Inputs) -> dict[str, Any]:
    return given(inputs, Id="targetId", Port="port")


def _attachment_create(aws: Aws, inputs: Inputs) -> Made:
    aws.elb.register_targets(TargetGroupArn=inputs["targetGroupArn"], Targets=[_target(inputs)])
    return Made(f"{inputs['targetGroupArn']}-{inputs['targetId']}-{inputs.get('port', '')}", {})


def _attachment_read(aws: Aws, _id: str, state: Observed) -> Observed | None:
    group = state["targetGroupArn"]
    answer = found(
        lambda: aws.elb.describe_target_health(TargetGroupArn=group, Targets=[_target(state)]),
        "TargetGroupNotFound",
        "InvalidTarget",
    )
    described = answer["TargetHealthDescriptions"][0] if answer else {"TargetHealth": {"Reason": _LEFT[0]}}
    if described["TargetHealth"].get("Reason") in _LEFT:
        return None
    return {"targetGroupArn": group, "targetId": described["Target"]["Id"]}


def _attachment_delete(aws: Aws, _id: str, state: Observed) -> None:
    with absent("TargetGroupNotFound", "InvalidTarget"):
        aws.elb.deregister_targets(TargetGroupArn=state["targetGroupArn"], Targets=[_target(state)])


ATTACHMENT = Kind(
    type_name="aws:lb/targetGroupAttachment:TargetGroupAttachment",
    inputs={
        "targetGroupArn": text(pattern=ARN + r"targetgroup/.+").need().fixed(),
        "targetId": text(pattern=rf"i-[0-9a-f]{{8,17}}|{IPV4}").need().fixed(),
        "port": whole(1, 65535).fixed(),
        "availabilityZone": text().fixed(),
    },
    computed=(),
    create=_attachment_create,
    read=_attachment_read,
    delete=_attachment_delete,
)


KINDS = (TARGET_GROUP, ATTACHMENT)
