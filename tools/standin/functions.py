"""Functions (invokes) that the stand-in answers, and the errors that mean AWS said no.

Test double, not the AWS provider.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tools.standin.kind import Aws, tag_map

AWS_ERRORS = (ClientError, BotoCoreError)


def _caller(aws: Aws, _args: dict[str, Any]) -> dict[str, Any]:
    caller = aws.client("sts").get_caller_identity()
    names = {"accountId": caller["Account"], "arn": caller["Arn"], "userId": caller["UserId"]}
    return {**names, "id": caller["Account"]}


def _region(aws: Aws, _args: dict[str, Any]) -> dict[str, Any]:
    endpoint = f"ec2.{aws.region}.amazonaws.com"
    return {"id": aws.region, "name": aws.region, "region": aws.region, "endpoint": endpoint, "description": aws.region}


def _partition(_aws: Aws, _args: dict[str, Any]) -> dict[str, Any]:
    suffix = {"dnsSuffix": "amazonaws.com", "reverseDnsPrefix": "com.amazonaws"}
    return {"id": "aws", "partition": "aws", **suffix}


def _zones(aws: Aws, _args: dict[str, Any]) -> dict[str, Any]:
    zones = aws.ec2.describe_availability_zones()["AvailabilityZones"]
    names, ids = [z["ZoneName"] for z in zones], [z["ZoneId"] for z in zones]
    return {"id": aws.region, "region": aws.region, "names": names, "zoneIds": ids, "groupNames": [aws.region]}


def _vpc(aws: Aws, args: dict[str, Any]) -> dict[str, Any]:
    vpc = aws.ec2.describe_vpcs(VpcIds=[args["id"]])["Vpcs"][0]
    blocks = [
        {
            "associationId": item["AssociationId"],
            "cidrBlock": item["CidrBlock"],
            "state": item["CidrBlockState"]["State"],
        }
        for item in vpc.get("CidrBlockAssociationSet") or []
    ]
    return {
        "id": vpc["VpcId"],
        "arn": aws.arn("ec2", f"vpc/{vpc['VpcId']}"),
        "cidrBlock": vpc["CidrBlock"],
        "cidrBlockAssociations": blocks,
        "default": bool(vpc.get("IsDefault")),
        "dhcpOptionsId": vpc.get("DhcpOptionsId", ""),
        "instanceTenancy": vpc["InstanceTenancy"],
        "ownerId": aws.account,
        "region": aws.region,
        "state": vpc["State"],
        "tags": tag_map(vpc.get("Tags")),
    }


FUNCTIONS: dict[str, tuple[frozenset[str], Callable[[Aws, dict[str, Any]], dict[str, Any]]]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": (frozenset(), _caller),
    "aws:index/getRegion:getRegion": (frozenset({"region"}), _region),
    "aws:index/getPartition:getPartition": (frozenset(), _partition),
    "aws:index/getAvailabilityZones:getAvailabilityZones": (frozenset({"state"}), _zones),
    "aws:ec2/getVpc:getVpc": (frozenset({"id"}), _vpc),
}


def call(aws: Aws, token: str, args: dict[str, Any]) -> dict[str, Any] | None:
    """Return what a function returns, or None when the stand-in does not serve it or one of its arguments."""
    accepted, function = FUNCTIONS.get(token, (frozenset[str](), None))
    if function is None or not args.keys() <= accepted:
        return None
    return function(aws, args)
