"""The entry of a VPN, the chain's health and the routes of the VPC."""

from __future__ import annotations

from functools import cache
from ipaddress import IPv4Network

from ecm import infra
from ecm.model.fleet import Role, WayIn
from ecm.model.plan import Desired, NodeState, VpcRoute
from tests.builders import a_desired, a_network, a_plan, a_rendered, a_route, a_slot, a_tier, a_vpn
from tests.program.recording import SIGNED, Recording, record


@cache
def declared(desired: Desired) -> Recording:
    rendered = a_rendered(desired)
    plan = a_plan(desired, rendered)
    return record(lambda: infra.declare(plan, rendered, SIGNED), invokes={GET_VPC: VPC})


GET_VPC = "aws:ec2/getVpc:getVpc"
VPC = {
    "id": "vpc-0123456789abcdef0",
    "cidrBlockAssociations": [
        {"associationId": "a", "cidrBlock": "10.0.0.0/16", "state": "associated"},
        {"associationId": "b", "cidrBlock": "10.1.0.0/16", "state": "disassociated"},
    ],
}


def a_workload_route(**changes) -> VpcRoute:
    values = {
        "id": "rtb-0abc1234-203-0-113-0-24",
        "route_table": "rtb-0abc1234",
        "destination": IPv4Network("203.0.113.0/24"),
        "slot": "edge/us-east-1b/0",
        "generation": 1,
    }
    return VpcRoute(**(values | changes))


def existing_vpc(*routes: VpcRoute, ports: tuple[str, ...] = ("tcp/443",)) -> Desired:
    network = a_network(vpc_id="vpc-0123456789abcdef0", internet_gateway_id="igw-0123456789abcdef0", vpc_routes=routes)
    return a_desired(network=network, applications=(a_route(way_in=WayIn.VPC_ROUTE, ports=ports),))


def test_the_load_balancer_has_a_static_address_in_every_zone_and_keeps_traffic_in_its_zone():
    recording = declared(a_desired())
    balancer = recording.one("LoadBalancer", "corp").inputs
    assert balancer["loadBalancerType"] == "network"
    assert balancer["enableCrossZoneLoadBalancing"] is False
    assert balancer["subnetMappings"] == [
        {"subnetId": f"Subnet/entry-{z}", "allocationId": f"eipalloc-corp/{z}"} for z in ("us-east-1a", "us-east-1b")
    ]


def test_a_zone_without_nodes_keeps_its_address():
    one_zone = a_desired(tiers=(a_tier("edge", slots=a_tier("edge").slots[:1]), a_tier("out", Role.EGRESS)))
    assert len(declared(one_zone).one("LoadBalancer", "corp").inputs["subnetMappings"]) == 2


def test_each_class_has_a_group_with_the_fastest_health_check_and_no_stickiness():
    for name, port in (("corp/gold", 51820), ("corp/silver", 51821)):
        recording = declared(a_desired())
        group = recording.one("TargetGroup", name).inputs
        assert (group["protocol"], group["port"], group["targetType"]) == ("UDP", port, "instance")
        assert group["stickiness"]["enabled"] is False
        assert group["deregistrationDelay"] == 120
        assert group["connectionTermination"] is False
        check = group["healthCheck"]
        assert (check["protocol"], check["port"], check["path"]) == ("HTTP", "8080", "/healthz")
        assert [check[k] for k in ("interval", "timeout", "healthyThreshold", "unhealthyThreshold")] == [5, 2, 2, 2]
        listener = recording.one("Listener", name).inputs
        assert (listener["protocol"], listener["port"]) == ("UDP", port)
        assert listener["defaultActions"] == [
            {"type": "forward", "targetGroupArn": f"arn:aws:mock:::TargetGroup/{name}"}
        ]


