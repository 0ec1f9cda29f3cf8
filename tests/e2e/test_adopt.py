"""`ecm adopt` on a hand-made VPC: what is written, that a preview shows no change, and that a difference is named."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from ecm import intent
from tests.e2e.project import NIGHT, Project, Result, Turn

pytestmark = [pytest.mark.engine, pytest.mark.slow]
PRIVATE, PRESHARED = "gI6EdUSYvn8ugXOt8QQD6Yc+JyiZxIhp3GInSWRfWGE=", "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE="
CLIENT = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw="
CONFIGURATION = f"""# made by hand
[Interface]
Address = 10.8.0.1/24
ListenPort = 51820
PrivateKey = {PRIVATE}
PostUp = iptables -t nat -A POSTROUTING -s 10.8.0.0/24 -o ens5 -j MASQUERADE

[Peer]
PublicKey = {CLIENT}
PresharedKey = {PRESHARED}
AllowedIPs = 10.8.0.2/32
"""
NAME = "by hand: #1 \N{LINE SEPARATOR}- {x"


@dataclass(frozen=True)
class HandMade:
    vpc: str
    gateway: str
    subnets: tuple[str, ...]
    table: str
    group: str

    @property
    def ids(self) -> set[str]:
        return {self.vpc, self.gateway, *self.subnets, self.table, self.group}


def make_vpc(ec2: Any) -> HandMade:
    """Make what people make with the console: odd names, tags of their own, a group with SSH open."""
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    subnets = tuple(
        ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for zone, cidr in (("us-east-1a", "10.0.0.0/24"), ("us-east-1b", "10.0.17.0/24"))
    )
    ec2.modify_subnet_attribute(SubnetId=subnets[0], MapPublicIpOnLaunch={"Value": True})
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    for subnet in subnets:
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    group = ec2.create_security_group(VpcId=vpc, GroupName="wg: (old)", Description="say [hi] & #1: {x}")["GroupId"]
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[ssh])
    tags = [{"Key": "Name", "Value": NAME}, {"Key": "owner", "Value": "ops"}]
    ec2.create_tags(Resources=[vpc, gateway, *subnets, table, group], Tags=tags)
    ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, SubnetId=subnets[0])
    return HandMade(vpc, gateway, subnets, table, group)


def described(ec2: Any, vpc: str) -> list[Any]:
    """Everything that a change to what was made by hand would change."""
    here = [{"Name": "vpc-id", "Values": [vpc]}]
    return [
        ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"],
        ec2.describe_internet_gateways(Filters=[{"Name": "attachment.vpc-id", "Values": [vpc]}])["InternetGateways"],
        ec2.describe_subnets(Filters=here)["Subnets"],
        ec2.describe_route_tables(Filters=here)["RouteTables"],
        ec2.describe_security_groups(Filters=here)["SecurityGroups"],
    ]


@pytest.fixture(scope="module")
def project(start) -> Project:
    return start("byhand")


@pytest.fixture(scope="module")
def made(project) -> HandMade:
    return make_vpc(project.aws.client("ec2"))


def adopt(project: Project, made: HandMade, *words: str) -> Result:
    configuration = project.folder / "wg0.conf"
    configuration.write_text(CONFIGURATION)
    where = ("--region", "us-east-1", "--vpc", made.vpc, "--wireguard", str(configuration))
    return project.ecm("adopt", *where, *words)


@dataclass(frozen=True)
class Adopted:
    result: Result
    before: list[Any]
    after: list[Any]
    again: Result
    files: dict[str, bytes]


@pytest.fixture(scope="module")
def adopted(project, made) -> Adopted:
    ec2 = project.aws.client("ec2")
    before = described(ec2, made.vpc)
    result = adopt(project, made, "--json")
    files = project.files()
    again = adopt(project, made)
    return Adopted(result, before, described(ec2, made.vpc), again, files)


def test_a_preview_shows_no_change_and_aws_is_as_before(adopted: Adopted, made: HandMade) -> None:
    assert adopted.result.code == 0, adopted.result.err
    assert adopted.result.data["differences"] == []
    assert adopted.result.data["unchanged"] == len(made.ids) + 1, "and the VPC's main route table"
    assert adopted.after == adopted.before


def test_the_files_say_what_stands(adopted: Adopted, project: Project, made: HandMade) -> None:
    assert set(adopted.result.data["written"]) == {
        "stacks/byhand.fleet.yaml",
        "stacks/byhand.import.json",
        "stacks/Pulumi.byhand.yaml",
    }
    fleet = intent.load(project.folder, "byhand").fleet
    assert (fleet.network.vpc_id, fleet.zones) == (made.vpc, ("us-east-1a", "us-east-1b"))
    assert str(fleet.network.vpc_cidr) == "10.0.64.0/18", "the first /18 that holds no subnet"
    assert str(fleet.vpns[0].client_cidr) == "10.8.0.0/24"
    assert fleet.network.adopted is not None
    assert [(g.name, g.description) for g in fleet.network.adopted.security_groups] == [
        ("wg: (old)", "say [hi] & #1: {x}")
    ]
    listed = json.loads(adopted.files["stacks/byhand.import.json"])["resources"]
    assert {row["id"] for row in listed if "id" in row} >= made.ids


def test_no_key_is_written_or_said(adopted: Adopted) -> None:
    said = (adopted.result.out + adopted.result.err).encode()
    for key in (PRIVATE, PRESHARED):
        assert not any(key.encode() in text for text in (*adopted.files.values(), said))


def test_nothing_is_overwritten(adopted: Adopted, project: Project) -> None:
    assert adopted.again.code == 64
    assert "--force" in adopted.again.err
    assert {n: t for n, t in project.files().items() if n.startswith("stacks/")} == {
        n: t for n, t in adopted.files.items() if n.startswith("stacks/")
    }


def test_a_difference_is_named(adopted: Adopted, project: Project, made: HandMade) -> None:
    project.aws.client("ec2").modify_subnet_attribute(SubnetId=made.subnets[1], MapPublicIpOnLaunch={"Value": True})
    try:
        result = project.ecm("adopt", "--check", "--json")
    finally:
        off = {"Value": False}
        project.aws.client("ec2").modify_subnet_attribute(SubnetId=made.subnets[1], MapPublicIpOnLaunch=off)
    assert result.code == 10, result.err
    assert result.data["differences"] == [f"{made.subnets[1]} (aws:ec2/subnet:Subnet): update mapPublicIpOnLaunch"]


@pytest.fixture(scope="module")
def applied(adopted: Adopted, project: Project) -> Turn:
    project.load({"wg0-all": 100})
    return project.turn(NIGHT, preview=False)


def test_the_first_up_takes_over_what_stands_and_adds_its_own(
    applied: Turn, adopted: Adopted, project: Project, made: HandMade
) -> None:
    assert applied.counts["import"] == len(made.ids) + 1, "and the VPC's main route table"
    assert set(applied.counts) <= {"import", "create", "same"}
    assert made.ids <= set(applied.after.named("aws:ec2/subnet:Subnet").values()) | {
        id_
        for kind in (
            "vpc:Vpc",
            "internetGateway:InternetGateway",
            "routeTable:RouteTable",
            "securityGroup:SecurityGroup",
        )
        for id_ in applied.after.named(f"aws:ec2/{kind}").values()
    }
    assert applied.verified == 0
    [bucket] = applied.after.named("aws:s3/bucket:Bucket").values()
    body = project.aws.client("s3").get_object(Bucket=bucket, Key="vpns/wg0/peers.json")["Body"].read().decode()
    assert CLIENT in body, "the client goes on with its key"
    assert project.no_change().ok
    assert kept(adopted.before, described(project.aws.client("ec2"), made.vpc)) == adopted.before


def kept(before: list[Any], after: list[Any]) -> list[Any]:
    """What of `after` stood before, by its tags and everything else that AWS says of it."""
    return [[item for item in now if _same_id(item, then)] for then, now in zip(before, after, strict=True)]


def _same_id(item: Any, others: list[Any]) -> bool:
    keys = ("SubnetId", "RouteTableId", "GroupId", "InternetGatewayId", "VpcId")
    own = next(k for k in keys if k in item)
    return any(item[own] == other[own] for other in others)


def test_nothing_destroys_what_is_adopted(applied: Turn, adopted: Adopted, project: Project, made: HandMade) -> None:
    outcome = project.engine.destroy()
    assert not outcome.ok
    refused = {d.urn.rpartition("::")[2] or d.message for d in outcome.errors if "protected" in d.message}
    assert all(any(id_ in text for text in refused) for id_ in made.ids)
    assert kept(adopted.before, described(project.aws.client("ec2"), made.vpc)) == adopted.before
