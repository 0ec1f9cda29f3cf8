"""Route 53 health checks.

Test double, not the AWS provider.
"""

from __future__ import annotations

import secrets
from typing import Any

from tools.standin.kind import (
    Aws,
    Change,
    Kind,
    Made,
    Observed,
    absent,
    found,
)
from tools.standin.kinds.route53 import retagger, tag_new, tags_of
from tools.standin.schema import FLAG, IPV4, SET, Inputs, text, whole

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
    return {**seen, "arn": arn, "tags": tags_of(aws, "healthcheck", id_)}


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
    type_name="aws:route53/healthCheck:HealthCheck",
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
    finish=tag_new("healthcheck"),
    read=_check_read,
    update=_check_update,
    delete=_check_delete,
    retag=retagger("healthcheck"),
    rules=(_check_fits,),
    regional=False,
)

KINDS = (HEALTH_CHECK,)
