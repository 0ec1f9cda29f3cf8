"""Snapshots of what runs, against moto."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ecm.aws import AwsError, observe
from ecm.aws.instances import since_when
from ecm.model.base import digest_bytes
from ecm.model.contract import report_key
from ecm.model.node_report import LayerName, NodeReport
from ecm.model.observed import Health, InstanceState, Observed, ObservedNode, Unavailable

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
REGION = "us-east-1"
SLOTS = ("edge/us-east-1a/0", "edge/us-east-1b/0")


@dataclass
class World:
    outputs: dict[str, Any]
    ec2: Any
    elb: Any
    s3: Any
    route53: Any

    def look(self, **more: Any) -> Observed:
        return observe(self.outputs, stack="dev", taken_at=NOW, **more)

    def instance(self, slot: str) -> str:
        return self.outputs["nodes"][f"{slot}#1"]["instanceId"]


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def world(credentials: None) -> Iterator[World]:
    with mock_aws():
        clients = {name: boto3.client(name, region_name=REGION) for name in ("ec2", "elbv2", "s3", "route53")}
        world = World({"region": REGION}, *clients.values())
        _build(world)
        yield world


def _tags(slot: str, generation: int = 1) -> list[dict[str, str]]:
    named = {"ecm:stack": "dev", "ecm:component": "node", "ecm:slot": slot, "ecm:generation": str(generation)}
    return [{"Key": k, "Value": v} for k, v in named.items()]


def _launch(world: World, slot: str, subnet: str, generation: int = 1) -> tuple[str, str]:
    tags = _tags(slot, generation)
    eni = world.ec2.create_network_interface(
        SubnetId=subnet, TagSpecifications=[{"ResourceType": "network-interface", "Tags": tags}]
    )["NetworkInterface"]["NetworkInterfaceId"]
    world.ec2.modify_network_interface_attribute(NetworkInterfaceId=eni, SourceDestCheck={"Value": False})
    image = world.ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    instance = world.ec2.run_instances(
        ImageId=image,
        InstanceType="c7gn.large",
        MinCount=1,
        MaxCount=1,
        NetworkInterfaces=[{"DeviceIndex": 0, "NetworkInterfaceId": eni}],
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )["Instances"][0]["InstanceId"]
    return instance, eni


def _build(world: World) -> None:
    vpc = world.ec2.create_vpc(CidrBlock="10.40.0.0/16")["Vpc"]["VpcId"]
    gateway = world.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    world.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    table = world.ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    group = world.elb.create_target_group(
        Name="edge-gold", Protocol="UDP", Port=51820, VpcId=vpc, TargetType="instance", HealthCheckProtocol="HTTP"
    )["TargetGroups"][0]["TargetGroupArn"]
    nodes, subnets = {}, []
    for number, slot in enumerate(SLOTS):
        zone = slot.split("/")[1]
        subnet = world.ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.40.{number}.0/24", AvailabilityZone=zone)
        subnets.append(subnet["Subnet"]["SubnetId"])
        instance, eni = _launch(world, slot, subnets[-1])
        nodes[f"{slot}#1"] = {"instanceId": instance, "interfaceId": eni, "privateIp": "10.40.0.9"}
        world.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": instance}])
    first = nodes[f"{SLOTS[0]}#1"]["interfaceId"]
    world.ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    world.ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.200.0.0/16", NetworkInterfaceId=first)
    world.s3.create_bucket(Bucket="ecm-dev-config")
    world.s3.put_object(Bucket="ecm-dev-config", Key="vpns/corp/peers.json", Body=b"{}")
    zone_id = world.route53.create_hosted_zone(Name="vpn.example.com", CallerReference="x")["HostedZone"]["Id"]
    record = {"Name": "corp.vpn.example.com", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}
    world.route53.change_resource_record_sets(
        HostedZoneId=zone_id, ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    )
    world.outputs |= {
        "planDigest": digest_bytes(b"plan"),
        "planSerial": 1,
        "stack": "dev",
        "vpcId": vpc,
        "configBucket": "ecm-dev-config",
        "nodes": nodes,
        "targetGroups": {"edge/gold": group},
        "routes": {
            "internet": {"routeTableId": table, "destination": "0.0.0.0/0", "target": gateway},
            "clients": {"routeTableId": table, "destination": "10.200.0.0/16", "target": first},
        },
        "records": {"corp.vpn.example.com": {"zoneId": zone_id.rsplit("/", 1)[1], "type": "A"}},
        "entries": {},
        "configs": {"vpns/corp/peers.json": {"versionId": "1"}},
    }


def test_everything_as_it_should_be(world: World) -> None:
    mark = Unavailable(shape="c7gn.large", zone="us-east-1c", until=NOW + timedelta(hours=1))
    seen = world.look(unavailable=[mark])
    assert seen.applied == digest_bytes(b"plan")
    assert seen.taken_at == NOW
    assert seen.unavailable == (mark,)
    assert [n.slot for n in seen.nodes] == list(SLOTS)
    for node in seen.nodes:
        assert node.state is InstanceState.RUNNING
        assert node.health is Health.HEALTHY
        assert node.unhealthy_since is None
        assert node.shape == "c7gn.large"
        assert node.zone == node.slot.split("/")[1]
        assert node.source_dest_check is False
        assert node.registered is True
        assert node.interface_id == world.outputs["nodes"][f"{node.slot}#1"]["interfaceId"]
    assert {(i.slot, i.generation, str(i.private_ip)) for i in seen.interfaces} == {
        (node.slot, 1, node.private_ip) for node in seen.nodes
    }
    assert {(r.name, r.state) for r in seen.routes} == {("internet", "active"), ("clients", "active")}
    clients = next(r for r in seen.routes if r.name == "clients")
    assert clients.target == world.outputs["nodes"][f"{SLOTS[0]}#1"]["interfaceId"]
    assert [(r.name, r.values) for r in seen.records] == [("corp.vpn.example.com", ("192.0.2.1",))]
    assert [(c.key, c.digest) for c in seen.configs] == [("vpns/corp/peers.json", digest_bytes(b"{}"))]


def test_a_stack_without_outputs_has_nothing(credentials: None) -> None:
    with mock_aws():
        seen = observe({"region": REGION}, stack="dev", taken_at=NOW)
    assert (seen.nodes, seen.routes, seen.records, seen.configs, seen.applied) == ((), (), (), (), None)


def test_a_terminated_node_is_seen_as_such(world: World) -> None:
    world.ec2.terminate_instances(InstanceIds=[world.instance(SLOTS[0])])
    node = world.look().node(SLOTS[0], 1)
    assert node is not None
    assert node.state is InstanceState.TERMINATED
    assert node.health is Health.UNKNOWN


def test_an_instance_that_ec2_forgot_is_missing(world: World) -> None:
    world.outputs["nodes"][f"{SLOTS[0]}#1"]["instanceId"] = "i-0123456789abcdef0"
    world.ec2.delete_tags(Resources=[world.instance(SLOTS[1])], Tags=[{"Key": "ecm:stack"}])
    states = {n.slot: n.state for n in world.look().nodes}
    assert states[SLOTS[1]] is InstanceState.MISSING


def test_nodes_that_no_output_names_are_found_by_their_tags(world: World) -> None:
    subnet = world.ec2.describe_subnets(Filters=[{"Name": "cidrBlock", "Values": ["10.40.0.0/24"]}])["Subnets"][0]
    extra, _ = _launch(world, "edge/us-east-1a/1", subnet["SubnetId"])
    twin, _ = _launch(world, SLOTS[0], subnet["SubnetId"])
    seen = world.look()
    node = seen.node("edge/us-east-1a/1", 1)
    assert node is not None
    assert node.instance_id == extra
    assert node.registered is False
    both = [n.instance_id for n in seen.nodes if n.slot == SLOTS[0]]
    assert both == [world.instance(SLOTS[0]), twin], "the one that the outputs name comes first"


def test_source_dest_check_and_registration(world: World) -> None:
    eni = world.outputs["nodes"][f"{SLOTS[0]}#1"]["interfaceId"]
    world.ec2.modify_network_interface_attribute(NetworkInterfaceId=eni, SourceDestCheck={"Value": True})
    group = world.outputs["targetGroups"]["edge/gold"]
    world.elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": world.instance(SLOTS[1])}])
    seen = {n.slot: n for n in world.look().nodes}
    assert seen[SLOTS[0]].source_dest_check is True
    assert seen[SLOTS[0]].registered is True
    assert seen[SLOTS[1]].registered is False
    assert seen[SLOTS[1]].health is not Health.UNHEALTHY


def test_lost_routes_records_and_objects(world: World) -> None:
    table = world.outputs["routes"]["clients"]["routeTableId"]
    world.ec2.delete_route(RouteTableId=table, DestinationCidrBlock="10.200.0.0/16")
    world.s3.put_object(Bucket="ecm-dev-config", Key="vpns/corp/peers.json", Body=b"edited")
    world.outputs["configs"]["nodes/x/base.json"] = {"versionId": "1"}
    world.outputs["records"]["lab.vpn.example.com"] = world.outputs["records"]["corp.vpn.example.com"]
    world.outputs["records"]["other.example.org"] = {"zoneId": "Z0000000000000", "type": "A"}
    seen = world.look()
    assert {r.name: r.state for r in seen.routes} == {"clients": "missing", "internet": "active"}
    assert {c.key: c.digest for c in seen.configs} == {
        "nodes/x/base.json": None,
        "vpns/corp/peers.json": digest_bytes(b"edited"),
    }
    assert [r.name for r in seen.records] == ["corp.vpn.example.com"]


def test_since_when_a_node_is_unhealthy_is_remembered() -> None:
    def node(instance: str, health: Health, since: datetime | None = None) -> ObservedNode:
        return ObservedNode(
            slot=SLOTS[0],
            generation=1,
            instance_id=instance,
            shape=None,
            zone=None,
            state=InstanceState.RUNNING,
            health=health,
            unhealthy_since=since,
        )

    earlier = NOW - timedelta(minutes=20)
    before = Observed(stack="dev", taken_at=earlier, applied=None, nodes=(node("i-1", Health.UNHEALTHY, earlier),))
    assert since_when(node("i-1", Health.UNHEALTHY), NOW, before).unhealthy_since == earlier
    assert since_when(node("i-2", Health.UNHEALTHY), NOW, before).unhealthy_since == NOW
    assert since_when(node("i-1", Health.UNHEALTHY), NOW, None).unhealthy_since == NOW
    assert since_when(node("i-1", Health.HEALTHY), NOW, before).unhealthy_since is None
    assert since_when(node("i-1", Health.UNKNOWN), NOW, before).unhealthy_since is None


def test_missing_credentials_are_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "absent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "absent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(AwsError, match="no AWS credentials: set AWS_PROFILE"):
        observe({"region": REGION}, stack="dev", taken_at=NOW)


def test_an_endpoint_that_does_not_answer(credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(AwsError, match="check the network and AWS_ENDPOINT_URL"):
        observe({"region": REGION}, stack="dev", taken_at=NOW)


@pytest.mark.parametrize("outputs", [{}, {"region": 7}, {"region": REGION, "nodes": {"x": {"instanceId": "i-1"}}}])
def test_outputs_of_another_program(outputs: dict[str, Any]) -> None:
    with pytest.raises(AwsError, match="stack output"):
        observe(outputs, stack="dev", taken_at=NOW)


def test_each_layer_of_a_nodes_health_and_when_it_joined_are_told_apart(world: World) -> None:
    bucket = world.outputs["configBucket"]
    world.s3.put_object(Bucket=bucket, Key=f"keys/{SLOTS[0]}/g1.pub", Body=b"key")
    first, second = world.look().nodes
    assert first.key_published_at is not None
    assert first.launched_at is not None
    assert (first.instance_check, first.target_check is None) == (Health.HEALTHY, first.registered is None)
    assert second.key_published_at is None


def test_the_agents_reports_are_read_and_nothing_else_below_them(world: World) -> None:
    bucket = world.outputs["configBucket"]
    good = NodeReport(slot=SLOTS[0], generation=1, serial=1, wrong=(LayerName.FIREWALL,), why="not the node's")
    bodies = {
        report_key(SLOTS[0], 1): good.model_dump_json(),
        report_key(SLOTS[1], 1): good.model_dump_json(),  # in another's name
        report_key("gone/us-east-1a/0", 1): "{}",
        "reports/x": "y" * 10_000,
    }
    for key, body in bodies.items():
        world.s3.put_object(Bucket=bucket, Key=key, Body=body.encode())
    first, second = observe(world.outputs, stack="dev", taken_at=datetime.now(UTC)).nodes  # noqa: TID251 - moto's clock
    assert (first.agent_says, first.agent_check) == ("not the node's", Health.NEW)
    assert second.agent_says == "its report is not readable as one"
    assert second.health is Health.UNHEALTHY
