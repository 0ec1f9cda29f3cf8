"""What is adopted: imported by its id, kept, without a tag of ECM's, and beside everything that ECM makes itself."""

from __future__ import annotations

from ecm import infra
from ecm.adopt.imports import adopted_resources
from ecm.model.adopted import Adopted, AdoptedGroup, AdoptedSubnet, AdoptedVpc
from tests.builders import a_desired, a_network, a_plan, a_rendered
from tests.program.recording import SIGNED, Recording, Registered, record

VPC, GATEWAY = "vpc-0123456789abcdef0", "igw-0123456789abcdef0"
ADOPTED = Adopted(
    vpc=AdoptedVpc(cidr="10.0.0.0/16", dns_support=True, dns_hostnames=False, tenancy="default"),
    subnets=(AdoptedSubnet(id="subnet-01234567", zone="us-east-1a", cidr="10.0.0.0/24", public_ip_on_launch=True),),
    route_tables=("rtb-01234567",),
    security_groups=(AdoptedGroup(id="sg-01234567", name="wg", description="old"),),
)


def declared(adopted: Adopted | None) -> Recording:
    network = a_network(vpc_id=VPC, internet_gateway_id=GATEWAY, adopted=adopted)
    desired = a_desired(network=network)
    rendered = a_rendered(desired)
    plan = a_plan(desired, rendered)
    return record(lambda: infra.declare(plan, rendered, SIGNED))


def adopted_by(recording: Recording) -> list[Registered]:
    return [r for r in recording.resources if r.parent == "adopted" and "$aws:" in r.urn]


def test_exactly_the_import_list_is_declared_by_its_ids_and_kept() -> None:
    found = adopted_by(declared(ADOPTED))
    assert {(r.type, r.name) for r in found} == set(adopted_resources((VPC, GATEWAY), ADOPTED))
    assert all(r.import_id == r.name and r.kept for r in found)
    assert all({"tags", "tagsAll"} <= set(r.ignored) and "tags" not in r.inputs for r in found)


def test_facts_are_declared_as_they_are() -> None:
    recording = declared(ADOPTED)
    assert recording.one("Vpc", VPC).inputs == {
        "cidrBlock": "10.0.0.0/16",
        "enableDnsSupport": True,
        "enableDnsHostnames": False,
        "instanceTenancy": "default",
    }
    subnet = recording.one("Subnet", "subnet-01234567").inputs
    assert (subnet["vpcId"], subnet["cidrBlock"], subnet["mapPublicIpOnLaunch"]) == (VPC, "10.0.0.0/24", True)
    assert set(recording.one("RouteTable", "rtb-01234567").ignored) >= {"routes"}
    assert set(recording.one("SecurityGroup", "sg-01234567").ignored) >= {"ingress", "egress"}


def test_everything_else_is_what_it_is_without_adopting() -> None:
    with_it, without = declared(ADOPTED), declared(None)
    assert not adopted_by(without)
    assert without.identities == {i for i in with_it.identities if "ecm:aws:Adopted" not in i[0]}
    assert not any(r.import_id or r.kept for r in without.resources)
