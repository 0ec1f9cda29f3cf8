"""Check: what the stand-in refuses, and what it fills in."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2

from tools.standin.check import checked, diff
from tools.standin.config import config_failures
from tools.standin.kinds import KINDS
from tools.standin.wire import UNKNOWN, decode, encode

SEED = b"seed"
VPC, INSTANCE, OBJECT = "aws:ec2/vpc:Vpc", "aws:ec2/instance:Instance", "aws:s3/bucketObjectv2:BucketObjectv2"
RULE, RECORD = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "aws:route53/record:Record"
GROUP, BALANCER = "aws:lb/targetGroup:TargetGroup", "aws:lb/loadBalancer:LoadBalancer"


def check(
    type_name: str, news: dict[str, Any], olds: dict[str, Any] | None = None, **more: Any
) -> tuple[dict[str, Any], str]:
    request = provider_pb2.CheckRequest(
        urn=f"urn:pulumi:test::project::ecm:aws:Tier${type_name}::{more.get('name', 'edge')}",
        news=encode(news),
        olds=encode(olds or {}),
        randomSeed=more.get("seed", SEED),
    )
    inputs, failed = checked(KINDS[type_name], request, more.get("tags", {}))
    return inputs, "; ".join(f"{name}: {reason}" for name, reason in failed)


NODE = {"ami": "ami-0123456789abcdef0", "instanceType": "c7gn.large", "subnetId": "subnet-0123456789abcdef0"}
UDP = {"securityGroupId": "sg-0123456789abcdef0", "ipProtocol": "udp", "fromPort": 1, "toPort": 2}
HOST = {"zoneId": "Z1", "name": "a", "type": "A", "records": ["192.0.2.1"]}
HEALTH = {"protocol": "HTTP", "port": "8080", "interval": 5, "timeout": 2}
TARGETS = {"name": "edge", "port": 51820, "protocol": "UDP", "vpcId": "vpc-0123456789abcdef0"}

BOARD = "aws:cloudwatch/dashboard:Dashboard"


def _wide() -> str:
    """A dashboard with one widget that is wider than the grid."""
    return '{"widgets":[{"type":"text","properties":{},"x":20,"y":0,"width":6,"height":6}]}'


@pytest.mark.parametrize(
    ("type_name", "inputs", "reason"),
    [
        (VPC, {"cidrBlock": "10.0.0.0/16", "cidr": "x"}, "unknown property 'cidr'"),
        (VPC, {}, "required property 'cidrBlock' is missing"),
        (VPC, {"cidrBlock": 10}, "must be a string, not 10"),
        (VPC, {"cidrBlock": "10.0.0.0"}, "does not have the form"),
        (VPC, {"cidrBlock": "10.0.0.0/16", "instanceTenancy": "shared"}, "not one of default, dedicated"),
        (VPC, {"cidrBlock": "10.0.0.0/16", "enableDnsSupport": "true"}, "must be true or false"),
        (BOARD, {"dashboardName": "a", "dashboardBody": "{}"}, "InvalidParameterInput: 'widgets'"),
        (BOARD, {"dashboardName": "a", "dashboardBody": '{"widgets":[{"type":"text"}]}'}, "InvalidParameterInput"),
        (BOARD, {"dashboardName": "a", "dashboardBody": _wide()}, "InvalidParameterInput: widgets"),
        (BOARD, {"dashboardName": "a b", "dashboardBody": '{"widgets":[]}'}, "does not have the form"),
        (VPC, {"cidrBlock": "10.0.0.0/16", "tags": {"aws:x": "y"}}, "not a key that AWS takes"),
        (VPC, {"cidrBlock": "10.0.0.0/16", "tags": {"x": "y" * 257}}, "longer than 256"),
        (VPC, {"cidrBlock": "10.0.0.0/16", "tags": {f"k{n}": "v" for n in range(51)}}, "more than 50"),
        (INSTANCE, {**NODE, "ami": "ubuntu"}, "does not have the form"),
        (INSTANCE, {**NODE, "rootBlockDevice": {"encrypt": True}}, "unknown property 'rootBlockDevice.encrypt'"),
        (INSTANCE, {**NODE, "metadataOptions": {"httpTokens": "yes"}}, "not one of optional, required"),
        (INSTANCE, {**NODE, "metadataOptions": {"httpPutResponseHopLimit": 0}}, "below 1"),
        (INSTANCE, {**NODE, "primaryNetworkInterface": {"networkInterfaceId": "eni-0123456789abcdef0"}}, "exactly one"),
        (INSTANCE, {**NODE, "userData": "x" * 16385}, "more than EC2's 16384"),
        (OBJECT, {"bucket": "abc", "key": "k"}, "exactly one of content"),
        (OBJECT, {"bucket": "abc", "key": "k", "content": "", "tags": {f"k{n}": "v" for n in range(11)}}, "ten"),
        (RULE, {**UDP, "cidrIpv4": "0.0.0.0/0", "prefixListId": "pl-0123456789abcdef0"}, "exactly one of cidrIpv4"),
        (RULE, {**UDP, "cidrIpv4": "0.0.0.0/0", "toPort": 65536}, "above 65535"),
        (RULE, {**UDP, "cidrIpv4": "0.0.0.0/0", "fromPort": 1.5}, "a whole number"),
        (RULE, {**UDP, "cidrIpv4": "10.0.0.0/8", "toPort": None}, "needed with tcp"),
        (RULE, {**UDP, "ipProtocol": "-1", "cidrIpv4": "10.0.0.0/8"}, "do not go with ipProtocol -1"),
        (GROUP, {**TARGETS, "healthCheck": {**HEALTH, "timeout": 5}}, "must be smaller than interval"),
        (GROUP, {**TARGETS, "name": "x" * 33}, "does not have the form"),
        (BALANCER, {"loadBalancerType": "application", "subnets": ["subnet-1"]}, "not one of network"),
        (RECORD, HOST, "ttl is needed"),
        (
            RECORD,
            {**HOST, "ttl": 5, "weightedRoutingPolicies": [{"weight": 1}]},
            "setIdentifier is needed",
        ),
        ("aws:iam/role:Role", {"assumeRolePolicy": "not json"}, "must be a JSON document"),
        ("aws:cloudwatch/logGroup:LogGroup", {"retentionInDays": 31}, "is not one of"),
        ("aws:secretsmanager/secret:Secret", {"recoveryWindowInDays": 3}, "neither 0 nor 7 to 30"),
        (
            "aws:ec2/managedPrefixList:ManagedPrefixList",
            {"addressFamily": "IPv4", "maxEntries": 1, "entries": [{"cidr": "10.0.0.0/8"}, {"cidr": "11.0.0.0/8"}]},
            "more than maxEntries",
        ),
        (
            "aws:route53/healthCheck:HealthCheck",
            {"type": "CALCULATED", "childHealthchecks": ["x"]},
            "childHealthThreshold is needed",
        ),
    ],
)  # fmt: skip
def test_refused(type_name: str, inputs: dict[str, Any], reason: str) -> None:
    assert reason in check(type_name, inputs)[1]


def test_accepted_inputs_come_back_as_they_are() -> None:
    inputs, failed = check(INSTANCE, {**NODE, "monitoring": False, "tags": {"a": "b"}})
    assert failed == ""
    assert inputs == {**NODE, "monitoring": False, "tags": {"a": "b"}, "__defaults": []}


def test_unknown_values_pass_the_check() -> None:
    inputs, failed = check(RULE, {**UDP, "securityGroupId": UNKNOWN, "cidrIpv4": UNKNOWN})
    assert failed == ""
    assert inputs["securityGroupId"] is UNKNOWN


def test_names_come_from_the_seed_and_stay() -> None:
    first, _ = check("aws:iam/role:Role", {"assumeRolePolicy": "{}"})
    again, _ = check("aws:iam/role:Role", {"assumeRolePolicy": "{}"})
    other, _ = check("aws:iam/role:Role", {"assumeRolePolicy": "{}"}, seed=b"other")
    kept, _ = check("aws:iam/role:Role", {"assumeRolePolicy": "{}"}, olds=first, seed=b"other")
    assert first["name"] == again["name"] == kept["name"] != other["name"]
    assert first["name"].startswith("edge-")
    assert len(first["name"]) == len("edge-") + 7
    given, _ = check("aws:iam/role:Role", {"assumeRolePolicy": "{}", "name": "mine"}, olds=first)
    assert (given["name"], given["__defaults"]) == ("mine", [])


def test_names_are_as_long_as_aws_takes() -> None:
    inputs, failed = check(GROUP, {k: v for k, v in TARGETS.items() if k != "name"}, name="n" * 60)
    assert failed == ""
    assert len(inputs["name"]) == 32
    bucket, failed = check("aws:s3/bucket:Bucket", {}, name="Config")
    assert failed == ""
    assert bucket["bucket"].startswith("config-")


def test_provider_tags_lie_under_the_resource_tags() -> None:
    inputs, _ = check(VPC, {"cidrBlock": "10.0.0.0/16", "tags": {"a": "own"}}, tags={"a": "provider", "b": "provider"})
    assert inputs["tags"] == {"a": "own", "b": "provider"}


class TestDiff:
    def paths(self, type_name: str, old: dict[str, Any], new: dict[str, Any]) -> dict[str, str]:
        answer = diff(KINDS[type_name], decode(encode(old)), decode(encode(new)))
        kinds = provider_pb2.PropertyDiff.Kind
        return {path: kinds.Name(d.kind) for path, d in answer.detailedDiff.items()}

    def test_nothing(self) -> None:
        answer = diff(KINDS[INSTANCE], NODE, dict(NODE))
        assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"instanceType": "c7gn.xlarge"}, {"instanceType": "UPDATE"}),
            ({"ami": "ami-1123456789abcdef0"}, {"ami": "UPDATE_REPLACE"}),
            ({"subnetId": "subnet-1123456789abcdef0"}, {"subnetId": "UPDATE_REPLACE"}),
            ({"tenancy": "dedicated"}, {"tenancy": "ADD_REPLACE"}),
            ({"userData": "x"}, {"userData": "ADD"}),
            (
                {"userData": "x", "userDataReplaceOnChange": True},
                {"userData": "ADD_REPLACE", "userDataReplaceOnChange": "ADD"},
            ),
            ({"tags": {"a": "b"}}, {"tags": "ADD"}),
            ({"rootBlockDevice": {"encrypted": True}}, {"rootBlockDevice": "ADD"}),
        ],
    )  # fmt: skip
    def test_instance(self, change: dict[str, Any], expected: dict[str, str]) -> None:
        assert self.paths(INSTANCE, NODE, {**NODE, **change}) == expected

    def test_nested_properties_are_named(self) -> None:
        old = {**NODE, "tags": {"a": "1", "b": "2"}, "rootBlockDevice": {"encrypted": True, "volumeSize": 8}}
        new = {**NODE, "tags": {"a": "3", "c": "4"}, "rootBlockDevice": {"encrypted": False, "volumeSize": 9}}
        assert self.paths(INSTANCE, old, new) == {
            'tags["a"]': "UPDATE",
            'tags["b"]': "DELETE",
            'tags["c"]': "ADD",
            "rootBlockDevice.encrypted": "UPDATE_REPLACE",
            "rootBlockDevice.volumeSize": "UPDATE",
        }
        answer = diff(KINDS[INSTANCE], old, new)
        assert list(answer.replaces) == ["rootBlockDevice"]
        assert list(answer.diffs) == ["rootBlockDevice", "tags"]

    def test_an_unknown_that_replaces_replaces(self) -> None:
        assert self.paths(INSTANCE, NODE, {**NODE, "subnetId": UNKNOWN}) == {"subnetId": "UPDATE_REPLACE"}

    def test_order_of_sets_and_form_of_json_are_no_change(self) -> None:
        eni = "aws:ec2/networkInterface:NetworkInterface"
        assert self.paths(eni, {"securityGroups": ["sg-1", "sg-2"]}, {"securityGroups": ["sg-2", "sg-1"]}) == {}
        assert self.paths(eni, {"privateIps": ["a", "b"]}, {"privateIps": ["b", "a"]}) == {"privateIps": "UPDATE"}
        role = "aws:iam/role:Role"
        assert self.paths(role, {"assumeRolePolicy": '{"a": 1}'}, {"assumeRolePolicy": '{"a":1}'}) == {}
        assert self.paths(role, {"assumeRolePolicy": '{"a": 1}'}, {"assumeRolePolicy": '{"a":2}'}) != {}
        assert self.paths(VPC, {"tags": {}}, {}) == {}

    def test_a_given_name_is_deleted_before_its_replacement(self) -> None:
        old = {**TARGETS, "__defaults": []}
        assert diff(KINDS[GROUP], old, {**old, "port": 1}).deleteBeforeReplace
        auto = {**TARGETS, "__defaults": ["name"]}
        assert not diff(KINDS[GROUP], auto, {**auto, "port": 1}).deleteBeforeReplace
        assert not diff(KINDS[GROUP], old, {**old, "port": 1, "name": "edge-1"}).deleteBeforeReplace

    def test_a_balancer_gains_zones_in_place_and_loses_them_by_replacement(self) -> None:
        one, two = {"subnetId": "subnet-1"}, {"subnetId": "subnet-2"}
        assert self.paths(BALANCER, {"subnetMappings": [one]}, {"subnetMappings": [two, one]}) == {
            "subnetMappings[0]": "ADD"
        }
        lost = self.paths(BALANCER, {"subnetMappings": [one, two]}, {"subnetMappings": [one]})
        assert set(lost.values()) == {"DELETE_REPLACE"}


class TestConfiguration:
    @pytest.fixture(autouse=True)
    def environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in (("ENDPOINT_URL", "http://127.0.0.1:5"), ("ACCESS_KEY_ID", "x"), ("REGION", "us-east-1")):
            monkeypatch.setenv(f"AWS_{name}", value)

    def test_the_environment_is_enough(self) -> None:
        assert config_failures({}) == []

    @pytest.mark.parametrize(
        ("name", "value", "reason"),
        [
            ("AWS_ENDPOINT_URL", "https://ec2.us-east-1.amazonaws.com", "loopback only"),
            ("AWS_ENDPOINT_URL", "", "loopback only"),
            ("AWS_REGION", "", "region is not set"),
            ("AWS_ACCESS_KEY_ID", "", "no credentials"),
        ],
    )
    def test_refused(self, monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str) -> None:
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        monkeypatch.setenv(name, value)
        assert reason in str(config_failures({}))

    def test_unknown_properties_are_refused(self) -> None:
        assert "unknown provider property 'asumeRoles'" in str(config_failures({"asumeRoles": []}))


def test_unknown_types_and_functions_are_refused(stub: Any) -> None:
    with pytest.raises(grpc.RpcError, match="does not serve aws:rds/instance:Instance"):
        stub.Check(provider_pb2.CheckRequest(urn="urn:pulumi:t::p::aws:rds/instance:Instance::db"))
    with pytest.raises(grpc.RpcError, match="does not serve aws:ec2/getAmi:getAmi"):
        stub.Invoke(provider_pb2.InvokeRequest(tok="aws:ec2/getAmi:getAmi"))


def test_functions_answer(stub: Any) -> None:
    answer = stub.Invoke(provider_pb2.InvokeRequest(tok="aws:index/getCallerIdentity:getCallerIdentity"))
    assert decode(getattr(answer, "return"))["accountId"] == "123456789012"
    answer = stub.Invoke(provider_pb2.InvokeRequest(tok="aws:index/getAvailabilityZones:getAvailabilityZones"))
    assert "us-east-1a" in decode(getattr(answer, "return"))["names"]
