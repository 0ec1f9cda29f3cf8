"""An existing VPC as AWS describes it, against moto."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ecm.aws import AwsError, read_existing

REGION = "us-east-1"


@pytest.fixture
def ec2(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield boto3.client("ec2", region_name=REGION)


def a_vpc(ec2: Any, *, gateway: bool = True) -> str:
    vpc: str = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    if gateway:
        made = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=made, VpcId=vpc)
    return vpc


def test_only_this_vpc_is_read_with_every_range(ec2: Any) -> None:
    vpc, other = a_vpc(ec2), a_vpc(ec2)
    ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock="10.1.0.0/16")
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.0.0/24", AvailabilityZone="us-east-1b")["Subnet"]["SubnetId"]
    ec2.create_tags(Resources=[subnet], Tags=[{"Key": "Name", "Value": "old"}])
    ec2.create_subnet(VpcId=other, CidrBlock="10.0.0.0/24", AvailabilityZone="us-east-1a")
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    found = read_existing(REGION, vpc)
    assert found.ranges == (IPv4Network("10.0.0.0/16"), IPv4Network("10.1.0.0/16"))
    assert found.taken == (IPv4Network("10.1.0.0/24"),)
    assert [(s.id, s.zone, s.public_ip_on_launch) for s in found.adopted.subnets] == [(subnet, "us-east-1b", False)]
    assert (found.adopted.vpc.dns_support, found.adopted.vpc.dns_hostnames) == (True, True)
    assert found.adopted.security_groups == (), "the default group is AWS's own"
    assert found.names[subnet] == "old"


def test_what_stays_is_told(ec2: Any) -> None:
    vpc = a_vpc(ec2)
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    nat = ec2.create_nat_gateway(SubnetId=subnet, ConnectivityType="private")["NatGateway"]["NatGatewayId"]
    ran = ec2.run_instances(ImageId="ami-12c6146b", MinCount=2, MaxCount=2, SubnetId=subnet)["Instances"]
    ec2.terminate_instances(InstanceIds=[ran[1]["InstanceId"]])
    told = "\n".join(read_existing(REGION, vpc).left)
    assert f"1 instance ({ran[0]['InstanceId']})" in told
    assert nat in told


def test_a_vpc_that_is_not_there_or_without_a_gateway_is_refused(ec2: Any) -> None:
    with pytest.raises(AwsError, match=r"cannot read vpc-0123456789abcdef0 in us-east-1: InvalidVpcID\.NotFound"):
        read_existing(REGION, "vpc-0123456789abcdef0")
    with pytest.raises(AwsError, match="has no internet gateway"):
        read_existing(REGION, a_vpc(ec2, gateway=False))
