"""An existing VPC as AWS describes it, from read calls only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any, Final

from ecm.aws.session import AwsError, client_config, open_session, translated
from ecm.model.adopted import Adopted, AdoptedGroup, AdoptedSubnet, AdoptedVpc, Existing

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

_ZONE: Final = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9][a-z]")
"""A whole zone; local and wavelength zones have longer names and no place for ECM's nodes."""
_GONE: Final = ("terminated", "shutting-down")
Found = Mapping[str, Any]


def read_existing(region: str, vpc_id: str) -> Existing:
    """Return the VPC `vpc_id`; AwsError when it cannot be read or has no internet gateway."""
    client = open_session(region).client("ec2", config=client_config())
    with translated(f"read {vpc_id} in {region}"):
        vpc: Found = client.describe_vpcs(VpcIds=[vpc_id])["Vpcs"][0]
        subnets = _all(client, "describe_subnets", "Subnets", "vpc-id", vpc_id)
        gateways = _all(client, "describe_internet_gateways", "InternetGateways", "attachment.vpc-id", vpc_id)
        tables = _all(client, "describe_route_tables", "RouteTables", "vpc-id", vpc_id)
        groups = _all(client, "describe_security_groups", "SecurityGroups", "vpc-id", vpc_id)
        adopted = Adopted(
            vpc=_vpc(client, vpc),
            subnets=tuple(_subnet(s) for s in subnets if _fits(s)),
            route_tables=tuple(t["RouteTableId"] for t in tables),
            security_groups=tuple(
                AdoptedGroup(id=g["GroupId"], name=g["GroupName"], description=g["Description"])
                for g in groups
                if g["GroupName"] != "default"
            ),
        )
        left = tuple(_left(client, vpc_id, subnets, tables))
    if not gateways:
        raise AwsError(
            f"{vpc_id} has no internet gateway, which ECM's entries need\n"
            "    Make one and attach it: aws ec2 create-internet-gateway; aws ec2 attach-internet-gateway"
        )
    return Existing(
        vpc_id=vpc_id,
        internet_gateway_id=gateways[0]["InternetGatewayId"],
        ranges=_ranges(vpc),
        taken=tuple(IPv4Network(s["CidrBlock"]) for s in subnets if s.get("CidrBlock")),
        adopted=adopted,
        names={_id_of(item): name for item in (vpc, *gateways, *subnets, *tables, *groups) if (name := _name(item))},
        left=left,
    )


def _all(client: EC2Client, call: str, key: str, name: str, value: str) -> list[Found]:
    """Return what every page of `call` has under `key`, sorted by id."""
    pages: Any = client.get_paginator(call).paginate(Filters=[{"Name": name, "Values": [value]}])  # type: ignore[call-overload]
    return sorted((item for page in pages for item in page[key]), key=_id_of)


def _id_of(item: Found) -> str:
    """Return the id of what AWS described: a subnet names its VPC too."""
    keys = ("SubnetId", "RouteTableId", "GroupId", "InternetGatewayId", "NatGatewayId", "VpcId")
    return str(next(item[key] for key in keys if key in item))


def _name(item: Found) -> str:
    return next((str(tag["Value"]) for tag in item.get("Tags", ()) if tag["Key"] == "Name"), "")


def _ranges(vpc: Found) -> tuple[IPv4Network, ...]:
    blocks = vpc.get("CidrBlockAssociationSet") or ()
    stand = [b["CidrBlock"] for b in blocks if b["CidrBlockState"]["State"] == "associated"]
    return tuple(sorted(IPv4Network(cidr) for cidr in {vpc["CidrBlock"], *stand}))


def _vpc(client: EC2Client, vpc: Found) -> AdoptedVpc:
    def has(attribute: Any, key: str) -> bool:  # noqa: ANN401 - a literal type of boto3
        answer: Any = client.describe_vpc_attribute(VpcId=vpc["VpcId"], Attribute=attribute)
        return bool(answer[key]["Value"])

    return AdoptedVpc(
        cidr=vpc["CidrBlock"],
        dns_support=has("enableDnsSupport", "EnableDnsSupport"),
        dns_hostnames=has("enableDnsHostnames", "EnableDnsHostnames"),
        tenancy=vpc["InstanceTenancy"],
    )


def _fits(subnet: Found) -> bool:
    return bool(_ZONE.fullmatch(subnet["AvailabilityZone"]) and subnet.get("CidrBlock"))


def _subnet(subnet: Found) -> AdoptedSubnet:
    return AdoptedSubnet(
        id=subnet["SubnetId"],
        zone=subnet["AvailabilityZone"],
        cidr=subnet["CidrBlock"],
        public_ip_on_launch=bool(subnet.get("MapPublicIpOnLaunch")),
    )


def _left(client: EC2Client, vpc_id: str, subnets: list[Found], tables: list[Found]) -> Iterator[str]:
    """Say what of the VPC stays outside of the stack."""
    for subnet in subnets:
        if not _fits(subnet):
            yield f"{subnet['SubnetId']} in {subnet['AvailabilityZone']}: no availability zone, or IPv6 only"
    instances = [
        i["InstanceId"]
        for r in _reservations(client, vpc_id)
        for i in r["Instances"]
        if i["State"]["Name"] not in _GONE
    ]
    if instances:
        yield f"{_count(instances, 'instance')} ({_some(instances)}): ECM's nodes take over from them"
    gateways = [g["NatGatewayId"] for g in _nat(client, vpc_id)]
    if gateways:
        yield f"{_count(gateways, 'NAT gateway')} ({_some(gateways)})"
    routes = sum(len(t.get("Routes", ())) for t in tables)
    yield f"{routes} routes, the associations of subnets, rules of security groups, the default security group"


def _reservations(client: EC2Client, vpc_id: str) -> Iterator[Any]:
    pages = client.get_paginator("describe_instances").paginate(Filters=[{"Name": "vpc-id", "Values": [vpc_id]}])
    return (reservation for page in pages for reservation in page["Reservations"])


def _nat(client: EC2Client, vpc_id: str) -> list[Any]:
    pages = client.get_paginator("describe_nat_gateways").paginate(Filters=[{"Name": "vpc-id", "Values": [vpc_id]}])
    return [g for page in pages for g in page["NatGateways"] if g["State"] in ("pending", "available")]


def _count(items: list[str], noun: str) -> str:
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"


def _some(ids: list[str]) -> str:
    return ", ".join(sorted(ids)[:5]) + (", ..." if len(ids) > 5 else "")
