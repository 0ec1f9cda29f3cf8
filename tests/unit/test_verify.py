"""Each finding of verify, from the one difference that causes it."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv4Network

import pytest

from ecm.model.demand import Severity
from ecm.model.observed import (
    Health,
    InstanceState,
    Observed,
    ObservedConfig,
    ObservedNode,
    ObservedRecord,
    ObservedRoute,
)
from ecm.model.plan import NodeState, Plan, VpcRoute
from ecm.model.report import Finding
from ecm.verify import compare
from tests.builders import a_desired, a_digest, a_network, a_plan

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
EDGE = "edge/us-east-1a/0"
ROUTE = VpcRoute(
    id="clients", route_table="rtb-0123456789abcdef0", destination=IPv4Network("10.200.0.0/16"), slot=EDGE, generation=1
)


@pytest.fixture
def plan() -> Plan:
    return a_plan(a_desired(network=a_network(vpc_routes=(ROUTE,))))


def as_planned(plan: Plan) -> Observed:
    """What is seen when everything is as `plan` says."""
    standing = [(tier.id, slot, node) for tier in plan.desired.tiers for slot in tier.slots for node in slot.nodes]
    nodes = tuple(
        ObservedNode(
            slot=slot.id,
            generation=node.generation,
            instance_id=f"i-{slot.id.replace('/', '')}",
            shape=node.shape,
            zone=slot.zone,
            state=InstanceState.RUNNING,
            health=Health.HEALTHY,
            private_ip=str(node.private_ip),
            interface_id=f"eni-{slot.id.replace('/', '')}",
            source_dest_check=False,
            registered=True if tier == "edge" else None,
        )
        for tier, slot, node in standing
    )
    return Observed(
        stack=plan.stack,
        taken_at=NOW,
        applied=plan.digest,
        nodes=nodes,
        routes=(
            _route("internet", "igw-0123456789abcdef0"),
            _route("clients", f"eni-{EDGE.replace('/', '')}"),
        ),
        records=(ObservedRecord(name="corp.vpn.example.com", type="A", values=("lb.example.com",)),),
        configs=tuple(ObservedConfig(key=c.key, digest=c.digest) for c in plan.configs),
    )


def _route(name: str, target: str | None, state: str = "active") -> ObservedRoute:
    return ObservedRoute(name=name, route_table="rtb-0", destination="10.0.0.0/8", target=target, state=state)


def changed(observed: Observed, slot: str = EDGE, **update: object) -> Observed:
    nodes = tuple(n.model_copy(update=update) if n.slot == slot else n for n in observed.nodes)
    assert nodes != observed.nodes
    return observed.model_copy(update={"nodes": nodes})


def only(plan: Plan, observed: Observed) -> Finding:
    report = compare(plan, observed)
    assert len(report.findings) == 1, report.findings
    assert report.plan == plan.digest
    assert report.converged == (report.findings[0].severity is Severity.INFO)
    return report.findings[0]


def test_nothing_to_find(plan: Plan) -> None:
    report = compare(plan, as_planned(plan))
    assert report.findings == ()
    assert report.converged


@pytest.mark.parametrize(
    ("update", "kind", "severity"),
    [
        ({"state": InstanceState.TERMINATED, "health": Health.UNKNOWN}, "instance-missing", Severity.ERROR),
        ({"state": InstanceState.MISSING, "health": Health.UNKNOWN}, "instance-missing", Severity.ERROR),
        ({"state": InstanceState.STOPPED, "health": Health.UNKNOWN}, "instance-stopped", Severity.ERROR),
        ({"shape": "c7gn.xlarge"}, "wrong-shape", Severity.ERROR),
        ({"zone": "us-east-1b"}, "wrong-zone", Severity.ERROR),
        ({"private_ip": "10.40.9.9"}, "wrong-address", Severity.ERROR),
        ({"source_dest_check": True}, "source-dest-check", Severity.ERROR),
        ({"registered": False}, "unregistered", Severity.ERROR),
        ({"health": Health.UNHEALTHY, "unhealthy_since": NOW}, "unhealthy", Severity.ERROR),
        ({"health": Health.NEW}, "starting", Severity.INFO),
        ({"state": InstanceState.PENDING, "health": Health.UNKNOWN}, "starting", Severity.INFO),
        ({"health": Health.UNKNOWN}, "health-unknown", Severity.INFO),
    ],
)
def test_nodes(plan: Plan, update: dict[str, object], kind: str, severity: Severity) -> None:
    finding = only(plan, changed(as_planned(plan), **update))
    assert (finding.kind, finding.severity) == (kind, severity)
    assert finding.subject == f"slot {EDGE} generation 1"
    assert "i-edge" in finding.detail
    assert finding.remedy


def test_a_node_without_any_instance(plan: Plan) -> None:
    seen = as_planned(plan)
    report = compare(plan, seen.model_copy(update={"nodes": seen.nodes[1:]}))
    assert [(f.kind, f.subject) for f in report.findings] == [("instance-missing", f"slot {EDGE} generation 1")]
    assert "ecm plan" in report.findings[0].remedy


def test_foreign_nodes(plan: Plan) -> None:
    seen = as_planned(plan)
    stranger = seen.nodes[0].model_copy(update={"slot": "edge/us-east-1a/7", "instance_id": "i-stranger"})
    twin = seen.nodes[0].model_copy(update={"instance_id": "i-twin"})
    gone = stranger.model_copy(update={"state": InstanceState.TERMINATED, "slot": "edge/us-east-1a/8"})
    report = compare(plan, seen.model_copy(update={"nodes": (*seen.nodes, stranger, twin, gone)}))
    assert [(f.kind, f.severity, f.subject) for f in report.findings] == [
        ("foreign", Severity.WARNING, "slot edge/us-east-1a/0 generation 1"),
        ("foreign", Severity.WARNING, "slot edge/us-east-1a/7 generation 1"),
    ]
    assert "i-twin" in report.findings[0].detail
    assert not report.converged


def test_a_draining_node_may_fail_its_health_check(plan: Plan) -> None:
    desired = plan.desired
    tier = desired.tier("edge")
    slot = tier.slots[0]
    node = slot.nodes[0].model_copy(update={"state": NodeState.DRAINING, "draining_since": NOW})
    tier = tier.model_copy(update={"slots": (slot.model_copy(update={"nodes": (node,)}), *tier.slots[1:])})
    tiers = tuple(tier if t.id == "edge" else t for t in desired.tiers)
    draining = a_plan(desired.model_copy(update={"tiers": tiers}))
    seen = changed(as_planned(draining), health=Health.UNHEALTHY, unhealthy_since=NOW, registered=False)
    assert compare(draining, seen).findings == ()


@pytest.mark.parametrize(
    ("name", "target", "state", "kind"),
    [
        ("internet", "igw-0123456789abcdef0", "blackhole", "route-blackhole"),
        ("internet", None, "missing", "route-missing"),
        ("internet", "nat-0123456789abcdef0", "active", "route-target"),
        ("clients", "eni-another", "active", "route-target"),
        ("clients", "eni-edgeus-east-1a0", "blackhole", "route-blackhole"),
        ("clients", None, "missing", "route-missing"),
    ],
)
def test_routes(plan: Plan, name: str, target: str | None, state: str, kind: str) -> None:
    seen = as_planned(plan)
    routes = tuple(_route(name, target, state) if r.name == name else r for r in seen.routes)
    finding = only(plan, seen.model_copy(update={"routes": routes}))
    assert (finding.kind, finding.subject, finding.severity) == (kind, f"route {name}", Severity.ERROR)


def test_an_existing_gateway_is_the_one_that_is_meant() -> None:
    network = a_network(
        vpc_id="vpc-0123456789abcdef0", internet_gateway_id="igw-0aaaaaaaaaaaaaaaa", vpc_routes=(ROUTE,)
    )
    plan = a_plan(a_desired(network=network))
    assert only(plan, as_planned(plan)).kind == "route-target"


def test_records_and_objects(plan: Plan) -> None:
    seen = as_planned(plan)
    assert only(plan, seen.model_copy(update={"records": ()})).kind == "record-missing"
    empty = seen.records[0].model_copy(update={"values": ()})
    assert only(plan, seen.model_copy(update={"records": (empty,)})).kind == "record-missing"
    first, *rest = seen.configs
    lost = first.model_copy(update={"digest": None})
    assert only(plan, seen.model_copy(update={"configs": (lost, *rest)})).kind == "config-missing"
    assert only(plan, seen.model_copy(update={"configs": tuple(rest)})).kind == "config-missing"
    other = first.model_copy(update={"digest": a_digest("other")})
    finding = only(plan, seen.model_copy(update={"configs": (other, *rest)}))
    assert (finding.kind, finding.subject) == ("config-different", f"object {first.key}")
    assert a_digest("other") in finding.detail


def test_a_stack_without_a_dns_zone_has_no_records() -> None:
    plan = a_plan(a_desired(network=a_network(vpc_routes=(ROUTE,)), dns_zone=None))
    assert compare(plan, as_planned(plan).model_copy(update={"records": ()})).converged


@pytest.mark.parametrize("applied", [None, a_digest("another plan")])
def test_another_plan_is_applied(plan: Plan, applied: str | None) -> None:
    finding = only(plan, as_planned(plan).model_copy(update={"applied": applied}))
    assert (finding.kind, finding.severity) == ("not-applied", Severity.WARNING)
    assert plan.digest in finding.detail


def test_worst_first(plan: Plan) -> None:
    seen = changed(changed(as_planned(plan), health=Health.NEW), "out/us-east-1a/0", source_dest_check=True)
    report = compare(plan, seen.model_copy(update={"applied": None}))
    assert [f.severity for f in report.findings] == [Severity.ERROR, Severity.WARNING, Severity.INFO]
