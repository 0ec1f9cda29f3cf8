"""Every guardrail on its own: what it lets through, what it refuses, and what it does with a value nobody knows yet."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pulumi_policy import PolicyResource, ResourceValidationArgs, StackValidationArgs
from pulumi_policy.policy import PolicyResourceOptions
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, UnknownValueError, unknown_checking_proxy

from ecm import intent
from ecm.guardrails import RESOURCE_RULES, STACK_RULES, Bounds, Resource

ROOT = Path(__file__).resolve().parents[2]
PACK = ROOT / "policies" / "guardrails"
STACK = "dev"
INSTANCE = "aws:ec2/instance:Instance"
INTERFACE = "aws:ec2/networkInterface:NetworkInterface"
EIP = "aws:ec2/eip:Eip"
ASSOCIATION = "aws:ec2/eipAssociation:EipAssociation"
OPEN = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
OLD_OPEN = "aws:ec2/securityGroupRule:SecurityGroupRule"
ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
TARGETS = "aws:lb/targetGroup:TargetGroup"
BALANCER = "aws:lb/loadBalancer:LoadBalancer"
ROUTE = "aws:ec2/route:Route"


@pytest.fixture(scope="module")
def bounds() -> Bounds:
    found = intent.load(ROOT, STACK)
    return Bounds(stack=STACK, limits=found.limits, catalog=found.catalog)


def urn(kind: str, name: str) -> str:
    return f"urn:pulumi:{STACK}::endpoint-chain-manager::{kind}::{name}"


def made(kind: str, name: str = "it", *, parent: str = "", refers: Any = None, **props: Any) -> Resource:
    return Resource(kind, name, urn(kind, name), props, parent, refers or {})


def tags(slot: str = "", role: str = "", **more: str) -> dict[str, str]:
    known = {"ecm:slot": slot, "ecm:role": role, "Name": "n", "ecm:stack": STACK, "ecm:component": "node"}
    return {key: value for key, value in (known | more).items() if value}


def document(**statement: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def said(name: str, resource: Resource, bounds: Bounds) -> str:
    [rule] = [r for r in RESOURCE_RULES if r.name == name]
    return "\n".join(rule.check(resource, bounds))


def found(name: str, declared: list[Resource], bounds: Bounds) -> list[tuple[str, str]]:
    [rule] = [r for r in STACK_RULES if r.name == name]
    return [(finding.urn, finding.message) for finding in rule.check(declared, bounds)]


IMDS = {"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 1}
BUCKET = "arn:aws:s3:::bucket"
TRUST = document(Action="sts:AssumeRole", Principal={"Service": "ec2.amazonaws.com"})
HTTP = {"protocol": "HTTP", "path": "/healthz"}

PASSES: list[tuple[str, Resource]] = [
    ("no-ssh", made(OPEN, ipProtocol="tcp", fromPort=23, toPort=65535, cidrIpv4="10.0.0.0/8")),
    ("no-ssh", made(OPEN, ipProtocol="udp", fromPort=1, toPort=65535, cidrIpv4="10.0.0.0/8")),
    ("no-ssh", made(OPEN, ipProtocol="icmp", fromPort=-1, toPort=-1, cidrIpv4="10.0.0.0/8")),
    ("no-ssh", made("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", ipProtocol="-1")),
    ("no-ssh", made(OLD_OPEN, type="egress", protocol="-1", cidrBlocks=["0.0.0.0/0"])),
    ("world-open-ports", made(OPEN, ipProtocol="udp", fromPort=51820, toPort=51822, cidrIpv4="0.0.0.0/0")),
    ("world-open-ports", made(OPEN, ipProtocol="tcp", fromPort=443, toPort=443, cidrIpv4="10.0.0.0/8")),
    ("world-open-ports", made(OPEN, ipProtocol="-1", referencedSecurityGroupId="sg-1")),
    ("instance-metadata", made(INSTANCE, metadataOptions=IMDS)),
    ("instance-metadata", made(INSTANCE, metadataOptions={"httpEndpoint": "disabled"})),
    ("encrypted-volumes", made(INSTANCE, rootBlockDevice={"encrypted": True})),
    ("encrypted-volumes", made("aws:ebs/volume:Volume", encrypted=True)),
    ("no-automatic-address", made(EIP, tags=tags("out/us-east-1a/0", "egress"))),
    ("no-automatic-address", made("aws:ec2/subnet:Subnet", mapPublicIpOnLaunch=False)),
    ("source-dest-check", made(INTERFACE, tags=tags("in/us-east-1a/0"), sourceDestCheck=False)),
    ("source-dest-check", made(INTERFACE, tags={}, sourceDestCheck=True)),
    ("source-dest-check", made(INSTANCE, tags=tags("in/us-east-1a/0"))),
    ("iam-least-privilege", made(ROLE_POLICY, policy=document(Action=["s3:GetObject"], Resource=f"{BUCKET}/nodes/*"))),
    ("iam-least-privilege", made(ROLE_POLICY, policy=document(Action="cloudwatch:PutMetricData", Resource="*"))),
    ("iam-least-privilege", made(ROLE_POLICY, policy=document(Effect="Deny", Action="*", Resource="*"))),
    ("iam-least-privilege", made(ROLE, assumeRolePolicy=TRUST)),
    ("required-tags", made(INSTANCE, tags=tags())),
    ("required-tags", made(ASSOCIATION)),
    ("target-health-check", made(TARGETS, healthCheck=HTTP)),
]
FAILS: list[tuple[str, Resource, str]] = [
    ("no-ssh", made(OPEN, ipProtocol="tcp", fromPort=22, toPort=22, cidrIpv4="10.0.0.0/8"), "tcp 22"),
    ("no-ssh", made(OPEN, ipProtocol="6", fromPort=1, toPort=1024, cidrIpv4="10.0.0.0/8"), "tcp 1-1024"),
    ("no-ssh", made(OPEN, ipProtocol="-1", referencedSecurityGroupId="sg-1"), "every protocol"),
    ("no-ssh", made(OLD_OPEN, type="ingress", protocol="all", cidrBlocks=["10.0.0.0/8"]), "every protocol"),
    ("no-ssh", made(GROUP, ingress=[{"protocol": "tcp", "fromPort": 20, "toPort": 30}]), "tcp 20-30"),
    ("world-open-ports", made(OPEN, ipProtocol="tcp", fromPort=443, toPort=443, cidrIpv4="0.0.0.0/0"), "0.0.0.0/0"),
    ("world-open-ports", made(OPEN, ipProtocol="udp", fromPort=51820, toPort=51823, cidrIpv6="::/0"), "51820-51823"),
    ("world-open-ports", made(OPEN, ipProtocol="udp", fromPort=53, toPort=53, cidrIpv4="128.0.0.0/1"), "128.0.0.0/1"),
    ("world-open-ports", made(OPEN, ipProtocol="udp", fromPort=53, toPort=53, cidrIpv4="everywhere"), "everywhere"),
    (
        "world-open-ports",
        made(GROUP, ingress=[{"protocol": "tcp", "fromPort": 80, "toPort": 80, "ipv6CidrBlocks": ["::/0"]}]),
        "tcp 80",
    ),
    ("instance-metadata", made(INSTANCE, metadataOptions={**IMDS, "httpTokens": "optional"}), "IMDSv1"),
    ("instance-metadata", made(INSTANCE, metadataOptions={**IMDS, "httpPutResponseHopLimit": 2}), "HopLimit: 1"),
    ("instance-metadata", made(INSTANCE), "IMDSv1"),
    ("encrypted-volumes", made(INSTANCE, rootBlockDevice={"encrypted": False}), "rootBlockDevice"),
    ("encrypted-volumes", made(INSTANCE), "rootBlockDevice"),
    (
        "encrypted-volumes",
        made(INSTANCE, rootBlockDevice={"encrypted": True}, ebsBlockDevices=[{"deviceName": "sdb"}]),
        "ebsBlockDevices",
    ),
    ("encrypted-volumes", made("aws:ebs/volume:Volume"), "not encrypted"),
    ("no-automatic-address", made(INSTANCE, associatePublicIpAddress=True), "associatePublicIpAddress"),
    ("no-automatic-address", made("aws:ec2/subnet:Subnet", mapPublicIpOnLaunch=True), "mapPublicIpOnLaunch"),
    ("no-automatic-address", made(EIP, tags=tags("mid/us-east-1a/0", "transit")), "mid/us-east-1a/0"),
    ("source-dest-check", made(INTERFACE, tags=tags("in/us-east-1a/0")), "EC2 would drop"),
    ("source-dest-check", made(INTERFACE, tags={}, sourceDestCheck=False), "where no node forwards"),
    ("source-dest-check", made(INSTANCE, tags=tags("in/us-east-1a/0"), sourceDestCheck=False), "on its interface"),
    ("iam-least-privilege", made(ROLE_POLICY, policy=document(Action="s3:*", Resource=BUCKET)), "s3:*"),
    ("iam-least-privilege", made(ROLE_POLICY, policy=document(Action="s3:Get?bject", Resource=BUCKET)), "s3:Get?bject"),
    ("iam-least-privilege", made(ROLE_POLICY, policy=document(NotAction="iam:*", Resource=BUCKET)), "NotAction"),
    ("iam-least-privilege", made(ROLE_POLICY, policy=document(Action="s3:GetObject", Resource="*")), "s3:GetObject on"),
    (
        "iam-least-privilege",
        made(ROLE_POLICY, policy=document(Action="s3:GetObject", Resource="arn:aws:s3:::*")),
        "arn:aws:s3:::*",
    ),
    (
        "iam-least-privilege",
        made(ROLE_POLICY, policy=document(Action="kms:Decrypt", Resource="arn:aws:kms:*:1:key/a")),
        "arn:aws:kms:*:1:key/a",
    ),
    ("iam-least-privilege", made(ROLE_POLICY, policy="{"), "cannot be read"),
    ("iam-least-privilege", made(ROLE_POLICY, policy='{"Statement": "all"}'), "cannot be read"),
    ("iam-least-privilege", made(ROLE, assumeRolePolicy=document(Principal="*")), "anybody"),
    ("iam-least-privilege", made(ROLE, assumeRolePolicy=document(Principal={"AWS": ["*"]})), "anybody"),
    ("iam-least-privilege", made(ROLE, assumeRolePolicy=document(NotPrincipal={"AWS": "1"})), "anybody"),
    (
        "iam-least-privilege",
        made(ROLE, assumeRolePolicy=TRUST, inlinePolicies=[{"policy": document(Action="ec2:*", Resource=BUCKET)}]),
        "ec2:*",
    ),
    (
        "iam-least-privilege",
        made(ROLE, assumeRolePolicy=TRUST, managedPolicyArns=["arn:aws:iam::aws:policy/AdministratorAccess"]),
        "AdministratorAccess",
    ),
    (
        "iam-least-privilege",
        made(
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
            policyArn="arn:aws:iam::aws:policy/service-role/AmazonEC2RoleforSSM",
        ),
        "AmazonEC2RoleforSSM",
    ),
    ("required-tags", made(INSTANCE, tags={"Name": "n"}), "ecm:stack, ecm:component"),
    ("required-tags", made(EIP), "Name, ecm:stack, ecm:component"),
    ("required-tags", made(EIP, tags=tags(**{"ecm:stack": "prod"})), "ecm:stack=prod"),
    ("target-health-check", made(TARGETS), "no health check"),
    ("target-health-check", made(TARGETS, healthCheck={**HTTP, "enabled": False}), "no health check"),
    ("target-health-check", made(TARGETS, healthCheck={"protocol": "TCP"}), "only opens a port"),
]


@pytest.mark.parametrize(("name", "resource"), PASSES)
def test_a_rule_lets_through_what_is_right(name: str, resource: Resource, bounds: Bounds) -> None:
    assert said(name, resource, bounds) == ""


@pytest.mark.parametrize(("name", "resource", "words"), FAILS)
def test_a_rule_refuses_what_is_wrong(name: str, resource: Resource, words: str, bounds: Bounds) -> None:
    assert words in said(name, resource, bounds)


@pytest.mark.parametrize("rule", RESOURCE_RULES, ids=lambda rule: rule.name)
def test_every_resource_rule_is_tried_both_ways(rule: Any) -> None:
    assert rule.name in {name for name, _ in PASSES}
    assert rule.name in {name for name, _, _ in FAILS}


# the stack as a whole


def nodes(tier: str, *places: str, shape: str = "t4g.small", **props: Any) -> list[Resource]:
    return [
        made(INSTANCE, f"{tier}-{place}", instanceType=shape, tags=tags(f"{tier}/{place}"), **props) for place in places
    ]


TWO = ("us-east-1a/0", "us-east-1b/0")


def test_zones_per_tier(bounds: Bounds) -> None:
    assert found("zones-per-tier", [*nodes("in", *TWO), *nodes("out", *TWO)], bounds) == []
    [(_, message)] = found(
        "zones-per-tier", [*nodes("in", "us-east-1a/0", "us-east-1a/1"), *nodes("out", *TWO)], bounds
    )
    assert message.startswith("tier in stands in us-east-1a alone")


def test_healthy_floor_counts_slots_not_generations(bounds: Bounds) -> None:
    bounds = replace(bounds, limits=bounds.limits.model_copy(update={"min_healthy_nodes": 2}))
    assert found("healthy-floor", nodes("in", *TWO), bounds) == []
    [(_, message)] = found("healthy-floor", nodes("in", "us-east-1a/0", "us-east-1a/0"), bounds)
    assert message.startswith("tier in would have 1 nodes, at least 2")


def test_scale_step(bounds: Bounds) -> None:
    most = bounds.limits.model_copy(update={"max_nodes_added": 1, "max_nodes_removed": 1})
    declared = nodes("in", *TWO)

    def step(*standing: str) -> list[str]:
        told = replace(bounds, limits=most, standing=frozenset(standing))
        return [message for _, message in found("scale-step", declared, told)]

    assert step("in/us-east-1a/0") == []
    assert step("in/us-east-1a/0", "in/us-east-1b/0", "in/us-east-1c/0") == []
    assert step() == []  # a new stack has nothing to compare with
    assert [m.split(", at")[0] for m in step("out/us-east-1a/0")] == ["2 nodes would be added in one step"]
    assert [m.split(", at")[0] for m in step("in/us-east-1a/0", "a/b/1", "a/b/2")] == [
        "2 nodes would be removed in one step"
    ]
    assert found("scale-step", declared, replace(bounds, limits=most)) == []  # not told what stands


def test_hourly_budget_is_the_sum_of_standing_charges(bounds: Bounds) -> None:
    prices = bounds.catalog.bandwidth
    endpoint = made("aws:ec2/vpcEndpoint:VpcEndpoint", vpcEndpointType="Interface", subnetIds=["a", "b"])
    gateway = made("aws:ec2/vpcEndpoint:VpcEndpoint", vpcEndpointType="Gateway", routeTableIds=["a"])
    declared = [*nodes("in", *TWO), made(BALANCER), made(EIP, tags=tags()), endpoint, gateway]
    total = (  # micro-USD
        2 * bounds.catalog.shape("t4g.small").usd_per_hour
        + prices.nlb_usd_per_hour
        + prices.public_ipv4_usd_per_hour
        + 2 * prices.interface_endpoint_usd_per_hour
    )

    def over(budget: int) -> list[tuple[str, str]]:
        limits = bounds.limits.model_copy(update={"budget_usd_per_hour": budget})
        return found("hourly-budget", declared, replace(bounds, limits=limits))

    assert over(total) == []
    [(_, message)] = over(total - 1)
    assert 0.05 < total / 1e6 < 0.2
    assert message.startswith(f"standing charges of {total / 1e6:.2f} USD per hour, at most ")


def test_a_shape_without_a_price_is_refused(bounds: Bounds) -> None:
    [(_, message)] = found("hourly-budget", nodes("in", *TWO, shape="x9.huge"), bounds)
    assert "x9.huge" in message


def test_quotas(bounds: Bounds) -> None:
    interfaces = [made(INTERFACE, f"i{n}", tags={}) for n in range(2)]
    table = {"routeTableId": (urn("aws:ec2/routeTable:RouteTable", "private"),)}
    declared = [
        *nodes("in", *TWO),
        *interfaces,
        made(EIP, tags=tags()),
        made(BALANCER, subnetMappings=[{}, {}]),
        *(made(ROUTE, f"r{n}", refers=table) for n in range(3)),
    ]
    have = {"vcpus": 4, "network_interfaces": 4, "elastic_ips": 1, "load_balancers": 1, "routes_per_table": 5}

    def over(**quotas: int) -> list[str]:
        kept = bounds.limits.quotas.model_copy(update=have | quotas)
        limits = bounds.limits.model_copy(update={"quotas": kept})
        return [
            message.split(".")[1].split(")")[0]
            for _, message in found("quotas", declared, replace(bounds, limits=limits))
        ]

    assert over() == []
    for name, count in have.items():
        assert over(**{name: count - 1}) == [name]


def test_every_chain_is_watched(bounds: Bounds) -> None:
    chain = made("ecm:aws:Chain", "corp")
    check = made("aws:route53/healthCheck:HealthCheck", "corp", parent=chain.urn)
    assert found("chain-health-check", [chain, check], bounds) == []
    assert [where for where, _ in found("chain-health-check", [chain, replace(check, parent="")], bounds)] == [
        chain.urn
    ]


def test_an_address_is_followed_to_a_transit_node(bounds: Bounds) -> None:
    interface = made(INTERFACE, "mid", tags=tags("mid/us-east-1a/0", "transit"))
    egress = made(INTERFACE, "out", tags=tags("out/us-east-1a/0", "egress"))
    wrong = made(ASSOCIATION, "mid", refers={"networkInterfaceId": (interface.urn,)})
    right = made(ASSOCIATION, "out", refers={"networkInterfaceId": (egress.urn,)})
    assert [where for where, _ in found("no-transit-address", [interface, egress, wrong, right], bounds)] == [wrong.urn]


# as the engine runs them


@dataclass
class Pack:
    """The pack's policies, by name."""

    policies: Mapping[str, Any]

    def resource(self, name: str, resource: Resource) -> list[str]:
        reported: list[str] = []
        props = unknown_checking_proxy(dict(resource.props))
        args = ResourceValidationArgs(resource.type, props, resource.urn, resource.name, _options(), None)
        self.policies[name].validate(args, lambda message, _=None: reported.append(message))
        return reported

    def stack(self, name: str, declared: list[Resource], config: Mapping[str, Any] | None = None) -> list[str]:
        reported: list[str] = []
        given = [_given(resource) for resource in declared]
        self.policies[name].validate(
            StackValidationArgs(given, config or {}, {}), lambda message, _=None: reported.append(message)
        )
        return reported