def test_a_draining_node_stays_attached_and_does_not_raise_the_alarm():
    slots = a_tier("edge").slots
    draining = slots[0].nodes[0].model_copy(update={"state": NodeState.DRAINING})
    tier = a_tier("edge", slots=(slots[0].model_copy(update={"nodes": (draining,)}), *slots[1:]))
    recording = declared(a_desired(tiers=(tier, a_tier("out", Role.EGRESS))))
    assert {a.name for a in recording.of("TargetGroupAttachment")} == {
        f"edge-us-east-1{zone}-0-g1/{traffic}" for zone in "ab" for traffic in ("gold", "silver")
    }
    assert recording.one("MetricAlarm", "corp-targets-gold").inputs["threshold"] == 1
    assert declared(a_desired()).one("MetricAlarm", "corp-targets-gold").inputs["threshold"] == 0


def test_clients_find_the_entry_only_after_a_listener_has_targets():
    listener = declared(a_desired()).one("Listener", "corp/gold")
    assert {"ecm:aws:Entry$aws:lb/targetGroupAttachment:TargetGroupAttachment::edge-us-east-1a-0-g1/gold"} <= (
        listener.depends_on
    )


def test_the_record_follows_the_health_of_the_chains_from_end_to_end():
    recording = declared(a_desired())
    record_ = recording.one("Record", "corp").inputs
    assert (record_["name"], record_["type"]) == ("corp.vpn.example.com", "A")
    assert record_["aliases"][0]["evaluateTargetHealth"] is True
    assert record_["setIdentifier"] == "dev-corp"
    assert record_["healthCheckId"] == "HealthCheck/corp"
    assert recording.one("HealthCheck", "corp").inputs["childHealthchecks"] == ["HealthCheck/main"]
    chain = recording.one("HealthCheck", "main").inputs
    assert chain["type"] == "CLOUDWATCH_METRIC"
    assert chain["cloudwatchAlarmName"] == "chain-main-0000000"
    alarm = recording.one("MetricAlarm", "chain-main").inputs
    assert alarm["dimensions"] == {"Stack": "dev", "Chain": "main"}
    assert alarm["treatMissingData"] == "breaching"


def test_without_a_zone_there_is_no_record_and_no_public_health_check_of_the_entry():
    recording = declared(a_desired(dns_zone=None, vpns=(a_vpn(host=None),)))
    assert not recording.of("Record")
    assert not recording.of("Zone")
    assert {c.name for c in recording.of("HealthCheck")} == {"main"}
    assert recording.outputs.get("records", {}) == {}


def test_an_existing_vpc_is_used_and_neither_it_nor_its_gateway_is_declared():
    recording = declared(existing_vpc())
    assert not recording.of("Vpc")
    assert not recording.of("InternetGateway")
    assert {s.inputs["vpcId"] for s in recording.of("Subnet")} == {"vpc-0123456789abcdef0"}
    assert recording.one("Route", "internet").inputs["gatewayId"] == "igw-0123456789abcdef0"
    assert recording.outputs["vpcId"] == "vpc-0123456789abcdef0"


def test_flow_logs_cover_our_own_vpc_but_only_our_subnets_of_an_existing_one():
    assert [f.inputs["vpcId"] for f in declared(a_desired()).of("FlowLog")] == ["Vpc/vpc"]
    shared = declared(existing_vpc()).of("FlowLog")
    assert len(shared) == 6
    assert not [f for f in shared if "vpcId" in f.inputs]


def test_a_route_of_workloads_points_to_one_interface_and_lets_the_whole_vpc_reach_the_applications_ports():
    recording = declared(existing_vpc(a_workload_route()))
    route = recording.one("Route", "rtb-0abc1234-203-0-113-0-24")
    assert route.inputs == {
        "routeTableId": "rtb-0abc1234",
        "destinationCidrBlock": "203.0.113.0/24",
        "networkInterfaceId": "NetworkInterface/edge-us-east-1b-0-g1",
    }
    assert "ecm:aws:Chain$" in route.urn
    assert workload_rules(recording) == {("10.0.0.0/16", "tcp", 443, 443)}
    assert recording.outputs["routes"]["rtb-0abc1234-203-0-113-0-24"]["target"] == route.inputs["networkInterfaceId"]


