"""VPC endpoints and flow logs.

Test double, not the AWS provider.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from tools.standin.kind import (
    Aws,
    Change,
    Kind,
    Made,
    Observed,
    absent,
    found,
    given,
    retag_ec2,
    tag_map,
    tag_spec,
)
from tools.standin.schema import FLAG, JSON, SET, Inputs, aws_id, text, whole


def _endpoint_seen(aws: Aws, endpoint: dict[str, Any]) -> Observed:
    entries = [
        {"dnsName": e.get("DnsName", ""), "hostedZoneId": e.get("HostedZoneId", "")}
        for e in endpoint.get("DnsEntries") or []
    ]
    return {
        "arn": aws.arn("ec2", f"vpc-endpoint/{endpoint['VpcEndpointId']}"),
        "vpcId": endpoint["VpcId"],
        "serviceName": endpoint["ServiceName"],
        "vpcEndpointType": endpoint.get("VpcEndpointType", "Gateway"),
        "state": str(endpoint.get("State", "available")).lower(),
        "ownerId": aws.account,
        "requesterManaged": False,
        "routeTableIds": endpoint.get("RouteTableIds") or [],
        "subnetIds": endpoint.get("SubnetIds") or [],
        "securityGroupIds": [group["GroupId"] for group in endpoint.get("Groups") or []],
        "networkInterfaceIds": endpoint.get("NetworkInterfaceIds") or [],
        "privateDnsEnabled": bool(endpoint.get("PrivateDnsEnabled")),
        "dnsEntries": entries,
        "cidrBlocks": [],
        "prefixListId": _service_list(aws, endpoint),
        "policy": endpoint.get("PolicyDocument", ""),
        "tags": tag_map(endpoint.get("Tags")),
    }


def _service_list(aws: Aws, endpoint: dict[str, Any]) -> str:
    """Return AWS's own prefix list of a gateway endpoint's service."""
    if endpoint.get("VpcEndpointType", "Gateway") != "Gateway":
        return ""
    wanted = [{"Name": "prefix-list-name", "Values": [endpoint["ServiceName"]]}]
    lists = aws.ec2.describe_managed_prefix_lists(Filters=wanted)["PrefixLists"]
    return str(lists[0]["PrefixListId"]) if lists else ""


def _endpoint_create(aws: Aws, inputs: Inputs) -> Made:
    parameters = given(
        inputs,
        VpcEndpointType="vpcEndpointType",
        PolicyDocument="policy",
        RouteTableIds="routeTableIds",
        SubnetIds="subnetIds",
        SecurityGroupIds="securityGroupIds",
        PrivateDnsEnabled="privateDnsEnabled",
    )
    endpoint = aws.ec2.create_vpc_endpoint(
        VpcId=inputs["vpcId"], ServiceName=inputs["serviceName"], **parameters, **tag_spec("vpc-endpoint", inputs)
    )["VpcEndpoint"]
    return Made(endpoint["VpcEndpointId"], _endpoint_seen(aws, endpoint))


def _endpoint_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    answer = found(lambda: aws.ec2.describe_vpc_endpoints(VpcEndpointIds=[id_]), "InvalidVpcEndpointId.NotFound")
    endpoints = [e for e in answer["VpcEndpoints"] if str(e.get("State")).lower() != "deleted"] if answer else []
    return _endpoint_seen(aws, endpoints[0]) if endpoints else None


_ENDPOINT_SETS = {
    "routeTableIds": ("AddRouteTableIds", "RemoveRouteTableIds"),
    "subnetIds": ("AddSubnetIds", "RemoveSubnetIds"),
    "securityGroupIds": ("AddSecurityGroupIds", "RemoveSecurityGroupIds"),
}


def _endpoint_update(aws: Aws, id_: str, change: Change) -> None:
    parameters = given(change.new, PolicyDocument="policy") if change.touches("policy") else {}
    if change.touches("privateDnsEnabled"):
        parameters["PrivateDnsEnabled"] = bool(change.new.get("privateDnsEnabled"))
    for name, (add, remove) in _ENDPOINT_SETS.items():
        before, after = set(change.was(name) or []), set(change.new.get(name) or [])
        parameters |= {
            key: value for key, value in ((add, sorted(after - before)), (remove, sorted(before - after))) if value
        }
    if parameters:
        aws.ec2.modify_vpc_endpoint(VpcEndpointId=id_, **parameters)


def _endpoint_delete(aws: Aws, id_: str, _state: Observed) -> None:
    answer = aws.ec2.delete_vpc_endpoints(VpcEndpointIds=[id_])
    for failed in answer.get("Unsuccessful") or []:
        raise ClientError({"Error": failed["Error"]}, "DeleteVpcEndpoints")


def _endpoint_fits(inputs: Inputs) -> str | None:
    kind = inputs.get("vpcEndpointType") or "Gateway"
    for name in ("subnetIds", "securityGroupIds", "privateDnsEnabled"):
        if kind == "Gateway" and inputs.get(name):
            return f"{name} does not go with vpcEndpointType Gateway"
    if kind == "Interface" and inputs.get("routeTableIds"):
        return "routeTableIds does not go with vpcEndpointType Interface"
    return None


VPC_ENDPOINT = Kind(
    type_name="aws:ec2/vpcEndpoint:VpcEndpoint",
    inputs={
        "vpcId": aws_id("vpc").need().fixed(),
        "serviceName": text(pattern=r"com\.amazonaws(\.[a-z0-9-]+)+").need().fixed(),
        "vpcEndpointType": text("Gateway", "Interface").fixed(),
        "policy": JSON,
        "privateDnsEnabled": FLAG,
        "routeTableIds": SET,
        "subnetIds": SET,
        "securityGroupIds": SET,
    },
    computed=(
        "arn",
        "cidrBlocks",
        "dnsEntries",
        "networkInterfaceIds",
        "ownerId",
        "policy",
        "prefixListId",
        "requesterManaged",
        "routeTableIds",
        "securityGroupIds",
        "state",
        "subnetIds",
    ),
    create=_endpoint_create,
    read=_endpoint_read,
    update=_endpoint_update,
    delete=_endpoint_delete,
    retag=retag_ec2,
    rules=(_endpoint_fits,),
)

# The default format of version 2 records, from the VPC flow log reference.
_FIELDS = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)
_LOG_FORMAT = " ".join(f"${{{name}}}" for name in _FIELDS.split())
_LOGGED = {"vpcId": "VPC", "subnetId": "Subnet", "eniId": "NetworkInterface"}


def _log_create(aws: Aws, inputs: Inputs) -> Made:
    name = next(name for name in _LOGGED if inputs.get(name))
    parameters = given(
        inputs,
        DeliverLogsPermissionArn="iamRoleArn",
        LogDestination="logDestination",
        LogFormat="logFormat",
        MaxAggregationInterval="maxAggregationInterval",
    )
    answer = aws.ec2.create_flow_logs(
        ResourceIds=[inputs[name]],
        ResourceType=_LOGGED[name],
        TrafficType=inputs.get("trafficType", "ALL"),
        LogDestinationType=inputs.get("logDestinationType", "cloud-watch-logs"),
        **parameters,
        **tag_spec("vpc-flow-log", inputs),
    )
    for failed in answer.get("Unsuccessful") or []:
        raise ClientError({"Error": failed["Error"]}, "CreateFlowLogs")
    id_ = answer["FlowLogIds"][0]
    log_format = inputs.get("logFormat", _LOG_FORMAT)
    return Made(id_, {"arn": aws.arn("ec2", f"vpc-flow-log/{id_}"), "logFormat": log_format})


def _log_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    logs = aws.ec2.describe_flow_logs(FlowLogIds=[id_])["FlowLogs"]
    if not logs:
        return None
    log = logs[0]
    seen = given(
        log,
        logDestination="LogDestination",
        logDestinationType="LogDestinationType",
        trafficType="TrafficType",
        maxAggregationInterval="MaxAggregationInterval",
        iamRoleArn="DeliverLogsPermissionArn",
        logFormat="LogFormat",
    )
    return {**seen, "arn": aws.arn("ec2", f"vpc-flow-log/{id_}"), "tags": tag_map(log.get("Tags"))}


def _log_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent("InvalidFlowLogId.NotFound"):
        aws.ec2.delete_flow_logs(FlowLogIds=[id_])


def _log_fits(inputs: Inputs) -> str | None:
    if sum(bool(inputs.get(name)) for name in _LOGGED) != 1:
        return f"exactly one of {', '.join(_LOGGED)} is needed"
    if inputs.get("logDestinationType", "cloud-watch-logs") == "cloud-watch-logs" and not inputs.get("iamRoleArn"):
        return "iamRoleArn is needed to deliver to CloudWatch Logs"
    return None


FLOW_LOG = Kind(
    type_name="aws:ec2/flowLog:FlowLog",
    inputs={
        "vpcId": aws_id("vpc").fixed(),
        "subnetId": aws_id("subnet").fixed(),
        "eniId": aws_id("eni").fixed(),
        "iamRoleArn": text(pattern=r"arn:aws:iam::\d{12}:role/.+").fixed(),
        "logDestination": text(pattern=r"arn:aws:.+").need().fixed(),
        "logDestinationType": text("cloud-watch-logs", "s3").fixed(),
        "logFormat": text().fixed(),
        "maxAggregationInterval": whole(60, 600).fixed(),
        "trafficType": text("ACCEPT", "REJECT", "ALL").fixed(),
    },
    computed=("arn", "logFormat"),
    create=_log_create,
    read=_log_read,
    delete=_log_delete,
    retag=retag_ec2,
    rules=(_log_fits,),
)

KINDS = (VPC_ENDPOINT, FLOW_LOG)
