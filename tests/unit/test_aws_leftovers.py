"""What a killed run made is found by what its creation asked for, and nothing else is touched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ecm.aws import Creation, leftovers, remove_leftovers

STACK = "dev"
TAGS = {"Name": f"{STACK}/it", "ecm:stack": STACK, "ecm:component": "node"}
ROWS = [{"Key": key, "Value": value} for key, value in TAGS.items()]
OTHERS = [{"Key": key, "Value": value} for key, value in ({**TAGS, "Name": f"{STACK}/other"}).items()]
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
ALLOW = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/k"}],
    }
)


@dataclass(frozen=True)
class World:
    """An account with a network."""

    session: boto3.Session
    vpc: str
    subnet: str
    group: str

    def client(self, name: str) -> Any:
        return self.session.client(name)  # type: ignore[call-overload]

    def remove(self, kind: str, inputs: dict[str, Any], *known: str) -> tuple[str, ...]:
        return remove_leftovers(self.session, STACK, (Creation(kind, inputs),), frozenset(known))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        session = boto3.Session(region_name="us-east-1")
        ec2 = session.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
        group = ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
        yield World(session, vpc, subnet, group)


def spec(kind: str, rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": rows}]


Made = Callable[[World, list[dict[str, str]]], str]


def instance(world: World, rows: list[dict[str, str]]) -> str:
    made = world.client("ec2").run_instances(
        ImageId="ami-12c6146b", MinCount=1, MaxCount=1, SubnetId=world.subnet, TagSpecifications=spec("instance", rows)
    )
    return str(made["Instances"][0]["InstanceId"])


def interface(world: World, rows: list[dict[str, str]]) -> str:
    made = world.client("ec2").create_network_interface(
        SubnetId=world.subnet, TagSpecifications=spec("network-interface", rows)
    )
    return str(made["NetworkInterface"]["NetworkInterfaceId"])


def address(world: World, rows: list[dict[str, str]]) -> str:
    made = world.client("ec2").allocate_address(Domain="vpc", TagSpecifications=spec("elastic-ip", rows))
    return str(made["AllocationId"])


def group(world: World, rows: list[dict[str, str]]) -> str:
    name = rows[0]["Value"]
    made = world.client("ec2").create_security_group(
        GroupName=name, Description=name, VpcId=world.vpc, TagSpecifications=spec("security-group", rows)
    )
    return str(made["GroupId"])


def subnet(world: World, rows: list[dict[str, str]]) -> str:
    block = f"10.0.{1 + len(rows[0]['Value'])}.0/24"
    made = world.client("ec2").create_subnet(VpcId=world.vpc, CidrBlock=block, TagSpecifications=spec("subnet", rows))
    return str(made["Subnet"]["SubnetId"])


def table(world: World, rows: list[dict[str, str]]) -> str:
    made = world.client("ec2").create_route_table(VpcId=world.vpc, TagSpecifications=spec("route-table", rows))
    return str(made["RouteTable"]["RouteTableId"])


def vpc(world: World, rows: list[dict[str, str]]) -> str:
    made = world.client("ec2").create_vpc(CidrBlock="10.9.0.0/16", TagSpecifications=spec("vpc", rows))
    return str(made["Vpc"]["VpcId"])


def gateway(world: World, rows: list[dict[str, str]]) -> str:
    ec2 = world.client("ec2")
    made = ec2.create_internet_gateway(TagSpecifications=spec("internet-gateway", rows))
    name = str(made["InternetGateway"]["InternetGatewayId"])
    if rows is ROWS:
        ec2.attach_internet_gateway(InternetGatewayId=name, VpcId=world.vpc)
    return name


def prefix_list(world: World, rows: list[dict[str, str]]) -> str:
    made = world.client("ec2").create_managed_prefix_list(
        PrefixListName="p", MaxEntries=1, AddressFamily="IPv4", TagSpecifications=spec("prefix-list", rows)
    )
    return str(made["PrefixList"]["PrefixListId"])


TAGGED: dict[str, Made] = {
    "aws:ec2/instance:Instance": instance,
    "aws:ec2/networkInterface:NetworkInterface": interface,
    "aws:ec2/eip:Eip": address,
    "aws:ec2/securityGroup:SecurityGroup": group,
    "aws:ec2/subnet:Subnet": subnet,
    "aws:ec2/routeTable:RouteTable": table,
    "aws:ec2/vpc:Vpc": vpc,
    "aws:ec2/internetGateway:InternetGateway": gateway,
    "aws:ec2/managedPrefixList:ManagedPrefixList": prefix_list,
}


@pytest.mark.parametrize("kind", TAGGED)
def test_a_tagged_resource_is_removed_unless_the_state_knows_it(kind: str, world: World) -> None:
    mine, other = TAGGED[kind](world, ROWS), TAGGED[kind](world, OTHERS)
    name = kind.rpartition(":")[2]
    assert world.remove(kind, {"tags": TAGS}, mine) == ()
    assert world.remove(kind, {"tags": {**TAGS, "ecm:stack": "prod"}}) == ()
    assert world.remove(kind, {}) == ()
    assert world.remove(kind, {"tags": TAGS}) == (f"{name} {mine}",)
    assert world.remove(kind, {"tags": TAGS}) == ()
    assert world.remove(kind, {"tags": {**TAGS, "Name": f"{STACK}/other"}}) == (f"{name} {other}",)


def test_a_rule_is_told_by_its_group_direction_and_tags(world: World) -> None:
    ec2 = world.client("ec2")
    permission = {"IpProtocol": "udp", "FromPort": 1, "ToPort": 1, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    made = ec2.authorize_security_group_ingress(
        GroupId=world.group, IpPermissions=[permission], TagSpecifications=spec("security-group-rule", ROWS)
    )["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    rule, inputs = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", {"securityGroupId": world.group}
    assert world.remove("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", {**inputs, "tags": TAGS}) == ()
    assert world.remove(rule, {**inputs, "tags": {**TAGS, "Name": "x"}}) == ()
    assert world.remove(rule, {**inputs, "tags": TAGS}) == (f"SecurityGroupIngressRule {made}",)
    assert ec2.describe_security_groups(GroupIds=[world.group])["SecurityGroups"][0]["IpPermissions"] == []


def test_routes_and_associations(world: World) -> None:
    ec2 = world.client("ec2")
    own, internet = table(world, ROWS), gateway(world, ROWS)
    ec2.create_route(RouteTableId=own, DestinationCidrBlock="0.0.0.0/0", GatewayId=internet)
    inputs = {"routeTableId": own, "destinationCidrBlock": "0.0.0.0/0"}
    assert world.remove("aws:ec2/route:Route", {**inputs, "destinationCidrBlock": "10.1.0.0/16"}) == ()
    assert world.remove("aws:ec2/route:Route", inputs) == (f"Route {own} 0.0.0.0/0",)
    joined = ec2.associate_route_table(RouteTableId=own, SubnetId=world.subnet)["AssociationId"]
    kind = "aws:ec2/routeTableAssociation:RouteTableAssociation"
    assert world.remove(kind, {"subnetId": world.subnet}, joined) == ()
    assert world.remove(kind, {"subnetId": world.subnet}) == (f"RouteTableAssociation {joined}",)
    allocated = address(world, ROWS)
    held = ec2.associate_address(AllocationId=allocated, NetworkInterfaceId=interface(world, ROWS))["AssociationId"]
    kind = "aws:ec2/eipAssociation:EipAssociation"
    assert world.remove(kind, {"allocationId": allocated}) == (f"EipAssociation {held}",)
    assert world.remove(kind, {"allocationId": allocated}) == ()


def test_the_load_balancer_and_its_parts(world: World) -> None:
    elb = world.client("elbv2")
    balancer = elb.create_load_balancer(Name="lb", Type="network", Subnets=[world.subnet])["LoadBalancers"][0]
    arn = balancer["LoadBalancerArn"]
    targets = elb.create_target_group(Name="tg", Protocol="UDP", Port=51820, VpcId=world.vpc, TargetType="instance")
    target = targets["TargetGroups"][0]["TargetGroupArn"]
    listener = elb.create_listener(
        LoadBalancerArn=arn, Protocol="UDP", Port=51820, DefaultActions=[{"Type": "forward", "TargetGroupArn": target}]
    )["Listeners"][0]["ListenerArn"]
    begun = (
        Creation("aws:lb/loadBalancer:LoadBalancer", {"name": "lb"}),
        Creation("aws:lb/targetGroup:TargetGroup", {"name": "tg"}),
        Creation("aws:lb/listener:Listener", {"loadBalancerArn": arn, "port": 51820}),
    )
    assert remove_leftovers(world.session, STACK, begun, frozenset({arn, target, listener})) == ()
    removed = remove_leftovers(world.session, STACK, begun, frozenset())
    assert removed == (f"Listener {listener}", f"TargetGroup {target}", f"LoadBalancer {arn}")


def test_an_alarm_is_told_by_the_name_that_the_engine_gave_it(world: World) -> None:
    cloudwatch = world.client("cloudwatch")
    for name in ("chain-main-0a1b2c3", "chain-main-4d5e6f7"):
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace="ECM",
            MetricName="EndToEndProbe",
            ComparisonOperator="LessThanThreshold",
            Threshold=0.5,
            Period=60,
            EvaluationPeriods=3,
            Statistic="Average",
        )
    alarm, inputs = "aws:cloudwatch/metricAlarm:MetricAlarm", {"name": "chain-main-0a1b2c3", "tags": TAGS}
    assert world.remove(alarm, inputs, "chain-main-0a1b2c3") == ()
    assert world.remove(alarm, inputs) == ("MetricAlarm chain-main-0a1b2c3",)
    assert [row["AlarmName"] for row in cloudwatch.describe_alarms()["MetricAlarms"]] == ["chain-main-4d5e6f7"]


def test_identities(world: World) -> None:
    iam = world.client("iam")
    for name in ("mine", "other"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    iam.put_role_policy(RoleName="mine", PolicyName="p", PolicyDocument=ALLOW)
    iam.create_instance_profile(InstanceProfileName="mine")
    iam.add_role_to_instance_profile(InstanceProfileName="mine", RoleName="mine")
    assert world.remove("aws:iam/instanceProfile:InstanceProfile", {"name": "mine"}) == ("InstanceProfile mine",)
    assert world.remove("aws:iam/rolePolicy:RolePolicy", {"role": "mine", "name": "p"}) == ("RolePolicy mine:p",)
    assert world.remove("aws:iam/role:Role", {"name": "mine"}, "mine") == ()
    assert world.remove("aws:iam/role:Role", {"name": "mine"}) == ("Role mine",)
    assert [role["RoleName"] for role in iam.list_roles()["Roles"]] == ["other"]


def test_what_has_a_name_of_its_own(world: World) -> None:
    world.client("s3").create_bucket(Bucket="mine")
    world.client("logs").create_log_group(logGroupName="/ecm/dev/flow-logs")
    world.client("logs").create_log_group(logGroupName="/ecm/dev/flow-logs-2")
    secret = world.client("secretsmanager").create_secret(Name="ecm/dev/edge/in")["ARN"]
    assert world.remove("aws:s3/bucket:Bucket", {"bucket": "mine"}) == ("Bucket mine",)
    logs = "aws:cloudwatch/logGroup:LogGroup"
    assert world.remove(logs, {"name": "/ecm/dev/flow-logs"}) == ("LogGroup /ecm/dev/flow-logs",)
    assert world.remove(logs, {"name": "/ecm/dev/flow"}) == ()
    assert world.remove("aws:secretsmanager/secret:Secret", {"name": "ecm/dev/edge/in"}) == (f"Secret {secret}",)


def test_names_and_health_checks(world: World) -> None:
    dns = world.client("route53")
    zone = dns.create_hosted_zone(Name="vpn.example.", CallerReference="1")["HostedZone"]["Id"].rpartition("/")[2]
    dns.change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone, AddTags=ROWS)
    row = {"Name": "in.vpn.example", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}
    change = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": {**row, "SetIdentifier": "dev", "Weight": 1}}]}
    dns.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=change)
    check = dns.create_health_check(CallerReference="1", HealthCheckConfig={"Type": "CALCULATED", "HealthThreshold": 1})
    name = check["HealthCheck"]["Id"]
    dns.change_tags_for_resource(ResourceType="healthcheck", ResourceId=name, AddTags=ROWS)
    record = {"zoneId": zone, "name": "in.vpn.example", "type": "A", "setIdentifier": "dev"}
    assert world.remove("aws:route53/record:Record", {**record, "setIdentifier": "prod"}) == ()
    assert len(world.remove("aws:route53/record:Record", record)) == 1
    assert world.remove("aws:route53/healthCheck:HealthCheck", {"tags": TAGS}) == (f"HealthCheck {name}",)
    assert world.remove("aws:route53/zone:Zone", {"name": "vpn.example", "tags": TAGS}) == (f"Zone {zone}",)


def test_a_health_check_without_tags_is_told_by_what_it_watches(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tags are written in a second call. The embedded AWS does not say what a check watches, as AWS does."""
    dns, kind = world.client("route53"), "aws:route53/healthCheck:HealthCheck"
    made = [
        dns.create_health_check(CallerReference=r, HealthCheckConfig={"Type": "CALCULATED", "HealthThreshold": 1})
        for r in ("1", "2", "3")
    ]
    alarm, parent, other = (check["HealthCheck"]["Id"] for check in made)
    watched = {alarm: {"AlarmIdentifier": {"Name": "chain-a-1f"}}, parent: {"ChildHealthChecks": ["y", "x"]}}
    pages = leftovers._pages

    def telling(client: Any, call: str, key: str, **given: str) -> Iterator[Any]:
        for row in pages(client, call, key, **given):
            yield {**row, "HealthCheckConfig": watched.get(row["Id"], {})}

    monkeypatch.setattr(leftovers, "_pages", telling)
    assert world.remove(kind, {"cloudwatchAlarmName": "chain-b-2e"}) == ()
    assert world.remove(kind, {"childHealthchecks": ["x"]}) == ()
    assert world.remove(kind, {"cloudwatchAlarmName": "chain-a-1f"}) == (f"HealthCheck {alarm}",)
    assert world.remove(kind, {"childHealthchecks": ["x", "y"]}) == (f"HealthCheck {parent}",)
    assert [row["Id"] for row in dns.list_health_checks()["HealthChecks"]] == [other]


def test_a_type_that_aws_overwrites_needs_nothing(world: World) -> None:
    assert world.remove("aws:s3/bucketObjectv2:BucketObjectv2", {"bucket": "b", "key": "k"}) == ()