def _options() -> PolicyResourceOptions:
    return PolicyResourceOptions(False, [], [], None, [], None, None)  # type: ignore[arg-type]


def _given(resource: Resource) -> PolicyResource:
    props = unknown_checking_proxy(dict(resource.props))
    return PolicyResource(resource.type, props, resource.urn, resource.name, _options(), None, None, [], {})


@pytest.fixture(scope="module")
def pack() -> Iterator[Pack]:
    sys.path.insert(0, str(PACK))
    try:
        from adapter import policies  # noqa: PLC0415 - a folder of its own, as the engine runs it

        yield Pack({policy.name: policy for policy in policies(ROOT)})
    finally:
        sys.path.remove(str(PACK))
        sys.modules.pop("adapter", None)


def test_the_pack_has_every_rule_as_mandatory(pack: Pack) -> None:
    assert set(pack.policies) == {rule.name for rule in (*RESOURCE_RULES, *STACK_RULES)}
    assert {policy.enforcement_level.name for policy in pack.policies.values()} == {"MANDATORY"}


@pytest.mark.parametrize(("name", "resource", "words"), FAILS)
def test_the_pack_says_what_the_rule_says(name: str, resource: Resource, words: str, pack: Pack) -> None:
    assert any(words in message for message in pack.resource(name, resource))


