"""The policy pack in the real engine: with previews and ups of the job, and on a program that breaks every rule."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ecm.engine import Options, Outcome, PolicyPack
from ecm.guardrails import RESOURCE_RULES, STACK_RULES
from tests.e2e.conftest import Start
from tests.e2e.project import NIGHT, Project, Result

pytestmark = pytest.mark.engine
LOAD = {"web": 300.0, "desktop": 200.0}

BREAKS_EVERYTHING = """
import json

import pulumi
from pulumi_aws import ec2, iam, lb, vpc

ANY = json.dumps({"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
TRUST = json.dumps(
    {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}]}
)


def tags(name, **more):
    return {"Name": name, "ecm:stack": "dev", "ecm:component": "node"} | {f"ecm:{k}": v for k, v in more.items()}


class Chain(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("ecm:aws:Chain", name)
        self.register_outputs({})


Chain("unwatched")
network = ec2.Vpc("vpc", cidr_block="10.0.0.0/16", tags=tags("vpc"))
subnet = ec2.Subnet(
    "open", vpc_id=network.id, cidr_block="10.0.0.0/24", availability_zone="us-east-1a", map_public_ip_on_launch=True,
    tags={"Name": "open"},
)
group = ec2.SecurityGroup("group", vpc_id=network.id, description="group", tags=tags("group"))
vpc.SecurityGroupIngressRule(
    "all", security_group_id=group.id, ip_protocol="tcp", from_port=1, to_port=65535, cidr_ipv4="0.0.0.0/0",
    description="all", tags=tags("all"),
)
role = iam.Role("role", assume_role_policy=TRUST, description="role", tags=tags("role"))
iam.RolePolicy("any", role=role.name, policy=ANY)
lb.TargetGroup("unasked", name="unasked", port=51820, protocol="UDP", target_type="instance", vpc_id=network.id,
               tags=tags("unasked"))
for number in range(3):
    where = tags(f"n{number}", slot=f"mid/us-east-1a/{number}", role="transit", generation="1")
    interface = ec2.NetworkInterface(f"n{number}", subnet_id=subnet.id, security_groups=[group.id], tags=where)
    address = ec2.Eip(f"n{number}", domain="vpc", tags=tags(f"n{number}"))
    ec2.EipAssociation(f"n{number}", allocation_id=address.allocation_id, network_interface_id=interface.id)
    ec2.Instance(
        f"n{number}", ami="ami-0123456789abcdef0", instance_type="c6gn.xlarge", tenancy="default",
        primary_network_interface=ec2.InstancePrimaryNetworkInterfaceArgs(network_interface_id=interface.id),
        tags=where,
    )
"""


@dataclass(frozen=True)
class Told:
    """What the commands said, and what was made, while one guardrail did not hold."""

    preview: Result
    up: Result
    made: int


@pytest.fixture(scope="module")
def project(start: Start) -> Project:
    made = start("dev")
    made.load(LOAD)
    return made


def approved(project: Project) -> None:
    plan, _ = project.plan(NIGHT)
    project.made("approve", plan.digest, "--who", "tester", "--why", "guardrails")


def told(project: Project, **changed: list[object]) -> Told:
    """Plan, preview and up while fields of the guardrails are `changed`: guard does not ask for them, the pack does."""
    file = project.folder / "policies/limits.yaml"
    before = file.read_text()
    project.edit("policies/limits.yaml", **{f"guardrails__{key}": value for key, value in changed.items()})
    approved(project)
    preview, up = project.ecm("preview"), project.ecm("up")
    file.write_text(before)
    return Told(preview, up, len(project.snapshot().urns))


@pytest.fixture(scope="module")
def narrow(project: Project) -> Told:
    """A port of the plan is no longer one that may be open to the world."""
    return told(project, world_open_udp_ports=[51821, 51822])


@pytest.fixture(scope="module")
def late(project: Project, narrow: Told) -> Told:
    """An action is no longer excused, but a preview does not know the documents that name it."""
    return told(project, wildcard_resource_actions=["cloudwatch:PutMetricData"])


def test_a_broken_guardrail_stops_preview_and_up_before_anything_is_made(narrow: Told) -> None:
    for result in (narrow.preview, narrow.up):
        assert result.code == 12
        assert "world-open-ports: SecurityGroupIngressRule lab-in/clients/51820: " in result.err
        assert "udp 51820 is open to 0.0.0.0/0" in result.err
    assert narrow.made == 0


def test_what_a_preview_cannot_judge_is_said_and_judged_by_up(late: Told, project: Project) -> None:
    assert late.preview.code == 10, late.preview.err
    assert "not judged before the resources exist: iam-least-privilege on" in late.preview.err
    assert late.up.code == 12
    assert "iam-least-privilege: RolePolicy tier-lab-in: " in late.up.err
    assert "ec2messages:AcknowledgeMessage" in late.up.err
    assert late.made > 0
    assert "lab-in" in project.snapshot().named("aws:iam/role:Role")
    assert "tier-lab-in" not in project.snapshot().named("aws:iam/rolePolicy:RolePolicy")


def test_the_job_goes_on_when_the_guardrails_hold_again(late: Told, project: Project) -> None:
    stale = project.ecm("up")
    assert stale.code == 13
    assert "policies/limits.yaml: sha256:" in stale.err
    approved(project)
    project.made("up")
    assert project.ecm("verify").code == 0
    again = project.ecm("preview", "--json")
    assert (again.code, again.data["violations"]) == (0, [])


@pytest.fixture(scope="module")
def wild(start: Start) -> tuple[Outcome, Outcome, int]:
    project = start("dev")
    (project.folder / "__main__.py").write_text(BREAKS_EVERYTHING)
    project.edit(
        "policies/limits.yaml",
        stacks__dev__min_healthy_nodes=4,
        stacks__dev__max_nodes_removed=0,
        stacks__dev__budget_usd_per_hour=0.2,
        stacks__dev__quotas__vcpus=11,
    )
    pack = PolicyPack(project.folder / "policies/guardrails", {"scale-step": {"standing": ["gone/us-east-1a/0"]}})
    project.engine.select(create=True)
    project.engine.set_config("aws:region", "us-east-1")
    options = Options(policy_packs=(pack,))
    return project.engine.preview(options), project.engine.up(options), len(project.snapshot().urns)


def test_the_engine_runs_every_rule(wild: tuple[Outcome, Outcome, int]) -> None:
    preview, _, _ = wild
    assert not preview.ok, preview.output
    broken = {v.policy for v in preview.violations if v.enforcement == "mandatory"}
    assert broken == {rule.name for rule in (*RESOURCE_RULES, *STACK_RULES)}, preview.output


def test_up_makes_nothing_that_breaks_a_rule_of_its_own(wild: tuple[Outcome, Outcome, int]) -> None:
    _, up, _ = wild
    assert not up.ok
    made = {(step.type.rpartition(":")[2], step.name) for step in up.changes if step.state == "done"}
    wrong = {("Subnet", "open"), ("RolePolicy", "any"), ("TargetGroup", "unasked"), ("SecurityGroupIngressRule", "all")}
    wrong |= {(kind, f"n{number}") for kind in ("NetworkInterface", "Instance") for number in range(3)}
    assert made
    assert not made & wrong
