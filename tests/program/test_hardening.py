"""What a reviewer of security looks for, checked on every resource that the program declares."""

from __future__ import annotations

import inspect
import json
import re
from functools import cache
from importlib import import_module
from typing import Any

import pytest

from ecm import infra
from ecm.infra.access import METRIC_NAMESPACE, SESSION_ACTIONS
from ecm.model.fleet import Role, Tenancy
from ecm.model.plan import Adjacency, SubnetKind
from tests.builders import a_chain, a_desired, a_plan, a_rendered, a_tier
from tests.program.recording import SIGNED, Recording, record


@cache
def recording() -> Recording:
    """Three tiers, with a pre-shared key between the last two."""
    tiers = (
        a_tier("edge"),
        a_tier("mid", Role.TRANSIT, pre_shared_key=True, tenancy=Tenancy.DEDICATED),
        a_tier("out", Role.EGRESS),
    )
    desired = a_desired(
        tiers=tiers,
        adjacencies=(
            Adjacency(vpn="corp", number=0, upstream="edge", downstream="mid", tunnels=1),
            Adjacency(vpn="corp", number=3, upstream="mid", downstream="out", tunnels=2),
        ),
        chains=(a_chain(("edge", "mid", "out")),),
    )
    rendered = a_rendered(desired)
    plan = a_plan(desired, rendered)
    return record(lambda: infra.declare(plan, rendered, SIGNED))


def rules(direction: str, group: str) -> list[dict[str, Any]]:
    return [
        r.inputs
        for r in recording().of(f"SecurityGroup{direction}Rule")
        if r.inputs["securityGroupId"] == f"SecurityGroup/{group}"
    ]


def statements(policy: str) -> list[dict[str, Any]]:
    return json.loads(recording().one("RolePolicy", policy).inputs["policy"])["Statement"]


def resources_of(policy: str, action: str) -> list[str]:
    return [r for s in statements(policy) if action in s["Action"] for r in s["Resource"]]


def test_no_rule_opens_the_port_of_ssh():
    for rule in recording().of("SecurityGroupIngressRule"):
        given = rule.inputs
        assert given["ipProtocol"] != "-1", rule.name
        assert not given["fromPort"] <= 22 <= given["toPort"], rule.name


def test_security_groups_have_no_rules_inside_them():
    for group in recording().of("SecurityGroup"):
        assert not {"ingress", "egress"} & group.inputs.keys()


def test_only_the_entry_tier_is_open_to_the_internet_and_only_on_its_tunnel_ports():
    open_rules = [r for r in recording().of("SecurityGroupIngressRule") if r.inputs.get("cidrIpv4") == "0.0.0.0/0"]
    assert {(r.inputs["securityGroupId"], r.inputs["ipProtocol"], r.inputs["fromPort"]) for r in open_rules} == {
        ("SecurityGroup/edge", "udp", 51820.0),
        ("SecurityGroup/edge", "udp", 51821.0),
    }
    assert all(r.inputs["fromPort"] == r.inputs["toPort"] for r in open_rules)


def test_health_is_asked_from_the_subnets_of_the_load_balancer_and_by_nodes_of_the_tier_only():
    health = [r for group in ("edge", "mid", "out") for r in rules("Ingress", group) if r["fromPort"] == 8080]
    askers = {(r["securityGroupId"], r.get("cidrIpv4") or r["referencedSecurityGroupId"]) for r in health}
    assert askers == {("SecurityGroup/edge", a) for a in ("10.40.200.0/24", "10.40.201.0/24", "SecurityGroup/edge")}
    assert {r["ipProtocol"] for r in health} == {"tcp"}


def test_tiers_reach_each_other_only_as_neighbours_and_on_the_ports_of_their_tunnels():
    tunnels = {
        (r["securityGroupId"], r["referencedSecurityGroupId"], r["fromPort"], r["toPort"])
        for group in ("edge", "mid", "out")
        for r in rules("Ingress", group)
        if "referencedSecurityGroupId" in r and r["ipProtocol"] == "udp"
    }
    first, second = (20000.0, 20127.0), (20384.0, 20511.0)
    edge, mid, out = (f"SecurityGroup/{t}" for t in ("edge", "mid", "out"))
    assert tunnels == {(edge, mid, *first), (mid, edge, *first), (mid, out, *second), (out, mid, *second)}


def test_a_tier_that_does_not_exit_reaches_nothing_but_endpoints_and_neighbours():
    for group in ("edge", "mid"):
        for rule in rules("Egress", group):
            target = rule.get("referencedSecurityGroupId") or rule.get("prefixListId")
            assert target in {f"SecurityGroup/{g}" for g in ("endpoints", "edge", "mid", "out")} | {"pl-s3"}
    assert {"ManagedPrefixList/corp-applications"} == {
        r["prefixListId"] for r in rules("Egress", "out") if r["ipProtocol"] == "-1"
    }
    assert not [r for r in recording().of("SecurityGroupEgressRule") if "cidrIpv4" in r.inputs]


def test_instances_need_session_tokens_one_hop_away_and_have_encrypted_disks_and_no_key_pair():
    instances = recording().of("Instance")
    assert len(instances) == 6
    for instance in instances:
        given = instance.inputs
        assert given["metadataOptions"]["httpTokens"] == "required"
        assert given["metadataOptions"]["httpPutResponseHopLimit"] == 1
        assert given["rootBlockDevice"]["encrypted"] is True
        assert "keyName" not in given
        assert given["tenancy"] == ("dedicated" if instance.name.startswith("mid-") else "default")


def test_nodes_forward_so_their_interfaces_do_not_check_addresses():
    assert all(i.inputs["sourceDestCheck"] is False for i in recording().of("NetworkInterface"))


