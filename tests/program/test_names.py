"""Names and URNs come from slots and generations: what changes beside a resource never moves it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from ecm import infra
from ecm.model.fleet import Role
from ecm.model.plan import Desired, NodeState
from tests.builders import a_chain, a_desired, a_digest, a_node, a_plan, a_rendered, a_slot, a_tier, a_vpn
from tests.program.recording import SIGNED, Recording, Registered, record


@cache
def declared(desired: Desired) -> Recording:
    rendered = a_rendered(desired)
    plan = a_plan(desired, rendered)
    return record(lambda: infra.declare(plan, rendered, SIGNED))


def three_nodes() -> Desired:
    edge = a_tier("edge")
    return a_desired(tiers=(a_tier("edge", slots=(*edge.slots, a_slot("edge", index=1, number=2))), a_out()))


def a_out():
    return a_tier("out", Role.EGRESS)


def of_node(recording: Recording, name: str) -> set[tuple[str, str]]:
    return {i for i in recording.identities if i[1] == name or i[1].startswith(f"{name}/")}


def changed(before: Recording, after: Recording) -> set[str]:
    """Names of resources whose inputs differ, or that one of the two does not have."""

    def key(resource: Registered) -> Registered:
        return replace(resource, depends_on=frozenset())

    old, new = ({r.urn: key(r) for r in recording.resources} for recording in (before, after))
    return {urn.split("::")[-1] for urn in old.keys() | new.keys() if old.get(urn) != new.get(urn)}


def test_a_node_is_named_after_its_tier_zone_index_and_generation():
    recording = declared(a_desired())
    instance = recording.one("Instance", "edge-us-east-1a-0-g1")
    assert instance.urn.endswith("ecm:aws:Tier$ecm:aws:VpneNode$aws:ec2/instance:Instance::edge-us-east-1a-0-g1")
    assert instance.inputs["tags"]["ecm:slot"] == "edge/us-east-1a/0"
    assert instance.inputs["tags"]["ecm:generation"] == "1"
    assert recording.one("NetworkInterface", "edge-us-east-1a-0-g1").inputs["privateIps"] == ["10.40.100.60"]


def test_every_name_is_declared_once_per_type():
    recording = declared(three_nodes())
    assert len(recording.identities) == len(recording.resources)


def test_removing_a_slot_removes_its_own_resources_and_changes_nothing_else():
    before, after = declared(three_nodes()), declared(a_desired())
    gone = before.identities - after.identities
    assert after.identities <= before.identities
    own = of_node(before, "edge-us-east-1a-1-g1") | {
        i for i in before.identities if i[1] == "nodes/edge/us-east-1a/1/g1/base.json"
    }
    assert gone == own
    assert changed(before, after) == {name for _, name in own}


def test_removing_the_first_slot_of_a_tier_leaves_the_names_of_the_later_ones():
    full = a_tier("edge", per_zone=2)
    before = declared(a_desired(tiers=(full, a_out())))
    after = declared(a_desired(tiers=(a_tier("edge", slots=full.slots[1:]), a_out())))
    assert after.identities <= before.identities
    assert {i.name for i in before.of("Instance")} - {i.name for i in after.of("Instance")} == {"edge-us-east-1a-0-g1"}


def test_a_new_generation_stands_beside_the_old_one_and_replaces_no_resource():
    slot = a_slot("edge", kind=a_tier("edge").subnets)
    old = slot.nodes[0].model_copy(update={"state": NodeState.DRAINING})
    both = slot.model_copy(update={"nodes": (old, a_node("10.40.100.99", 2, shape="c7gn.xlarge"))})
    rest = a_tier("edge").slots[1:]
    before = declared(a_desired())
    after = declared(a_desired(tiers=(a_tier("edge", slots=(both, *rest)), a_out())))
    assert before.identities <= after.identities
    assert after.one("Instance", "edge-us-east-1a-0-g2").inputs["instanceType"] == "c7gn.xlarge"
    new = {n for n in changed(before, after) if "-g2" not in n and "/g2/" not in n}
    assert new == {"corp-targets-gold", "corp-targets-silver"}  # the alarms leave the draining node out
    attached = {a.name for a in after.of("TargetGroupAttachment")}
    assert {"edge-us-east-1a-0-g1/gold", "edge-us-east-1a-0-g2/gold"} <= attached


def test_adding_a_client_changes_the_peer_table_and_nothing_else():
    before = declared(a_desired())
    after = declared(a_desired(vpns=(a_vpn(peers=a_digest("one more client")),)))
    assert changed(before, after) == {"vpns/corp/peers.json"}


def test_another_user_data_does_not_touch_a_running_instance():
    assert all(i.ignored == ("userData",) for i in declared(a_desired()).of("Instance"))


def test_the_order_of_tiers_and_chains_in_the_plan_moves_no_name():
    one = a_desired()
    other = one.model_copy(update={"tiers": one.tiers[::-1]})
    assert changed(declared(one), declared(other)) == set()


def test_names_that_join_two_ids_never_meet():
    first = a_vpn("a-b", classes=("c",))
    second = a_vpn("a", classes=("b-c",))
    classes = tuple(
        a_desired().classes[0].model_copy(update={"id": name, "number": number, "listener_port": 51000 + number})
        for number, name in ((1, "b-c"), (2, "c"))
    )
    desired = a_desired(vpns=(second, first), classes=classes, chains=(a_chain(),))
    groups = declared(desired).of("TargetGroup")
    assert len({g.name for g in groups}) == len({g.inputs["name"] for g in groups}) == 2


def test_a_load_balancer_name_fits_aws_limit_and_alphabet_whatever_the_ids():
    longest = a_vpn("a23456789-123456789-1234")
    recording = declared(a_desired(stack="b23456789-123456789-1234", vpns=(longest,)))
    for resource in (*recording.of("LoadBalancer"), *recording.of("TargetGroup")):
        name = resource.inputs["name"]
        assert len(name) <= 32
        assert name.replace("-", "").isalnum()
        assert not name.startswith("-")
        assert "--" not in name


def test_the_plan_digest_is_an_output_and_in_no_resource():
    desired = a_desired()
    recording = declared(desired)
    digest = a_plan(desired, a_rendered(desired)).digest
    assert recording.outputs["planDigest"] == digest
    assert not [r for r in recording.resources if digest in repr(r.inputs)]
