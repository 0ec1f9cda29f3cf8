"""CloudWatch alarms, dashboards and log groups, and Secrets Manager secrets.

Test double, not the AWS provider.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tools.standin.kind import Autoname, Aws, Change, Kind, Made, Observed, absent, found, given, tag_list, tag_map
from tools.standin.schema import FLAG, MAP, NUMBER, SET, Inputs, text, whole

_ALARM = {
    "alarmDescription": "AlarmDescription",
    "comparisonOperator": "ComparisonOperator",
    "evaluationPeriods": "EvaluationPeriods",
    "datapointsToAlarm": "DatapointsToAlarm",
    "metricName": "MetricName",
    "namespace": "Namespace",
    "period": "Period",
    "statistic": "Statistic",
    "threshold": "Threshold",
    "treatMissingData": "TreatMissingData",
    "unit": "Unit",
    "actionsEnabled": "ActionsEnabled",
    "alarmActions": "AlarmActions",
    "okActions": "OKActions",
}


def _alarm_put(aws: Aws, name: str, inputs: Inputs, *, tags: bool) -> None:
    parameters = {key: inputs[prop] for prop, key in _ALARM.items() if inputs.get(prop) is not None}
    dimensions = inputs.get("dimensions") or {}
    parameters["Dimensions"] = [{"Name": key, "Value": value} for key, value in sorted(dimensions.items())]
    if tags and inputs.get("tags"):
        parameters["Tags"] = tag_list(inputs["tags"])
    aws.client("cloudwatch").put_metric_alarm(AlarmName=name, **parameters)


def _alarm_create(aws: Aws, inputs: Inputs) -> Made:
    _alarm_put(aws, inputs["name"], inputs, tags=True)
    return Made(inputs["name"], {"arn": aws.arn("cloudwatch", f"alarm:{inputs['name']}")})


def _alarm_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    alarms = aws.client("cloudwatch").describe_alarms(AlarmNames=[id_])["MetricAlarms"]
    if not alarms:
        return None
    alarm = alarms[0]
    seen = {prop: alarm[key] for prop, key in _ALARM.items() if key in alarm}
    seen["dimensions"] = {d["Name"]: d["Value"] for d in alarm.get("Dimensions") or []}
    tags = aws.client("cloudwatch").list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]
    return {**seen, "arn": alarm["AlarmArn"], "name": alarm["AlarmName"], "tags": tag_map(tags)}


def _alarm_retag(aws: Aws, _id: str, state: Observed, put: Mapping[str, str], remove: list[str]) -> None:
    if remove:
        aws.client("cloudwatch").untag_resource(ResourceARN=state["arn"], TagKeys=remove)
    if put:
        aws.client("cloudwatch").tag_resource(ResourceARN=state["arn"], Tags=tag_list(put))


def _alarm_fits(inputs: Inputs) -> str | None:
    points, periods = inputs.get("datapointsToAlarm"), inputs.get("evaluationPeriods")
    if isinstance(points, int) and isinstance(periods, int) and points > periods:
        return f"datapointsToAlarm {points} must not exceed evaluationPeriods {periods}"
    period = inputs.get("period")
    if isinstance(period, int) and period not in (10, 30) and period % 60:
        return f"period: {period} s is neither 10, 30 nor a multiple of 60"
    return None


_OPERATORS = (
    "GreaterThanOrEqualToThreshold",
    "GreaterThanThreshold",
    "LessThanThreshold",
    "LessThanOrEqualToThreshold",
)

METRIC_ALARM = Kind(
    type_name="aws:cloudwatch/metricAlarm:MetricAlarm",
    inputs={
        "name": text(pattern=r".{1,255}").fixed(),
        "alarmDescription": text(pattern=r"(?s).{0,1024}"),
        "comparisonOperator": text(*_OPERATORS).need(),
        "evaluationPeriods": whole(1).need(),
        "datapointsToAlarm": whole(1),
        "metricName": text().need(),
        "namespace": text(pattern=r"[^:].{0,254}").need(),
        "period": whole(10).need(),
        "statistic": text("SampleCount", "Average", "Sum", "Minimum", "Maximum").need(),
        "threshold": NUMBER.need(),
        "treatMissingData": text("missing", "ignore", "breaching", "notBreaching"),
        "unit": text(),
        "dimensions": MAP,
        "actionsEnabled": FLAG,
        "alarmActions": SET,
        "okActions": SET,
    },
    computed=("arn",),
    create=_alarm_create,
    read=_alarm_read,
    update=lambda aws, id_, change: _alarm_put(aws, id_, change.new, tags=False),
    delete=lambda aws, id_, _state: aws.client("cloudwatch").delete_alarms(AlarmNames=[id_]),
    retag=_alarm_retag,
    autoname=Autoname(),
    rules=(_alarm_fits,),
)


def _dashboard_put(aws: Aws, inputs: Inputs) -> None:
    aws.client("cloudwatch").put_dashboard(DashboardName=inputs["dashboardName"], DashboardBody=inputs["dashboardBody"])


def _dashboard_create(aws: Aws, inputs: Inputs) -> Made:
    """PutDashboard knows no difference between a new one and one that stands."""
    _dashboard_put(aws, inputs)
    name = inputs["dashboardName"]
    return Made(name, {"dashboardArn": aws.arn("cloudwatch", f"dashboard/{name}")})


def _dashboard_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    held = found(lambda: aws.client("cloudwatch").get_dashboard(DashboardName=id_), "ResourceNotFound")
    if held is None:
        return None
    return {
        "dashboardName": id_,
        "dashboardBody": held["DashboardBody"],
        "dashboardArn": aws.arn("cloudwatch", f"dashboard/{id_}"),
    }


def _dashboard_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent("ResourceNotFound", "DashboardNotFoundError"):
        aws.client("cloudwatch").delete_dashboards(DashboardNames=[id_])


def _dashboard_fits(inputs: Inputs) -> str | None:
    """Refuse what PutDashboard refuses: a body that is no JSON object of widgets with a type and a place."""
    body = inputs.get("dashboardBody")
    if not isinstance(body, str):
        return None
    try:
        widgets = json.loads(body)["widgets"]
        places = [(w["type"], w["properties"], w["x"] + w["width"], w["y"] + w["height"]) for w in widgets]
    except (ValueError, KeyError, TypeError) as error:
        return f"dashboardBody: InvalidParameterInput: {error}"
    if len(widgets) > _WIDGETS:
        return f"dashboardBody: {len(widgets)} widgets, more than {_WIDGETS}"
    wrong = [kind for kind, _, right, _ in places if right > _GRID or kind not in ("metric", "alarm", "text", "log")]
    return f"dashboardBody: InvalidParameterInput: widgets {wrong}" if wrong else None


_WIDGETS = 500
_GRID = 24

DASHBOARD = Kind(
    type_name="aws:cloudwatch/dashboard:Dashboard",
    inputs={"dashboardName": text(pattern=r"[A-Za-z0-9_-]{1,255}").need().fixed(), "dashboardBody": text().need()},
    computed=("dashboardArn",),
    create=_dashboard_create,
    read=_dashboard_read,
    update=lambda aws, _id, change: _dashboard_put(aws, change.new),
    delete=_dashboard_delete,
    rules=(_dashboard_fits,),
)

# CloudWatch Logs keeps log events for one of these numbers of days; 0 is for ever.
_RETENTION = (
    0,
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
)


def _logs_create(aws: Aws, inputs: Inputs) -> Made:
    tags = {"tags": inputs["tags"]} if inputs.get("tags") else {}
    aws.client("logs").create_log_group(logGroupName=inputs["name"], **tags)
    return Made(inputs["name"], {"arn": aws.arn("logs", f"log-group:{inputs['name']}")})


def _logs_keep(aws: Aws, id_: str, inputs: Inputs) -> None:
    days = inputs.get("retentionInDays") or 0
    if days:
        aws.client("logs").put_retention_policy(logGroupName=id_, retentionInDays=days)


def _logs_update(aws: Aws, id_: str, change: Change) -> None:
    if change.touches("retentionInDays") and not change.new.get("retentionInDays"):
        aws.client("logs").delete_retention_policy(logGroupName=id_)
    else:
        _logs_keep(aws, id_, change.new)


def _logs_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    groups = aws.client("logs").describe_log_groups(logGroupNamePrefix=id_)["logGroups"]
    group = next((g for g in groups if g["logGroupName"] == id_), None)
    if group is None:
        return None
    arn = aws.arn("logs", f"log-group:{id_}")
    tags = aws.client("logs").list_tags_for_resource(resourceArn=arn)["tags"]
    return {"arn": arn, "name": id_, "retentionInDays": group.get("retentionInDays", 0), "tags": tags}


def _logs_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent("ResourceNotFoundException"):
        aws.client("logs").delete_log_group(logGroupName=id_)


def _logs_retag(aws: Aws, _id: str, state: Observed, put: Mapping[str, str], remove: list[str]) -> None:
    if remove:
        aws.client("logs").untag_resource(resourceArn=state["arn"], tagKeys=remove)
    if put:
        aws.client("logs").tag_resource(resourceArn=state["arn"], tags=dict(put))


def _kept(inputs: Inputs) -> str | None:
    days = inputs.get("retentionInDays")
    if isinstance(days, int) and days not in _RETENTION:
        return f"retentionInDays: {days} is not one of {', '.join(map(str, _RETENTION))}"
    return None


LOG_GROUP = Kind(
    type_name="aws:cloudwatch/logGroup:LogGroup",
    inputs={"name": text(pattern=r"[\w./#-]{1,512}").fixed(), "retentionInDays": whole(0), "skipDestroy": FLAG},
    computed=("arn",),
    create=_logs_create,
    finish=lambda aws, made, inputs: _logs_keep(aws, made.id, inputs),
    read=_logs_read,
    update=_logs_update,
    delete=_logs_delete,
    retag=_logs_retag,
    autoname=Autoname(),
    rules=(_kept,),
)


def _secret_create(aws: Aws, inputs: Inputs) -> Made:
    tags = {"Tags": tag_list(inputs["tags"])} if inputs.get("tags") else {}
    secret = aws.client("secretsmanager").create_secret(
        Name=inputs["name"], **given(inputs, Description="description", KmsKeyId="kmsKeyId"), **tags
    )
    return Made(secret["ARN"], {"arn": secret["ARN"]})


def _secret_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    secret: dict[str, Any] | None = found(
        lambda: aws.client("secretsmanager").describe_secret(SecretId=id_), "ResourceNotFoundException"
    )
    if secret is None or secret.get("DeletedDate"):
        return None
    seen = given(secret, name="Name", description="Description", kmsKeyId="KmsKeyId")
    return {**seen, "arn": secret["ARN"], "tags": tag_map(secret.get("Tags"))}


def _secret_update(aws: Aws, id_: str, change: Change) -> None:
    if change.touches("description", "kmsKeyId"):
        parameters = given(change.new, KmsKeyId="kmsKeyId")
        words = change.new.get("description", "")
        aws.client("secretsmanager").update_secret(SecretId=id_, Description=words, **parameters)


def _secret_delete(aws: Aws, id_: str, state: Observed) -> None:
    days = state.get("recoveryWindowInDays", 30)
    how = {"ForceDeleteWithoutRecovery": True} if days == 0 else {"RecoveryWindowInDays": days}
    with absent("ResourceNotFoundException"):
        aws.client("secretsmanager").delete_secret(SecretId=id_, **how)


def _secret_retag(aws: Aws, id_: str, _state: Observed, put: Mapping[str, str], remove: list[str]) -> None:
    if remove:
        aws.client("secretsmanager").untag_resource(SecretId=id_, TagKeys=remove)
    if put:
        aws.client("secretsmanager").tag_resource(SecretId=id_, Tags=tag_list(put))


def _window(inputs: Inputs) -> str | None:
    days = inputs.get("recoveryWindowInDays")
    return f"recoveryWindowInDays: {days} is neither 0 nor 7 to 30" if isinstance(days, int) and 0 < days < 7 else None


SECRET = Kind(
    type_name="aws:secretsmanager/secret:Secret",
    inputs={
        "name": text(pattern=r"[A-Za-z0-9/_+=.@-]{1,512}").fixed(),
        "description": text(),
        "kmsKeyId": text(),
        "recoveryWindowInDays": whole(0, 30),
    },
    computed=("arn",),
    create=_secret_create,
    read=_secret_read,
    update=_secret_update,
    delete=_secret_delete,
    retag=_secret_retag,
    autoname=Autoname(),
    rules=(_window,),
)

KINDS = (METRIC_ALARM, DASHBOARD, LOG_GROUP, SECRET)
