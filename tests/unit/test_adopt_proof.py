"""What the engine's preview has to show before anything is written."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from ecm import intent
from ecm.adopt.imports import adopted_resources
from ecm.cli.adopting import Proof, judged
from ecm.cli.exits import Code, CommandError
from ecm.engine import Outcome, Step
from ecm.model.adopted import Adopted, AdoptedSubnet, AdoptedVpc, Existing
from ecm.model.fleet import Fleet
from tests.cli import Project

VPC, GATEWAY, SUBNET = "vpc-0123456789abcdef0", "igw-0123456789abcdef0", "subnet-01234567"
ADOPTED = Adopted(
    vpc=AdoptedVpc(cidr="10.0.0.0/16", dns_support=True, dns_hostnames=True, tenancy="default"),
    subnets=(AdoptedSubnet(id=SUBNET, zone="us-east-1a", cidr="10.0.0.0/24", public_ip_on_launch=False),),
)
EXISTING = Existing(
    vpc_id=VPC,
    internet_gateway_id=GATEWAY,
    ranges=(IPv4Network("10.0.0.0/16"),),
    taken=(IPv4Network("10.0.0.0/24"),),
    adopted=ADOPTED,
    names={},
    left=(),
)


@pytest.fixture
def fleet(project: Project) -> Fleet:
    dev = intent.load(project.root, "dev").fleet
    network = {
        "vpc_cidr": IPv4Network("10.0.64.0/18"),
        "vpc_id": VPC,
        "internet_gateway_id": GATEWAY,
        "adopted": ADOPTED,
    }
    return dev.model_copy(update={"network": dev.network.model_copy(update=network)})


def preview(**ops: str) -> Outcome:
    """A preview of everything adopted, the same but for `ops` by the kind of id."""
    steps = []
    for kind, name in adopted_resources((VPC, GATEWAY), ADOPTED):
        op = ops.get(name.partition("-")[0], "same")
        diff = ("cidrBlock",) if op != "same" else ()
        if op != "absent":
            steps.append(Step(urn=f"urn::{name}", type=kind, name=name, op=op, state="planned", diff=diff))
    return Outcome(command="preview", exit_code=0, result="succeeded", steps=tuple(steps))


def test_the_same_is_proved(fleet: Fleet) -> None:
    assert judged(fleet, preview()) == Proof(fleet, 3, ())


@pytest.mark.parametrize(
    ("op", "said"),
    [
        ("absent", "is not in the preview"),
        ("update", "update cidrBlock"),
        ("replace", "replace cidrBlock"),
        ("create", "create cidrBlock"),
        ("import", "import cidrBlock"),
    ],
)
def test_whatever_is_not_the_same_is_named(fleet: Fleet, op: str, said: str) -> None:
    found = judged(fleet, preview(subnet=op))
    assert found.adopted == 2
    assert found.differences == (f"{SUBNET} (aws:ec2/subnet:Subnet): {said}",)


def test_a_fleet_that_adopts_nothing_proves_nothing(project: Project) -> None:
    with pytest.raises(CommandError, match="nothing is adopted"):
        judged(intent.load(project.root, "dev").fleet, preview())


def test_nothing_is_written_where_something_differs(
    project: Project, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecm.aws.read_existing", lambda *_: EXISTING)
    monkeypatch.setattr("ecm.cli.commands.adopt.prove", lambda *_: judged(fleet, preview(vpc="update")))
    configuration = project.root / "wg0.conf"
    configuration.write_text("[Interface]\nAddress = 10.8.0.1/24\n")
    where = ("--vpc", VPC, "--region", "us-east-1", "--wireguard", str(configuration))
    code, out, _ = project.run("adopt", *where, stack="new")
    assert code == Code.CHANGES
    assert f"{VPC} (aws:ec2/vpc:Vpc): update cidrBlock" in out
    assert project.wrote_nothing()
