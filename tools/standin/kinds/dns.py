"""Route 53 zones, records and health checks.

Test double, not the AWS provider.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from tools.standin.kind import (
    Aws,
    Change,
    Kind,
    Made,
    Observed,
    absent,
    at_most_one,
    code,
    exactly_one,
    found,
    given,
    tag_list,
    tag_map,
)
from tools.standin.schema import FLAG, IPV4, SET, Inputs, blocks, text, whole


def _retag(resource: str) -> Any:
    def retag(aws: Aws, id_: str, _state: Observed, put: Mapping[str, str], remove: list[str]) -> None:
        parameters = {"AddTags": tag_list(put)} if put else {}
        if remove:
            parameters["RemoveTagKeys"] = remove  # type: ignore[assignment]
        aws.client("route53").change_tags_for_resource(ResourceType=resource, ResourceId=id_, **parameters)

    return retag


def _tag_new(resource: str) -> Any:
    def tag(aws: Aws, made: Made, inputs: Inputs) -> None:
        if inputs.get("tags"):
            _retag(resource)(aws, made.id, {}, inputs["tags"], [])

    return tag


def _tags_of(aws: Aws, resource: str, id_: str) -> dict[str, str]:
    answer = aws.client("route53").list_tags_for_resource(ResourceType=resource, ResourceId=id_)
    return tag_map(answer["ResourceTagSet"]["Tags"])


def _zone_seen(answer: dict[str, Any]) -> Observed:
    zone = answer["HostedZone"]
    id_ = zone["Id"].split("/")[-1]
    servers = sorted(answer.get("DelegationSet", {}).get("NameServers") or [])
    return {
        "arn": f"arn:aws:route53:::hostedzone/{id_}",
        "zoneId": id_,
        "name": zone["Name"].rstrip("."),
        "comment": zone.get("Config", {}).get("Comment", ""),
        "nameServers": servers,
        "primaryNameServer": servers[0] if servers else "",
    }


def _zone_create(aws: Aws, inputs: Inputs) -> Made:
    answer = aws.client("route53").create_hosted_zone(
        Name=inputs["name"],
        CallerReference=secrets.token_hex(16),
        HostedZoneConfig={"Comment": inputs.get("comment", "Managed by Pulumi")},
    )
    seen = _zone_seen(answer)
    return Made(seen["zoneId"], {**seen, "tags": inputs.get("tags") or {}})


def _zone_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    answer = found(lambda: aws.client("route53").get_hosted_zone(Id=id_), "NoSuchHostedZone")
    return None if answer is None else {**_zone_seen(answer), "tags": _tags_of(aws, "hostedzone", id_)}


def _zone_update(aws: Aws, id_: str, change: Change) -> None:
    if change.touches("comment"):
        aws.client("route53").update_hosted_zone_comment(Id=id_, Comment=change.new.get("comment", ""))


def _zone_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent("NoSuchHostedZone"):
        aws.client("route53").delete_hosted_zone(Id=id_)


ZONE = Kind(
    token="aws:route53/zone:Zone",
    inputs={"name": text(pattern=r"[a-z0-9.-]{1,255}").need().fixed(), "comment": text(pattern=r".{0,256}"), "forceDestroy": FLAG},
    computed=("arn", "comment", "nameServers", "primaryNameServer", "zoneId"),
    create=_zone_create,
    finish=_tag_new("hostedzone"),
    read=_zone_read,
    update=_zone_update,
    delete=_zone_delete,
    retag=_retag("hostedzone"),
    regional=False,
)


def _record_set(inputs: Inputs) -> dict[str, Any]:
    record: dict[str, Any] = {"Name": inputs["name"], "Type": inputs["type"]}
    record |= given(inputs, SetIdentifier="setIdentifier", HealthCheckId="healthCheckId", TTL="ttl")
    record |= given(inputs, MultiValueAnswer="multivalueAnswerRoutingPolicy")
    if inputs.get("records"):
        record["ResourceRecords"] = [{"Value": value} for value in inputs["records"]]
    for alias in inputs.get("aliases") or []:
        record["AliasTarget"] = given(
            alias, HostedZoneId="zoneId", DNSName="name", EvaluateTargetHealth="evaluateTargetHealth"
        )
    for policy in inputs.get("weightedRoutingPolicies") or []:
        record["Weight"] = policy["weight"]
    for policy in inputs.get("failoverRoutingPolicies") or []:
        record["Failover"] = policy["type"]
    return record


def _change(aws: Aws, zone: str, *changes: tuple[str, Inputs]) -> None:
    batch = [{"Action": action, "ResourceRecordSet": _record_set(inputs)} for action, inputs in changes]
    aws.client("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": batch})


def _record_id(inputs: Inputs) -> str:
    parts = (inputs["zoneId"], inputs["name"].rstrip("."), inputs["type"], inputs.get("setIdentifier"))
    return "_".join(part for part in parts if part)


def _record_create(aws: Aws, inputs: Inputs) -> Made:
    _change(aws, inputs["zoneId"], ("UPSERT" if inputs.get("allowOverwrite") else "CREATE", inputs))
    return Made(_record_id(inputs), {"fqdn": inputs["name"].rstrip(".")})


def _record_seen(record: dict[str, Any]) -> Observed:
    seen: Observed = {"fqdn": record["Name"].rstrip("."), "type": record["Type"]}
    seen |= given(record, ttl="TTL", setIdentifier="SetIdentifier", healthCheckId="HealthCheckId")
    if record.get("ResourceRecords"):
        seen["records"] = [item["Value"] for item in record["ResourceRecords"]]
    target = record.get("AliasTarget")
    if target:
        alias = {"name": target["DNSName"].rstrip("."), "zoneId": target["HostedZoneId"]}
        seen["aliases"] = [{**alias, "evaluateTargetHealth": target["EvaluateTargetHealth"]}]
    if "Weight" in record:
        seen["weightedRoutingPolicies"] = [{"weight": record["Weight"]}]
    return seen


def _record_read(aws: Aws, _id: str, state: Observed) -> Observed | None:
    answer = found(
        lambda: aws.client("route53").list_resource_record_sets(
            HostedZoneId=state["zoneId"], StartRecordName=state["name"], StartRecordType=state["type"]
        ),
        "NoSuchHostedZone",
    )
    wanted = (state["name"].rstrip("."), state["type"], state.get("setIdentifier"))
    for record in answer["ResourceRecordSets"] if answer else ():
        if (record["Name"].rstrip("."), record["Type"], record.get("SetIdentifier")) == wanted:
            return {**_record_seen(record), "zoneId": state["zoneId"], "name": state["name"]}
    return None


def _record_update(aws: Aws, _id: str, change: Change) -> None:
    if change.touches("setIdentifier", "type"):
        _change(aws, change.new["zoneId"], ("DELETE", change.old), ("CREATE", change.new))
    else:
        _change(aws, change.new["zoneId"], ("UPSERT", change.new))


def _record_delete(aws: Aws, _id: str, state: Observed) -> None:
    if _record_read(aws, _id, state) is None:
        return
    try:
        _change(aws, state["zoneId"], ("DELETE", state))
    except ClientError as error:
        if code(error) != "NoSuchHostedZone":
            raise


def _policy_named(inputs: Inputs) -> str | None:
    policies = ("weightedRoutingPolicies", "failoverRoutingPolicies", "multivalueAnswerRoutingPolicy")
    routed = any(inputs.get(name) for name in policies)
    if routed and not inputs.get("setIdentifier"):
        return "setIdentifier is needed with a routing policy"
    if inputs.get("records") and inputs.get("ttl") is None:
        return "ttl is needed with records"
    return None


RECORD = Kind(
    token="aws:route53/record:Record",
    inputs={
        "zoneId": text(pattern=r"[A-Z0-9]{1,32}").need().fixed(),
        "name": text().need().fixed(),
        "type": text("A", "AAAA", "CNAME", "TXT", "MX", "SRV", "NS").need(),
        "ttl": whole(0, 2147483647),
        "records": SET,
        "aliases": blocks(name=text().need(), zoneId=text().need(), evaluateTargetHealth=FLAG.need()),
        "setIdentifier": text(pattern=r".{1,128}"),
        "weightedRoutingPolicies": blocks(weight=whole(0, 255).need()),
        "failoverRoutingPolicies": blocks(type=text("PRIMARY", "SECONDARY").need()),
        "multivalueAnswerRoutingPolicy": FLAG,
        "healthCheckId": text(),
        "allowOverwrite": FLAG,
    },
    computed=("fqdn",),
    create=_record_create,
    read=_record_read,
    update=_record_update,
    delete=_record_delete,
    rules=(
        exactly_one("records", "aliases"),
        at_most_one("weightedRoutingPolicies", "failoverRoutingPolicies", "multivalueAnswerRoutingPolicy"),
        _policy_named,
    ),
    regional=False,
)

_CHECK = {
    "type": "Type",
    "ipAddress": "IPAddress",
    "fqdn": "FullyQualifiedDomainName",
    "port": "Port",
    "resourcePath": "ResourcePath",
    "requestInterval": "RequestInterval",
    "failureThreshold": "FailureThreshold",
    "measureLatency": "MeasureLatency",
    "invertHealthcheck": "Inverted",
    "disabled": "Disabled",
    "insufficientDataHealthStatus": "InsufficientDataHealthStatus",
    "childHealthchecks": "ChildHealthChecks",
    "childHealthThreshold": "HealthThreshold",
    "searchString": "SearchString",
}
_CHECK_FIXED = ("type", "requestInterval", "measureLatency")


def _check_config(inputs: Inputs, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    config = {key: inputs[name] for name, key in _CHECK.items() if name not in without and inputs.get(name) is not None}
    if inputs.get("cloudwatchAlarmName"):
        config["AlarmIdentifier"] = {"Name": inputs["cloudwatchAlarmName"], "Region": inputs["cloudwatchAlarmRegion"]}
    return config


def _check_create(aws: Aws, inputs: Inputs) -> Made:
    check = aws.client("route53").create_health_check(
        CallerReference=secrets.token_hex(16), HealthCheckConfig=_check_config(inputs)
    )["HealthCheck"]
    seen = {"arn": f"arn:aws:route53:::healthcheck/{check['Id']}", "tags": inputs.get("tags") or {}}
    return Made(check["Id"], seen)


def _check_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    answer = found(lambda: aws.client("route53").get_health_check(HealthCheckId=id_), "NoSuchHealthCheck")
    if answer is None:
        return None
    config = answer["HealthCheck"]["HealthCheckConfig"]
    seen = {name: config[key] for name, key in _CHECK.items() if config.get(key) not in (None, [], "")}
    alarm = config.get("AlarmIdentifier") or {}
    if alarm.get("Name"):
        seen |= {"cloudwatchAlarmName": alarm["Name"], "cloudwatchAlarmRegion": alarm["Region"]}
    arn = f"arn:aws:route53:::healthcheck/{id_}"
    return {**seen, "arn": arn, "tags": _tags_of(aws, "healthcheck", id_)}


def _check_update(aws: Aws, id_: str, change: Change) -> None:
    config = _check_config(change.new, without=_CHECK_FIXED)
    aws.client("route53").update_health_check(HealthCheckId=id_, **config)


def _check_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent("NoSuchHealthCheck"):
        aws.client("route53").delete_health_check(HealthCheckId=id_)


def _check_fits(inputs: Inputs) -> str | None:
    kind = inputs.get("type")
    needs = {
        "CLOUDWATCH_METRIC": ("cloudwatchAlarmName", "cloudwatchAlarmRegion"),
        "CALCULATED": ("childHealthchecks", "childHealthThreshold"),
    }
    for owner, names in needs.items():
        for name in names:
            if (inputs.get(name) is None) == (kind == owner):
                return f"{name} is {'needed with' if kind == owner else 'only for'} type {owner}"
    if kind in ("HTTP", "HTTPS", "TCP") and not (inputs.get("ipAddress") or inputs.get("fqdn")):
        return "ipAddress or fqdn is needed"
    return None


HEALTH_CHECK = Kind(
    token="aws:route53/healthCheck:HealthCheck",
    inputs={
        "type": text("HTTP", "HTTPS", "TCP", "CALCULATED", "CLOUDWATCH_METRIC").need().fixed(),
        "ipAddress": text(pattern=IPV4),
        "fqdn": text(),
        "port": whole(1, 65535),
        "resourcePath": text(),
        "searchString": text(),
        "requestInterval": whole(10, 30).fixed(),
        "failureThreshold": whole(1, 10),
        "measureLatency": FLAG.fixed(),
        "invertHealthcheck": FLAG,
        "disabled": FLAG,
        "childHealthchecks": SET,
        "childHealthThreshold": whole(0, 256),
        "cloudwatchAlarmName": text(),
        "cloudwatchAlarmRegion": text(),
        "insufficientDataHealthStatus": text("Healthy", "Unhealthy", "LastKnownStatus"),
    },
    computed=("arn",),
    create=_check_create,
    finish=_tag_new("healthcheck"),
    read=_check_read,
    update=_check_update,
    delete=_check_delete,
    retag=_retag("healthcheck"),
    rules=(_check_fits,),
    regional=False,
)

KINDS = (ZONE, RECORD, HEALTH_CHECK)
