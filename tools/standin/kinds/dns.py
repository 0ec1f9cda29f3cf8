"""Route 53 zones and records.

Test double, not the AWS provider.
"""

from __future__ import annotations

import secrets
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
)
from tools.standin.kinds.route53 import retagger, tag_new, tags_of
from tools.standin.schema import FLAG, SET, Inputs, blocks, text, whole


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
    return None if answer is None else {**_zone_seen(answer), "tags": tags_of(aws, "hostedzone", id_)}


def _zone_update(aws: Aws, id_: str, change: Change) -> None:
    if change.touches("comment"):
        aws.client("route53").update_hosted_zone_comment(Id=id_, Comment=change.new.get("comment", ""))


def _zone_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent("NoSuchHostedZone"):
        aws.client("route53").delete_hosted_zone(Id=id_)


ZONE = Kind(
    type_name="aws:route53/zone:Zone",
    inputs={
        "name": text(pattern=r"[a-z0-9.-]{1,255}").need().fixed(),
        "comment": text(pattern=r".{0,256}"),
        "forceDestroy": FLAG,
    },
    computed=("arn", "comment", "nameServers", "primaryNameServer", "zoneId"),
    create=_zone_create,
    finish=tag_new("hostedzone"),
    read=_zone_read,
    update=_zone_update,
    delete=_zone_delete,
    retag=retagger("hostedzone"),
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
    type_name="aws:route53/record:Record",
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

KINDS = (ZONE, RECORD)