UNKNOWN = UNKNOWN_STRING_VALUE
UNKNOWNS: list[tuple[str, Resource]] = [
    ("no-ssh", made(OPEN, ipProtocol=UNKNOWN)),
    ("world-open-ports", made(OPEN, ipProtocol="tcp", fromPort=443, toPort=443, cidrIpv4=UNKNOWN)),
    ("instance-metadata", made(INSTANCE, metadataOptions=UNKNOWN)),
    ("encrypted-volumes", made(INSTANCE, rootBlockDevice={"encrypted": UNKNOWN})),
    ("no-automatic-address", made(INSTANCE, associatePublicIpAddress=UNKNOWN)),
    ("source-dest-check", made(INTERFACE, tags=tags("in/us-east-1a/0"), sourceDestCheck=UNKNOWN)),
    ("iam-least-privilege", made(ROLE_POLICY, policy=UNKNOWN)),
    ("required-tags", made(INSTANCE, tags=UNKNOWN)),
    ("target-health-check", made(TARGETS, healthCheck=UNKNOWN)),
]
UNKNOWN_STACKS: list[tuple[str, Resource]] = [
    ("zones-per-tier", made(INSTANCE, tags=UNKNOWN)),
    ("healthy-floor", made(INSTANCE, tags=UNKNOWN)),
    ("scale-step", made(INSTANCE, tags=UNKNOWN)),
    ("hourly-budget", made(INSTANCE, instanceType=UNKNOWN)),
    ("quotas", made(INSTANCE, instanceType=UNKNOWN)),
    ("no-transit-address", made(INTERFACE, tags=UNKNOWN)),
]


