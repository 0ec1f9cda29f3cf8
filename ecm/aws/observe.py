"""A snapshot of what runs, from read calls only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.exceptions import ClientError

from ecm.aws.instances import observe_nodes, since_when
from ecm.aws.outputs import RecordOutput, StackOutputs, read_outputs
from ecm.aws.reports import Heard, read_reports, with_reports
from ecm.aws.session import client_config, open_session, translated
from ecm.model.base import UtcTime, digest_bytes
from ecm.model.contract import public_key_key, report_key
from ecm.model.observed import Observed, ObservedConfig, ObservedNode, ObservedRecord, ObservedRoute, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_route53.client import Route53Client
    from mypy_boto3_s3.client import S3Client

_READERS: Final = 8
"""Objects read at a time; within the ten connections that a client keeps open."""
_TARGETS: Final = (
    "NetworkInterfaceId",
    "GatewayId",
    "NatGatewayId",
    "TransitGatewayId",
    "VpcPeeringConnectionId",
    "InstanceId",
)
"""What a route may lead to, in DescribeRouteTables' names; an interface before the instance it is attached to."""


def observe(
    outputs: Mapping[str, Any],
    *,
    stack: str,
    taken_at: UtcTime,
    unavailable: Iterable[Unavailable] = (),
    previous: Observed | None = None,
) -> Observed:
    """Return what runs of `stack`, by its Pulumi `outputs` (at least `region`) and by its tags.

    `previous` is the last snapshot: it knows since when a node has been unhealthy. Health is EC2's own checks, what the
    node's agent says (`with_reports`) and, for ingress nodes, the load balancers'. AwsError when AWS cannot be asked.
    """
    where = read_outputs(outputs)
    session = open_session(where.region)
    keys = _published(session, where, "keys/")
    found, interfaces = observe_nodes(session, where, stack)
    joined = (
        node.model_copy(update={"key_published_at": keys.get(public_key_key(node.slot, node.generation))})
        for node in found
    )
    nodes = with_reports(joined, _heard(session, where, found), taken_at)
    return Observed(
        stack=stack,
        taken_at=taken_at,
        applied=where.plan_digest,
        nodes=tuple(since_when(node, taken_at, previous) for node in nodes),
        routes=_routes(session, where),
        records=_records(session, where),
        configs=_configs(session, where),
        unavailable=tuple(sorted(unavailable, key=lambda m: (m.zone, m.shape))),
        interfaces=interfaces,
    )


def _routes(session: boto3.Session, outputs: StackOutputs) -> tuple[ObservedRoute, ...]:
    tables = sorted({r.route_table_id for r in outputs.routes.values()})
    if not tables:
        return ()
    ec2 = session.client("ec2", config=client_config())
    with translated("read the stack's routes"):
        by_id = [{"Name": "route-table-id", "Values": tables}]
        pages: Any = ec2.get_paginator("describe_route_tables").paginate(Filters=by_id)  # type: ignore[arg-type]
        found = {
            (table["RouteTableId"], route["DestinationCidrBlock"]): route
            for page in pages
            for table in page["RouteTables"]
            for route in table["Routes"]
            if "DestinationCidrBlock" in route
        }
    return tuple(
        _route(name, wanted.route_table_id, wanted.destination, found)
        for name, wanted in sorted(outputs.routes.items())
    )


def _route(name: str, table: str, destination: str, found: Mapping[tuple[str, str], Any]) -> ObservedRoute:
    route = found.get((table, destination))
    target = next((route[key] for key in _TARGETS if route.get(key)), None) if route else None
    state = route.get("State", "active") if route else "missing"
    return ObservedRoute(name=name, route_table=table, destination=destination, target=target, state=state)


def _records(session: boto3.Session, outputs: StackOutputs) -> tuple[ObservedRecord, ...]:
    if not outputs.records:
        return ()
    client = session.client("route53", config=client_config())
    with translated("read the stack's DNS records"):
        found = [_record(client, name, record) for name, record in sorted(outputs.records.items())]
    return tuple(record for record in found if record is not None)


def _record(client: Route53Client, name: str, wanted: RecordOutput) -> ObservedRecord | None:
    try:
        answer: Any = client.list_resource_record_sets(
            HostedZoneId=wanted.zone_id,
            StartRecordName=name,
            StartRecordType=wanted.type,  # type: ignore[arg-type]
            MaxItems="1",
        )
    except client.exceptions.NoSuchHostedZone:
        return None
    for record in answer["ResourceRecordSets"]:
        if record["Name"].rstrip(".") == name and record["Type"] == wanted.type:
            alias = record.get("AliasTarget")
            plain = [r["Value"] for r in record.get("ResourceRecords", ())]
            values = [alias["DNSName"].rstrip(".")] if alias else plain
            return ObservedRecord(name=name, type=wanted.type, values=tuple(sorted(values)))
    return None


def _configs(session: boto3.Session, outputs: StackOutputs) -> tuple[ObservedConfig, ...]:
    """Hash the bytes of each object: the checksum that S3 keeps depends on who wrote it."""
    bucket, keys = outputs.config_bucket, sorted(outputs.configs)
    if bucket is None or not keys:
        return ()
    client = session.client("s3", config=client_config())
    with translated(f"read the configuration objects in {bucket}"), ThreadPoolExecutor(_READERS) as readers:
        return tuple(readers.map(lambda key: _config(client, bucket, key), keys))


def _heard(session: boto3.Session, outputs: StackOutputs, nodes: Iterable[ObservedNode]) -> dict[str, Heard]:
    """Return what the agents of `nodes` have written; reports of nodes that are gone are not read."""
    written = _published(session, outputs, "reports/")
    wanted = sorted(written.keys() & {report_key(n.slot, n.generation) for n in nodes})
    if outputs.config_bucket is None or not wanted:
        return {}
    client = session.client("s3", config=client_config())
    with translated(f"read the agents' reports in {outputs.config_bucket}"):
        return read_reports(client, outputs.config_bucket, {key: written[key] for key in wanted})


def _published(session: boto3.Session, outputs: StackOutputs, prefix: str) -> dict[str, datetime]:
    """Return when each object below `prefix` was written: agents write public keys and reports."""
    bucket = outputs.config_bucket
    if bucket is None:
        return {}
    client = session.client("s3", config=client_config())
    with translated(f"list the objects below {prefix} in {bucket}"):
        try:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            return {item["Key"]: item["LastModified"] for page in pages for item in page.get("Contents", ())}
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "NoSuchBucket":
                return {}
            raise


def _config(client: S3Client, bucket: str, key: str) -> ObservedConfig:
    try:
        body = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "NoSuchBucket"):
            return ObservedConfig(key=key, digest=None)
        raise
    return ObservedConfig(key=key, digest=digest_bytes(body))