def test_only_nodes_of_a_tier_that_exits_have_a_public_address():
    nodes = {a.name for a in recording().of("EipAssociation")}
    assert nodes == {"out-us-east-1a-0-g1", "out-us-east-1b-0-g1"}
    assert not any(s.inputs["mapPublicIpOnLaunch"] for s in recording().of("Subnet"))


def test_no_statement_of_any_role_has_a_wildcard_action():
    policies = recording().of("RolePolicy")
    assert len(policies) == 1 + 3 + 6
    for policy in policies:
        for statement in json.loads(policy.inputs["policy"])["Statement"]:
            assert not [a for a in statement["Action"] if "*" in a], policy.name
            assert "NotAction" not in statement


def test_a_wildcard_resource_is_only_for_actions_that_know_no_other():
    for policy in recording().of("RolePolicy"):
        for statement in json.loads(policy.inputs["policy"])["Statement"]:
            if "*" not in statement["Resource"]:
                continue
            if statement["Action"] == ["cloudwatch:PutMetricData"]:
                assert statement["Condition"] == {"StringEquals": {"cloudwatch:namespace": METRIC_NAMESPACE}}
            else:
                assert statement["Action"] == list(SESSION_ACTIONS)


def test_only_the_entry_tier_reads_its_edge_key_and_only_the_pair_its_pre_shared_key():
    edge, pair = "arn:aws:mock:::Secret/edge/edge", "arn:aws:mock:::Secret/pair/mid/out"
    first = "arn:aws:mock:::Secret/pair/edge/mid"
    action = "secretsmanager:GetSecretValue"
    assert resources_of("tier-edge", action) == [edge, first]
    assert resources_of("tier-mid", action) == [first, pair]
    assert resources_of("tier-out", action) == [pair]


def test_secrets_are_declared_without_a_value():
    assert recording().of("Secret")
    assert not recording().of("SecretVersion")


def test_a_node_may_write_its_own_key_and_report_and_no_others():
    bucket = "arn:aws:mock:::Bucket/ecm-dev-config"
    (statement,) = statements("mid-us-east-1b-0-g1")
    assert statement["Action"] == ["s3:PutObject"]
    assert statement["Resource"] == [
        f"{bucket}/keys/mid/us-east-1b/0/g1.pub",
        f"{bucket}/reports/mid/us-east-1b/0/g1.json",
    ]
    assert statement["Condition"] == {
        "ArnEquals": {"ec2:SourceInstanceARN": "arn:aws:mock:::Instance/mid-us-east-1b-0-g1"}
    }
    assert not [a for tier in ("edge", "mid", "out") for a in resources_of(f"tier-{tier}", "s3:PutObject")]


def test_a_tier_reads_its_own_configuration_and_the_keys_of_its_neighbours():
    bucket = "arn:aws:mock:::Bucket/ecm-dev-config"
    assert set(resources_of("tier-edge", "s3:GetObject")) == {
        f"{bucket}/manifest.json",
        *(f"{bucket}/{prefix}/*" for prefix in ("nodes/edge", "vpns/corp", "keys/edge", "keys/mid")),
    }


def test_the_configuration_bucket_is_versioned_encrypted_and_closed_before_its_first_object():
    settings = recording().of("BucketPublicAccessBlock")[0].inputs
    assert [settings[k] for k in settings if k != "bucket"] == [True] * 4
    assert recording().of("BucketVersioning")[0].inputs["versioningConfiguration"] == {"status": "Enabled"}
    for stored in recording().of("BucketObjectv2"):
        kinds = {name.split("::")[0].split(":")[-1] for name in stored.depends_on}
        assert {"BucketVersioning", "BucketServerSideEncryptionConfiguration", "BucketPublicAccessBlock"} <= kinds


def _taggable(token: str) -> bool:
    module, name = token.removeprefix("aws:").split("/", maxsplit=1)[0], token.rsplit(":", 1)[-1]
    resource = getattr(import_module(f"pulumi_aws.{module}"), name)
    return "tags" in inspect.signature(resource._internal_init).parameters


def test_everything_that_can_be_tagged_says_its_stack_component_and_name():
    taggable = [r for r in recording().resources if r.type.startswith("aws:") and _taggable(r.type)]
    assert len(taggable) > 80
    for resource in taggable:
        tags = resource.inputs["tags"]
        assert tags["ecm:stack"] == "dev", resource.urn
        assert tags["ecm:component"], resource.urn
        assert tags["Name"].startswith("dev/"), resource.urn


@pytest.mark.parametrize("token", ["Instance", "NetworkInterface", "Eip"])
def test_what_belongs_to_a_node_says_its_slot_and_generation(token):
    for resource in recording().of(token):
        if resource.inputs["tags"]["ecm:component"] == "node":
            zone = resource.inputs["tags"]["ecm:slot"].split("/")[1]
            assert zone in resource.name
            assert resource.inputs["tags"]["ecm:generation"] == "1"


def test_private_subnets_have_no_way_to_the_internet():
    tables = {r.inputs["routeTableId"] for r in recording().of("Route")}
    assert tables == {"RouteTable/public"}
    private = [a for a in recording().of("RouteTableAssociation") if a.name.startswith(SubnetKind.PRIVATE.value)]
    assert {a.inputs["routeTableId"] for a in private} == {
        "RouteTable/private-us-east-1a",
        "RouteTable/private-us-east-1b",
    }


def test_descriptions_of_security_groups_and_rules_use_only_what_ec2_accepts():
    allowed = re.compile(r"[A-Za-z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}")
    for token in ("SecurityGroup", "SecurityGroupIngressRule", "SecurityGroupEgressRule"):
        for resource in recording().of(token):
            assert allowed.fullmatch(resource.inputs["description"]), resource.name
