"""Every type made, read without drift, changed, seen to drift, and deleted, over gRPC on the embedded AWS."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2

from tests.standin.conftest import Plugin, Resource, Site, init_failed, instance, interface
from tools.standin.embedded import EmbeddedAws
from tools.standin.kinds import KINDS
from tools.standin.wire import UNKNOWN, encode

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
)
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
HEALTH = {"protocol": "HTTP", "port": "8080", "path": "/healthz", "matcher": "200", "interval": 5, "timeout": 2}
TAGS = {"ecm:stack": "dev", "ecm:component": "test"}


def assert_stands(plugin: Plugin, resource: Resource) -> None:
    """What AWS has is what was asked for: no drift in inputs, and every promised output is there."""
    now = plugin.read(resource)
    assert now is not None
    answer = plugin.stub.Diff(
        provider_pb2.DiffRequest(
            urn=plugin.urn(resource.type_name, resource.name),
            old_inputs=encode(now.inputs),
            news=encode(resource.inputs),
        )
    )
    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE, answer
    kind = KINDS[resource.type_name]
    assert set(kind.outputs) - set(resource.state) == set(), "outputs missing after create"
    assert set(kind.outputs) - set(now.state) == set(), "outputs missing after read"


@dataclass
class World:
    """What the types under test stand on."""

    plugin: Plugin
    site: Site

    def make(self, short: str, name: str = "it", /, **inputs: Any) -> Resource:
        return self.plugin.create(next(t for t in KINDS if t.endswith(f":{short}")), name, **inputs)

    def bucket(self) -> Resource:
        return self.make("Bucket", "config", forceDestroy=True, tags=TAGS)

    def role(self) -> Resource:
        return self.make("Role", "node", assumeRolePolicy=TRUST, description="node", tags=TAGS)

    def targets(self, **more: Any) -> Resource:
        return self.make(
            "TargetGroup", "edge", port=51820, protocol="UDP", targetType="instance", vpcId=self.site.vpc.id,
            deregistrationDelay=120, connectionTermination=False, preserveClientIp="true",
            stickiness={"type": "source_ip", "enabled": False}, healthCheck=HEALTH, tags=TAGS, **more,
        )  # fmt: skip

    def balancer(self) -> Resource:
        other = self.make(
            "Subnet", "other", vpcId=self.site.vpc.id, cidrBlock="10.0.2.0/24", availabilityZone="us-east-1b"
        )
        mappings = []
        for subnet in (self.site.subnet, other):
            address = self.make("Eip", subnet.name, domain="vpc")
            mappings.append({"subnetId": subnet.id, "allocationId": address["allocationId"]})
        return self.make(
            "LoadBalancer", "edge", loadBalancerType="network", internal=False, ipAddressType="ipv4",
            subnetMappings=mappings, enableCrossZoneLoadBalancing=False, tags=TAGS,
        )  # fmt: skip

    def alarm(self) -> Resource:
        return self.make(
            "MetricAlarm", "chain", namespace="ECM", metricName="Probe", dimensions={"Stack": "dev"}, threshold=0.5,
            statistic="Average", comparisonOperator="LessThanThreshold", period=60, evaluationPeriods=3,
            datapointsToAlarm=3, treatMissingData="breaching", alarmDescription="probe", tags=TAGS,
        )  # fmt: skip


@pytest.fixture
def world(plugin: Plugin, site: Site) -> World:
    return World(plugin, site)


def _vpc(w: World) -> tuple[Resource, dict[str, Any]]:
    vpc = w.make("Vpc", cidrBlock="10.9.0.0/16", enableDnsSupport=True, enableDnsHostnames=False, tags=TAGS)
    return vpc, {"cidrBlock": "10.9.0.0/16", "enableDnsSupport": True, "enableDnsHostnames": True, "tags": TAGS}


def _route(w: World) -> tuple[Resource, dict[str, Any]]:
    first, second = interface(w.plugin, w.site, "10.0.1.10", "a"), interface(w.plugin, w.site, "10.0.1.11", "b")
    table = w.make("RouteTable", vpcId=w.site.vpc.id)
    where = {"routeTableId": table.id, "destinationCidrBlock": "10.99.0.0/16"}
    return w.make("Route", **where, networkInterfaceId=first.id), {**where, "networkInterfaceId": second.id}


def _prefix_list(w: World) -> tuple[Resource, dict[str, Any]]:
    same = {"addressFamily": "IPv4", "maxEntries": 10, "tags": TAGS}
    one, two = {"cidr": "10.1.0.0/16", "description": "one"}, {"cidr": "10.2.0.0/16", "description": "two"}
    return w.make("ManagedPrefixList", **same, entries=[one, two]), {**same, "entries": [two]}


def _endpoint(w: World) -> tuple[Resource, dict[str, Any]]:
    group = w.make("SecurityGroup", "ends", vpcId=w.site.vpc.id)
    same = {
        "vpcId": w.site.vpc.id, "serviceName": "com.amazonaws.us-east-1.ssm", "vpcEndpointType": "Interface",
        "subnetIds": [w.site.subnet.id], "privateDnsEnabled": True,
    }  # fmt: skip
    made = w.make("VpcEndpoint", **same, securityGroupIds=[w.site.group.id], tags=TAGS)
    return made, {**same, "securityGroupIds": [group.id], "tags": TAGS}


def _rule(w: World) -> tuple[Resource, dict[str, Any]]:
    same = {"securityGroupId": w.site.group.id, "ipProtocol": "udp", "fromPort": 51820, "description": "WireGuard"}
    made = w.make("SecurityGroupIngressRule", **same, toPort=51820, cidrIpv4="0.0.0.0/0", tags=TAGS)
    return made, {**same, "toPort": 51821, "cidrIpv4": "0.0.0.0/0", "tags": TAGS}


def _interface(w: World) -> tuple[Resource, dict[str, Any]]:
    made = interface(w.plugin, w.site, "10.0.1.10")
    group = w.make("SecurityGroup", "other", vpcId=w.site.vpc.id)
    new = {name: value for name, value in made.inputs.items() if name != "__defaults"}
    return made, {**new, "securityGroups": [w.site.group.id, group.id], "privateIps": ["10.0.1.10", "10.0.1.20"]}


def _instance(w: World) -> tuple[Resource, dict[str, Any]]:
    profile = w.make("InstanceProfile", role=w.role()["name"])
    made = instance(
        w.plugin, interface(w.plugin, w.site, "10.0.1.10"), monitoring=False, tenancy="default",
        iamInstanceProfile=profile["name"],
        metadataOptions={"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 1},
        rootBlockDevice={"encrypted": True, "volumeType": "gp3", "deleteOnTermination": True, "tags": TAGS},
    )  # fmt: skip
    new = {name: value for name, value in made.inputs.items() if name != "__defaults"}
    return made, {**new, "instanceType": "c7gn.xlarge", "tags": {"ecm:slot": "edge/us-east-1a/0", "ecm:note": "x"}}


def _listener(w: World) -> tuple[Resource, dict[str, Any]]:
    first, second = w.targets(), w.make("TargetGroup", "two", port=1, protocol="UDP", vpcId=w.site.vpc.id)
    same = {"loadBalancerArn": w.balancer()["arn"], "port": 51820, "protocol": "UDP", "tags": TAGS}
    made = w.make("Listener", **same, defaultActions=[{"type": "forward", "targetGroupArn": first["arn"]}])
    return made, {**same, "defaultActions": [{"type": "forward", "targetGroupArn": second["arn"]}]}


def _record(w: World) -> tuple[Resource, dict[str, Any]]:
    zone = w.make("Zone", name="vpn.example.net", comment="entries", tags=TAGS)
    same = {"zoneId": zone["zoneId"], "name": "lab.vpn.example.net", "type": "A", "setIdentifier": "dev-lab"}
    balancer = w.balancer()
    alias = [{"name": balancer["dnsName"], "zoneId": balancer["zoneId"], "evaluateTargetHealth": True}]
    made = w.make("Record", **same, aliases=alias, weightedRoutingPolicies=[{"weight": 100}])
    return made, {**same, "aliases": alias, "weightedRoutingPolicies": [{"weight": 50}]}


def _check(w: World) -> tuple[Resource, dict[str, Any]]:
    alarm = w.alarm()
    child = w.make(
        "HealthCheck", "chain", type="CLOUDWATCH_METRIC", cloudwatchAlarmName=alarm["name"],
        cloudwatchAlarmRegion="us-east-1", insufficientDataHealthStatus="LastKnownStatus", tags=TAGS,
    )  # fmt: skip
    same = {"type": "CALCULATED", "childHealthchecks": [child.id], "tags": TAGS}
    return w.make("HealthCheck", "entry", **same, childHealthThreshold=1), {**same, "childHealthThreshold": 0}


def _object(w: World) -> tuple[Resource, dict[str, Any]]:
    bucket = w.bucket()
    w.make("BucketVersioning", bucket=bucket["bucket"], versioningConfiguration={"status": "Enabled"})
    same = {"bucket": bucket["bucket"], "key": "nodes/a.json", "contentType": "application/json", "tags": TAGS}
    return w.make("BucketObjectv2", **same, content="{}"), {**same, "content": '{"new": true}'}


def _profile(w: World) -> tuple[Resource, dict[str, Any]]:
    other = w.make("Role", "other", assumeRolePolicy=TRUST)
    return w.make("InstanceProfile", role=w.role()["name"], tags=TAGS), {"role": other["name"], "tags": TAGS}


WIDGET = {"type": "text", "x": 0, "y": 0, "width": 6, "height": 6, "properties": {"markdown": "here"}}

CASES = {
    "Vpc": _vpc,
    "Route": _route,
    "ManagedPrefixList": _prefix_list,
    "VpcEndpoint": _endpoint,
    "SecurityGroupIngressRule": _rule,
    "NetworkInterface": _interface,
    "Instance": _instance,
    "Listener": _listener,
    "Record": _record,
    "HealthCheck": _check,
    "BucketObjectv2": _object,
    "InstanceProfile": _profile,
    "Subnet": lambda w: (
        w.make("Subnet", vpcId=w.site.vpc.id, cidrBlock="10.0.9.0/24", availabilityZone="us-east-1c", tags=TAGS),
        {"vpcId": w.site.vpc.id, "cidrBlock": "10.0.9.0/24", "availabilityZone": "us-east-1c", "tags": {"a": "b"}},
    ),
    "TargetGroup": lambda w: (
        t := w.targets(),
        {**{k: v for k, v in t.inputs.items() if k not in ("__defaults", "name")}, "deregistrationDelay": 60,
         "healthCheck": {**HEALTH, "interval": 10}},
    ),
    "LoadBalancer": lambda w: (
        b := w.balancer(),
        {**{k: v for k, v in b.inputs.items() if k not in ("__defaults", "name")},
         "enableCrossZoneLoadBalancing": True},
    ),
    "MetricAlarm": lambda w: (
        a := w.alarm(),
        {**{k: v for k, v in a.inputs.items() if k not in ("__defaults", "name")}, "threshold": 0.25, "tags": {}},
    ),
    "Dashboard": lambda w: (
        d := w.make("Dashboard", dashboardName="ecm-dev", dashboardBody='{"widgets":[]}'),
        {"dashboardName": d["dashboardName"], "dashboardBody": json.dumps({"widgets": [WIDGET]})},
    ),
    "LogGroup": lambda w: (w.make("LogGroup", retentionInDays=30, tags=TAGS), {"retentionInDays": 7, "tags": TAGS}),
    "Secret": lambda w: (
        w.make("Secret", description="key", recoveryWindowInDays=7, tags=TAGS),
        {"description": "edge key", "recoveryWindowInDays": 7, "tags": TAGS},
    ),
    "Role": lambda w: (w.role(), {"assumeRolePolicy": TRUST, "description": "edge", "tags": {"ecm:stack": "dev"}}),
    "RolePolicy": lambda w: (
        w.make("RolePolicy", role=w.role()["name"], policy=json.dumps(POLICY)),
        {"role": next(r for r in w.plugin.made if r.name == "node")["name"],
         "policy": json.dumps({**POLICY, "Id": "two"})},
    ),
    "BucketServerSideEncryptionConfiguration": lambda w: (
        e := w.make("BucketServerSideEncryptionConfiguration", bucket=w.bucket()["bucket"],
                    rules=[{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]),
        {"bucket": e.inputs["bucket"], "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms"}}]},
    ),
    "BucketPublicAccessBlock": lambda w: (
        a := w.make("BucketPublicAccessBlock", bucket=w.bucket()["bucket"], blockPublicAcls=True),
        {"bucket": a.inputs["bucket"], "blockPublicAcls": True, "blockPublicPolicy": True},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(CASES))
def test_made_read_changed_and_deleted(world: World, case: str) -> None:
    plugin = world.plugin
    resource, new = CASES[case](world)
    assert resource.type_name.endswith(f":{case}")
    assert_stands(plugin, resource)
    answer = plugin.diff(resource, **new)
    assert answer.changes == provider_pb2.DiffResponse.DIFF_SOME
    assert list(answer.replaces) == [], "the change is one that is made in place"
    id_ = resource.id
    plugin.update(resource, **new)
    assert resource.id == id_
    assert_stands(plugin, resource)
    plugin.delete(resource)
    assert plugin.read(resource) is None


ONCE = {
    "InternetGateway": lambda w: w.site.gateway,
    "SecurityGroup": lambda w: w.site.group,
    "RouteTable": lambda w: w.make("RouteTable", vpcId=w.site.vpc.id, tags=TAGS),
    "RouteTableAssociation": lambda w: w.make(
        "RouteTableAssociation", subnetId=w.site.subnet.id, routeTableId=w.make("RouteTable", vpcId=w.site.vpc.id).id
    ),
    "VpcEndpoint of a gateway": lambda w: w.make(
        "VpcEndpoint", vpcId=w.site.vpc.id, serviceName="com.amazonaws.us-east-1.s3", vpcEndpointType="Gateway",
        routeTableIds=[w.make("RouteTable", vpcId=w.site.vpc.id).id], tags=TAGS,
    ),
    "FlowLog": lambda w: w.make(
        "FlowLog", vpcId=w.site.vpc.id, trafficType="ALL", logDestinationType="cloud-watch-logs",
        logDestination=w.make("LogGroup")["arn"], iamRoleArn=w.role()["arn"], maxAggregationInterval=600, tags=TAGS,
    ),
    "SecurityGroupEgressRule": lambda w: w.make(
        "SecurityGroupEgressRule", securityGroupId=w.site.group.id, ipProtocol="-1", cidrIpv4="0.0.0.0/0"
    ),
    "Eip": lambda w: w.make("Eip", domain="vpc", tags=TAGS),
    "EipAssociation": lambda w: w.make(
        "EipAssociation", allocationId=w.make("Eip", domain="vpc")["allocationId"],
        networkInterfaceId=interface(w.plugin, w.site, "10.0.1.10").id,
    ),
    "TargetGroupAttachment": lambda w: w.make(
        "TargetGroupAttachment", targetGroupArn=w.targets()["arn"], port=51820,
        targetId=instance(w.plugin, interface(w.plugin, w.site, "10.0.1.10")).id,
    ),
    "Zone": lambda w: w.make("Zone", name="vpn.example.net", tags=TAGS),
    "Bucket": lambda w: w.bucket(),
    "BucketVersioning": lambda w: w.make(
        "BucketVersioning", bucket=w.bucket()["bucket"], versioningConfiguration={"status": "Enabled"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(ONCE))
def test_made_and_read(world: World, case: str) -> None:
    resource = ONCE[case](world)
    assert resource.type_name.endswith(f":{case.split(maxsplit=1)[0]}")
    assert_stands(world.plugin, resource)


def test_every_type_is_covered() -> None:
    assert {case.split()[0] for case in (*CASES, *ONCE)} == {type_name.rsplit(":", 1)[1] for type_name in KINDS}


class TestDrift:
    def test_what_somebody_changed_shows_in_the_inputs(self, world: World, aws: EmbeddedAws) -> None:
        eni = interface(world.plugin, world.site, "10.0.1.10")
        aws.client("ec2").modify_network_interface_attribute(NetworkInterfaceId=eni.id, SourceDestCheck={"Value": True})
        aws.client("ec2").create_tags(Resources=[eni.id], Tags=[{"Key": "by", "Value": "hand"}])
        now = world.plugin.read(eni)
        assert now is not None
        assert now.inputs["sourceDestCheck"] is True
        assert now.inputs["tags"] == {**eni.inputs["tags"], "by": "hand"}
        assert {k: v for k, v in now.inputs.items() if k not in ("sourceDestCheck", "tags")} == {
            k: v for k, v in eni.inputs.items() if k not in ("sourceDestCheck", "tags")
        }

    def test_what_is_gone_has_no_id(self, world: World, aws: EmbeddedAws) -> None:
        eni = interface(world.plugin, world.site, "10.0.1.10")
        node = instance(world.plugin, eni)
        aws.client("ec2").terminate_instances(InstanceIds=[node.id])
        assert world.plugin.read(node) is None
        assert world.plugin.read(eni) is not None
        world.plugin.delete(node)  # what is gone is deleted without an error

    def test_the_route_of_a_dead_node_is_a_blackhole(self, world: World, aws: EmbeddedAws) -> None:
        eni = interface(world.plugin, world.site, "10.0.1.10")
        node = instance(world.plugin, eni)
        table = world.make("RouteTable", vpcId=world.site.vpc.id)
        route = world.make(
            "Route", routeTableId=table.id, destinationCidrBlock="10.99.0.0/16", networkInterfaceId=eni.id
        )
        before = world.plugin.read(route)
        aws.client("ec2").terminate_instances(InstanceIds=[node.id])
        after = world.plugin.read(route)
        assert before is not None
        assert after is not None
        assert (before["state"], after["state"]) == ("active", "blackhole")


class TestPreview:
    def test_a_new_resource_has_unknown_outputs(self, plugin: Plugin) -> None:
        state = plugin.preview("aws:ec2/vpc:Vpc", "it", cidrBlock="10.0.0.0/16", tags=TAGS)
        assert state["cidrBlock"] == "10.0.0.0/16"
        assert state["arn"] is UNKNOWN
        assert (state["tagsAll"], state["region"]) == (TAGS, "us-east-1")

    def test_new_content_has_an_unknown_version(self, world: World) -> None:
        resource, new = _object(world)
        preview = world.plugin.update(resource, preview=True, **new)
        assert preview["versionId"] is UNKNOWN
        assert preview["arn"] == resource["arn"]
        same = world.plugin.update(resource, preview=True, **{**new, "content": "{}", "tags": {}})
        assert same["versionId"] == resource["versionId"]
        old = resource["versionId"]
        assert world.plugin.update(resource, **new)["versionId"] != old


def test_import_gives_inputs(world: World) -> None:
    eni = interface(world.plugin, world.site, "10.0.1.10")
    answer = world.plugin.stub.Read(provider_pb2.ReadRequest(id=eni.id, urn=world.plugin.urn(eni.type_name, "it")))
    assert answer.id == eni.id
    assert answer.inputs.fields["subnetId"].string_value == world.site.subnet.id


def test_a_half_made_resource_is_reported_with_its_id(world: World, aws: EmbeddedAws) -> None:
    aws.faults({"fail": [{"action": "ModifyNetworkInterfaceAttribute", "code": "RequestLimitExceeded"}]})
    with pytest.raises(grpc.RpcError, match="RequestLimitExceeded") as caught:
        interface(world.plugin, world.site, "10.0.1.10")
    aws.faults()
    failed = init_failed(caught.value)
    assert failed.id.startswith("eni-")
    assert failed.inputs.fields["subnetId"].string_value == world.site.subnet.id
    assert failed.inputs.fields["sourceDestCheck"].bool_value is True, "as it is, so that the next update changes it"
    assert "RequestLimitExceeded" in failed.reasons[0]
    aws.client("ec2").delete_network_interface(NetworkInterfaceId=failed.id)  # it does exist


def test_a_half_made_change_is_reported_with_what_is(world: World, aws: EmbeddedAws) -> None:
    eni = interface(world.plugin, world.site, "10.0.1.10")
    aws.faults({"fail": [{"action": "ModifyNetworkInterfaceAttribute"}]})
    new = {name: value for name, value in eni.inputs.items() if name != "__defaults"}
    with pytest.raises(grpc.RpcError) as caught:
        world.plugin.update(eni, **{**new, "sourceDestCheck": True, "tags": {"changed": "yes"}})
    failed = init_failed(caught.value)
    assert failed.inputs.fields["sourceDestCheck"].bool_value is False
    assert dict(failed.inputs.fields["tags"].struct_value)["changed"] == "yes"
