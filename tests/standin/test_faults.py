"""Faults from outside: what the file may say, and what AWS does then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import grpc
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.standin.conftest import Plugin, Site, instance, interface
from tests.standin.test_refusals import refused, targets
from tools.standin.embedded import EmbeddedAws
from tools.standin.faults import FaultError, FaultFile, Faults, parse, write


class TestFile:
    @pytest.mark.parametrize(
        ("document", "reason"),
        [
            ("{", "not JSON"),
            ('{"no_capcity": []}', "unknown field 'no_capcity'"),
            ('{"quotas": {"cpus": 1}}', "names are vcpus, addresses, interfaces"),
            ('{"no_capacity": [{"zome": "a"}]}', r"no_capacity\[0\]"),
            ('{"fail": [{"code": "X"}]}', r"fail\[0\].*action"),
        ],
    )
    def test_mistakes_are_named(self, document: str, reason: str) -> None:
        with pytest.raises(FaultError, match=reason):
            parse(document)

    def test_a_mistake_is_never_written(self, tmp_path: Path) -> None:
        with pytest.raises(FaultError):
            write(tmp_path / "faults.json", {"x": 1})
        assert list(tmp_path.iterdir()) == []

    def test_it_is_read_again_when_it_changes_and_forgotten_when_it_goes(self, tmp_path: Path) -> None:
        path = tmp_path / "faults.json"
        file = FaultFile(path)
        assert file.now == Faults()
        write(path, {"no_capacity": [{"shape": "c7gn.large", "zone": "us-east-1a"}]})
        assert not file.now.capacity("c7gn.large", "us-east-1a")
        assert file.now.capacity("c7gn.large", "us-east-1b")
        write(path, {"no_capacity": [{"zone": "us-east-1b"}]})
        assert file.now.capacity("c7gn.large", "us-east-1a")
        assert not file.now.capacity("t4g.small", "us-east-1b")
        path.unlink()
        assert file.now == Faults()

    def test_a_call_fails_as_often_as_it_says(self, tmp_path: Path) -> None:
        write(tmp_path / "f", {"fail": [{"action": "RunInstances", "skip": 1, "times": 2}]})
        file = FaultFile(tmp_path / "f")
        assert [file.failing("RunInstances") is not None for _ in range(5)] == [False, True, True, False, False]
        assert file.failing("CreateVpc") is None


class TestFlaky:
    def test_a_share_of_the_calls_fails_the_same_ones_each_time(self, tmp_path: Path) -> None:
        write(tmp_path / "f", {"flaky": {"permille": 200, "seed": 3}})
        drawn = [FaultFile(tmp_path / "f") for _ in range(2)]
        first, second = ([file.flaking() for _ in range(2000)] for file in drawn)
        assert first == second
        assert set(first) == {None, "throttle", "error", "drop"}
        assert 320 < sum(how is not None for how in first) < 480
        write(tmp_path / "f", {"flaky": {"permille": 200, "seed": 4}})
        assert [drawn[0].flaking() for _ in range(2000)] != first

    def test_a_way_to_fail_that_is_not_known_is_named(self) -> None:
        with pytest.raises(FaultError, match="one of throttle, error, drop, mixed"):
            parse('{"flaky": {"how": "slow"}}')

    @pytest.mark.parametrize(("how", "said"), [("throttle", "RequestLimitExceeded"), ("error", "InternalError")])
    def test_every_kind_of_call_fails_so(self, aws: EmbeddedAws, how: str, said: str) -> None:
        aws.faults({"flaky": {"permille": 1000, "how": how}})
        try:
            for service, call in (("ec2", "describe_vpcs"), ("elbv2", "describe_load_balancers")):
                with pytest.raises(ClientError, match=said):
                    getattr(once(aws, service), call)()
            with pytest.raises(ClientError):
                once(aws, "s3").list_buckets()
        finally:
            aws.faults()

    def test_a_call_may_get_no_answer(self, aws: EmbeddedAws) -> None:
        aws.faults({"flaky": {"permille": 1000, "how": "drop"}})
        try:
            with pytest.raises(ConnectionClosedError):
                once(aws, "ec2").describe_vpcs()
        finally:
            aws.faults()


def once(aws: EmbeddedAws, service: str) -> Any:
    """A client that does not try again."""
    return boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url=aws.endpoint,
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"mode": "standard", "total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


class TestCapacity:
    def test_no_capacity_for_a_shape_in_a_zone(self, plugin: Plugin, site: Site, aws: EmbeddedAws) -> None:
        eni = interface(plugin, site, "10.0.1.10")
        aws.faults({"no_capacity": [{"shape": "c7gn.large", "zone": "us-east-1a"}]})
        words = refused("InsufficientInstanceCapacity", lambda: instance(plugin, eni))
        assert "c7gn.large" in words
        assert "us-east-1a" in words
        instance(plugin, eni, shape="c7gn.xlarge")

    def test_quota_of_vcpus_counts_what_runs(self, plugin: Plugin, site: Site, aws: EmbeddedAws) -> None:
        ec2 = aws.client("ec2")
        running = [i["InstanceId"] for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]
        if running:
            ec2.terminate_instances(InstanceIds=running)
        aws.faults({"quotas": {"vcpus": 3}})
        node = instance(plugin, interface(plugin, site, "10.0.1.10"), "one")
        second = interface(plugin, site, "10.0.1.11", "second")
        refused("VcpuLimitExceeded", lambda: instance(plugin, second, "two"))
        plugin.delete(node)
        instance(plugin, second, "two")

    def test_quotas_of_addresses_and_interfaces(self, plugin: Plugin, site: Site, aws: EmbeddedAws) -> None:
        ec2 = aws.client("ec2")
        have = len(ec2.describe_addresses()["Addresses"])
        aws.faults({"quotas": {"addresses": have + 1}})
        plugin.create("aws:ec2/eip:Eip", "one", domain="vpc")
        refused("AddressLimitExceeded", lambda: plugin.create("aws:ec2/eip:Eip", "two", domain="vpc"))
        have = len(ec2.describe_network_interfaces()["NetworkInterfaces"])
        aws.faults({"quotas": {"interfaces": have + 1}})
        interface(plugin, site, "10.0.1.10", "one")
        refused("NetworkInterfaceLimitExceeded", lambda: interface(plugin, site, "10.0.1.11", "two"))


class TestHealth:
    def states(self, aws: EmbeddedAws, group: str) -> dict[str, tuple[str, str]]:
        described = aws.client("elbv2").describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return {d["Target"]["Id"]: (d["TargetHealth"]["State"], d["TargetHealth"].get("Reason", "")) for d in described}

    def test_by_instance_by_tags_and_all(self, plugin: Plugin, site: Site, aws: EmbeddedAws) -> None:
        group = targets(plugin, site)["arn"]
        nodes = []
        for number in range(2):
            node = instance(plugin, interface(plugin, site, f"10.0.1.{10 + number}", f"n{number}"), f"n{number}")
            kind = "aws:lb/targetGroupAttachment:TargetGroupAttachment"
            plugin.create(kind, f"n{number}", targetGroupArn=group, targetId=node.id, port=51820)
            nodes.append(node.id)
        assert {state for state, _ in self.states(aws, group).values()} == {"healthy"}
        aws.faults({"unhealthy": [{"instance": nodes[0]}]})
        assert self.states(aws, group)[nodes[0]] == ("unhealthy", "Target.FailedHealthChecks")
        assert self.states(aws, group)[nodes[1]][0] == "healthy"
        aws.faults({"unhealthy": [{"tags": {"ecm:slot": "edge/us-east-1a/0"}, "reason": "Target.Timeout"}]})
        assert set(self.states(aws, group).values()) == {("unhealthy", "Target.Timeout")}
        aws.faults({"unhealthy": [{"tags": {"ecm:slot": "another"}}]})
        assert {state for state, _ in self.states(aws, group).values()} == {"healthy"}
        aws.faults()
        aws.client("ec2").terminate_instances(InstanceIds=[nodes[0]])
        assert nodes[0] not in {i for i, (state, _) in self.states(aws, group).items() if state == "healthy"}


class TestCalls:
    @pytest.fixture(autouse=True)
    def mended(self, aws: EmbeddedAws) -> Iterator[None]:
        yield
        aws.faults()

    @pytest.mark.parametrize(
        ("service", "action", "call"),
        [
            ("ec2", "DescribeVpcs", lambda c: c.describe_vpcs()),
            ("elbv2", "DescribeLoadBalancers", lambda c: c.describe_load_balancers()),
            ("iam", "ListRoles", lambda c: c.list_roles()),
            ("sts", "GetCallerIdentity", lambda c: c.get_caller_identity()),
        ],
    )
    def test_every_query_service_shows_its_code(self, aws: EmbeddedAws, service: str, action: str, call: Any) -> None:
        client = aws.client(service)
        aws.faults({"fail": [{"action": action, "code": "Injected", "message": "said so", "times": 1}]})
        with pytest.raises(ClientError) as caught:
            call(client)
        assert caught.value.response["Error"]["Code"] == "Injected"
        assert caught.value.response["Error"]["Message"] == "said so"
        call(client)

    def test_a_broken_file_is_reported_by_every_call(self, aws: EmbeddedAws) -> None:
        aws.fault_file.write_text(json.dumps({"wrong": 1}))
        with pytest.raises(ClientError, match="unknown field 'wrong'"):
            aws.client("ec2").describe_vpcs()

    def test_a_fault_while_deleting_leaves_the_resource(self, plugin: Plugin, site: Site, aws: EmbeddedAws) -> None:
        eni = interface(plugin, site, "10.0.1.10")
        aws.faults({"fail": [{"action": "DeleteNetworkInterface", "times": 1}]})
        with pytest.raises(grpc.RpcError, match="injected fault"):
            plugin.delete(eni)
        assert plugin.read(eni) is not None
        plugin.delete(eni)