@pytest.mark.parametrize(("name", "resource"), UNKNOWNS)
def test_an_unknown_value_is_neither_passed_nor_refused(name: str, resource: Resource, pack: Pack) -> None:
    with pytest.raises(UnknownValueError):  # which the engine shows as "can't run policy ... during preview"
        pack.resource(name, resource)


@pytest.mark.parametrize(("name", "resource"), UNKNOWN_STACKS)
def test_an_unknown_value_of_the_stack_is_neither_passed_nor_refused(name: str, resource: Resource, pack: Pack) -> None:
    with pytest.raises(UnknownValueError):
        pack.stack(name, [resource], {"standing": ["in/us-east-1a/0"]})


def test_every_rule_that_reads_values_is_tried_with_an_unknown_one() -> None:
    told = {name for name, _ in (*UNKNOWNS, *UNKNOWN_STACKS)}
    assert {rule.name for rule in (*RESOURCE_RULES, *STACK_RULES)} - told == {"chain-health-check"}  # reads none


def test_an_unknown_value_that_a_rule_does_not_need_is_no_hindrance(pack: Pack) -> None:
    interface = made(INTERFACE, tags=tags("in/us-east-1a/0"), sourceDestCheck=False, subnetId=UNKNOWN)
    assert pack.resource("source-dest-check", interface) == []


def test_the_pack_is_told_what_stands(pack: Pack) -> None:
    many = [f"in/us-east-1a/{n}" for n in range(9)]
    declared = nodes("in", "us-east-1b/0")
    assert any("9 nodes would be removed" in m for m in pack.stack("scale-step", declared, {"standing": many}))
    assert pack.stack("scale-step", declared) == []