def workload_rules(recording: Recording) -> set[tuple[str, str, int, int]]:
    rules = [r for r in recording.of("SecurityGroupIngressRule") if "/workloads/" in r.name]
    assert {r.inputs["securityGroupId"] for r in rules} == {"SecurityGroup/edge"}
    keys = ("cidrIpv4", "ipProtocol", "fromPort", "toPort")
    return {tuple(r.inputs[k] for k in keys) for r in rules}


def test_an_application_without_ports_of_its_own_still_leaves_the_port_of_ssh_closed():
    rules = workload_rules(declared(existing_vpc(a_workload_route(), ports=())))
    assert {protocol for _, protocol, _, _ in rules} == {"tcp", "udp", "icmp"}
    assert not [r for r in rules if r[1] == "tcp" and r[2] <= 22 <= r[3]]
    assert sum(last - first + 1 for _, protocol, first, last in rules if protocol == "tcp") == 65534


def test_a_route_that_another_node_takes_over_keeps_its_name_and_table():
    before = declared(existing_vpc(a_workload_route()))
    after = declared(existing_vpc(a_workload_route(slot="edge/us-east-1a/0")))
    name = "rtb-0abc1234-203-0-113-0-24"
    assert before.one("Route", name).urn == after.one("Route", name).urn
    assert after.one("Route", name).inputs["networkInterfaceId"] == "NetworkInterface/edge-us-east-1a-0-g1"


def test_destinations_of_a_vpn_are_one_prefix_list_without_overlaps():
    applications = (
        a_route("web", 1, destinations=(IPv4Network("203.0.113.0/25"), IPv4Network("198.51.100.0/24"))),
        a_route("mail", 2, destinations=(IPv4Network("203.0.113.128/25"), IPv4Network("198.51.100.7/32"))),
    )
    listed = declared(a_desired(applications=applications)).one("ManagedPrefixList", "corp-applications").inputs
    assert [e["cidr"] for e in listed["entries"]] == ["198.51.100.0/24", "203.0.113.0/24"]
    assert listed["maxEntries"] == 10


def test_a_node_boots_after_all_that_its_agent_needs():
    node = declared(a_desired()).one("Instance", "edge-us-east-1a-0-g1")
    needed = {
        "BucketObjectv2::nodes/edge/us-east-1a/0/g1/base.json",
        "InstanceProfile::edge",
        "RolePolicy::tier-edge",
        "Route::internet",
        "RouteTableAssociation::private-us-east-1a",
        "SecurityGroupEgressRule::edge/endpoints",
        "SecurityGroupEgressRule::edge/s3",
        *(f"VpcEndpoint::{name}" for name in ("s3", "secretsmanager", "ssm", "logs", "monitoring")),
    }
    assert needed <= {name.rsplit(":", 3)[1] + "::" + name.rsplit("::", 1)[1] for name in node.depends_on}


def test_outputs_name_every_node_group_entry_and_object():
    desired = a_desired(
        tiers=(a_tier("edge", slots=(a_slot("edge", kind=a_tier().subnets),)), a_tier("out", Role.EGRESS))
    )
    outputs = declared(desired).outputs
    assert set(outputs) == {
        *("planDigest", "planSerial", "stack", "region", "vpcId", "configBucket"),
        *("nodes", "targetGroups", "routes", "records", "entries", "configs"),
    }
    assert outputs["nodes"]["edge/us-east-1a/0#1"] == {
        "instanceId": "Instance/edge-us-east-1a-0-g1",
        "interfaceId": "NetworkInterface/edge-us-east-1a-0-g1",
        "privateIp": "10.40.100.60",
    }
    assert set(outputs["targetGroups"]) == {"edge/gold", "edge/silver"}
    assert outputs["records"] == {"corp.vpn.example.com": {"zoneId": "ZPUBLIC", "type": "A"}}
    assert outputs["entries"]["corp"]["dnsName"] == "corp.elb.example.com"
    assert set(outputs["configs"]) == {o.key for o in a_rendered(desired).objects}
