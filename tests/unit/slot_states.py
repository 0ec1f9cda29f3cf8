"""Slots of one tier, planned against what was seen: what the tests of slots and of image changes share."""

from __future__ import annotations

from datetime import date, datetime
from ipaddress import IPv4Network

from ecm import plan
from ecm.intent import load
from ecm.model.catalog import Architecture, Image
from ecm.model.fleet import Network
from ecm.model.observed import Health, InstanceState, Observed, ObservedNode, Unavailable
from ecm.model.plan import NetworkPlan, Slot, SubnetKind
from ecm.model.sizing import Choice, Load, Placement, Survival, TierSizing
from ecm.plan.addresses import AddressPool, subnets
from ecm.plan.slots import SlotPlanner
from tests.forecasts import AS_OF
from tests.properties.fleets import ROOT

A, B = "us-east-1a", "us-east-1b"
SMALL, LARGE = "c6gn.medium", "c6gn.large"
LIMITS = load(ROOT, "dev").limits
IMAGE = Image(name="vpne", architecture=Architecture.ARM64, ami="ami-00000000000000001", built=date(2026, 7, 1))
NETWORK = Network(vpc_cidr=IPv4Network("10.0.0.0/16"))
PLAN = NetworkPlan(
    vpc_cidr=NETWORK.vpc_cidr,
    overlay_cidr=NETWORK.overlay_cidr,
    vpc_id=None,
    internet_gateway_id=None,
    zones=(A, B),
    subnets=subnets(NETWORK, (A, B)),
)


def planned(
    want: dict[tuple[str, str], int],
    previous: tuple[Slot, ...] = (),
    *,
    observed: Observed | None = None,
    at: datetime = AS_OF,
    image: Image = IMAGE,
) -> tuple[Slot, ...]:
    sizing = TierSizing(
        tier="t",
        load=Load(applications=(), quantile_permille=950, planned_mbps=0, p50_mbps=0, p90_mbps=0, p99_mbps=0),
        placements=tuple(Placement(zone=z, shape=s, count=n) for (z, s), n in sorted(want.items())),
        usable_mbps=0,
        usd_micro_per_hour=0,
        churn_usd_micro=0,
        survival=Survival(whole_mbps=0, after_zone_loss_mbps=0, after_node_losses_mbps=0),
        choices=tuple(
            Choice(zone=z, shape=s, capacity_mbps=c, usd_micro_per_hour=p, available=True)
            for z in (A, B)
            for s, c, p in ((LARGE, 1500, 86_400), (SMALL, 1000, 43_200))
        ),
    )
    taken = {n.private_ip for s in previous for n in s.nodes}
    planner = SlotPlanner(
        tier="t",
        kind=SubnetKind.PRIVATE,
        image=image,
        sizing=sizing,
        standing=plan.Standing(at, observed, LIMITS),
        pool=AddressPool(PLAN, taken),
    )
    return planner.plan(previous)


def seen(
    slot: Slot,
    *,
    generation: int = 1,
    state: InstanceState = InstanceState.RUNNING,
    health: Health = Health.HEALTHY,
    since: datetime | None = None,
    well_since: datetime | None = None,
) -> ObservedNode:
    return ObservedNode(
        slot=slot.id,
        generation=generation,
        instance_id="i-1",
        shape=SMALL,
        zone=slot.zone,
        state=state,
        health=health,
        unhealthy_since=since,
        healthy_since=well_since,
    )


def snapshot(*nodes: ObservedNode, unavailable: tuple[Unavailable, ...] = ()) -> Observed:
    return Observed(stack="s", taken_at=AS_OF, applied=None, nodes=nodes, unavailable=unavailable)


def generations(slots: tuple[Slot, ...]) -> dict[str, list[tuple[int, str, str]]]:
    return {s.id: [(n.generation, n.shape, n.state.value) for n in s.nodes] for s in slots}
