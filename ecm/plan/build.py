"""Compose the desired state from sizings and assignments; every number that can be kept from the previous plan is."""

from __future__ import annotations

from dataclasses import dataclass

from ecm.model.catalog import Catalog
from ecm.model.fleet import Application, Chain, Fleet, WayIn
from ecm.model.plan import (
    Adjacency,
    ApplicationRoute,
    ChainPlan,
    ClassPlan,
    Desired,
    NetworkPlan,
    NodeState,
    OverlayPlan,
    SubnetKind,
    TierPlan,
    VpcRoute,
    VpnPlan,
)
from ecm.model.policy import Limits, Qos, QosProfile
from ecm.model.sizing import TierSizing
from ecm.plan.addresses import AddressPool, stable_numbers, subnets
from ecm.plan.slots import SlotPlanner
from ecm.plan.standing import Standing
from ecm.plan.tunnels import tunnels_per_pair


@dataclass(frozen=True)
class PlanInputs:
    """What the desired state is composed from."""

    fleet: Fleet
    qos: Qos
    catalog: Catalog
    limits: Limits
    sizings: dict[str, TierSizing]
    """By tier, of every tier that carries something."""
    chains: dict[str, str]
    """Chain of each application."""
    chain_facts: dict[str, tuple[int, int, int, int]]
    """(security level, latency us, loss ppm, outage s) of each chain."""
    tier_levels: dict[str, int]
    previous: Desired | None
    standing: Standing
    peers: dict[str, str]
    """Digest of the peer table of each VPN that has clients."""
    overlay: OverlayPlan | None = None


def desired_state(inputs: PlanInputs) -> Desired:
    """Return the desired state; NoFreeNumberError when a tier's numbers are all taken by nodes that drain."""
    network = _network(inputs)
    used = set(inputs.chains.values())
    chains = [c for c in inputs.fleet.chains if c.id in used]
    tiers = tuple(_tiers(inputs, network, chains))
    applications = tuple(_applications(inputs))
    return Desired(
        stack=inputs.fleet.stack,
        region=inputs.fleet.region,
        dns_zone=inputs.fleet.dns_zone,
        network=network.model_copy(update={"vpc_routes": _vpc_routes(inputs, tiers, applications)}),
        classes=_classes(inputs),
        vpns=_vpns(inputs, applications),
        tiers=tiers,
        adjacencies=_adjacencies(inputs, chains, tiers),
        chains=_chains(inputs, chains),
        applications=applications,
        overlay=inputs.overlay,
    )


def _network(inputs: PlanInputs) -> NetworkPlan:
    network, zones = inputs.fleet.network, tuple(sorted(inputs.fleet.zones))
    return NetworkPlan(
        vpc_cidr=network.vpc_cidr,
        overlay_cidr=network.overlay_cidr,
        vpc_id=network.vpc_id,
        internet_gateway_id=network.internet_gateway_id,
        zones=zones,
        subnets=subnets(network, zones),
        adopted=network.adopted,
    )


def _tiers(inputs: PlanInputs, network: NetworkPlan, chains: list[Chain]) -> list[TierPlan]:
    before = {t.id: t for t in inputs.previous.tiers} if inputs.previous else {}
    taken = {n.private_ip for t in before.values() for s in t.slots for n in s.nodes}
    # An `up` that failed leaves interfaces of plans before the previous one; Pulumi takes them away only at its end.
    pool = AddressPool(network, taken | {i.private_ip for i in inputs.standing.interfaces})
    exits = {c.tiers[-1] for c in chains}
    planned = []
    for tier in sorted((t for t in inputs.fleet.tiers if t.id in inputs.sizings), key=lambda t: t.id):
        kind = SubnetKind.PUBLIC if tier.id in exits else SubnetKind.PRIVATE
        planner = SlotPlanner(
            tier=tier.id,
            kind=kind,
            image=inputs.catalog.image(tier.image),
            sizing=inputs.sizings[tier.id],
            standing=inputs.standing,
            pool=pool,
        )
        old = before.get(tier.id)
        planned.append(
            TierPlan(
                id=tier.id,
                vpn=inputs.fleet.vpn_of_tier(tier.id),
                role=tier.role,
                exits=tier.id in exits,
                subnets=kind,
                tenancy=tier.tenancy,
                pre_shared_key=tier.pre_shared_key,
                inspection=tier.inspection,
                security_level=inputs.tier_levels[tier.id],
                slots=planner.plan(old.slots if old else ()),
            )
        )
    return planned


def _by_vpn(keys: list[tuple[str, str]], previous: dict[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """Return stable numbers from 1 on for (vpn, id) keys, counted within each VPN."""
    numbers: dict[tuple[str, str], int] = {}
    for vpn in sorted({v for v, _ in keys}):
        held = {i: n for (v, i), n in previous.items() if v == vpn}
        for key, number in stable_numbers([i for v, i in keys if v == vpn], held, first=1).items():
            numbers[vpn, key] = number
    return numbers


def _applications(inputs: PlanInputs) -> list[ApplicationRoute]:
    old = inputs.previous.applications if inputs.previous else ()
    ordered = sorted(inputs.fleet.applications, key=lambda a: a.id)
    numbers = _by_vpn([(a.vpn, a.id) for a in ordered], {(a.vpn, a.application): a.number for a in old})
    return [
        ApplicationRoute(
            application=a.id,
            vpn=a.vpn,
            chain=inputs.chains[a.id],
            traffic_class=_profile(inputs, a).traffic_class,
            number=numbers[a.vpn, a.id],
            destinations=tuple(sorted(set(a.destinations))),
            ports=tuple(sorted(set(a.ports))),
            way_in=a.way_in,
        )
        for a in ordered
    ]


def _profile(inputs: PlanInputs, application: Application) -> QosProfile:
    return next(p for p in inputs.qos.profiles if p.id == application.profile)


def _chains(inputs: PlanInputs, chains: list[Chain]) -> tuple[ChainPlan, ...]:
    old = inputs.previous.chains if inputs.previous else ()
    numbers = _by_vpn([(c.vpn, c.id) for c in chains], {(c.vpn, c.id): c.number for c in old})
    planned = []
    for chain in sorted(chains, key=lambda c: c.id):
        level, latency_us, loss_ppm, outage_s = inputs.chain_facts[chain.id]
        planned.append(
            ChainPlan(
                id=chain.id,
                vpn=chain.vpn,
                number=numbers[chain.vpn, chain.id],
                tiers=chain.tiers,
                security_level=level,
                latency_us=latency_us,
                loss_ppm=loss_ppm,
                outage_s=outage_s,
            )
        )
    return tuple(planned)


def _adjacencies(inputs: PlanInputs, chains: list[Chain], tiers: tuple[TierPlan, ...]) -> tuple[Adjacency, ...]:
    """Return the neighbouring pairs of tiers, with as many tunnels per pair of nodes as their traffic needs."""
    pairs = sorted({(c.vpn, up, down) for c in chains for up, down in zip(c.tiers, c.tiers[1:], strict=False)})
    old = inputs.previous.adjacencies if inputs.previous else ()
    held = {(a.vpn, f"{a.upstream} {a.downstream}"): a.number for a in old}
    numbers = _by_vpn([(vpn, f"{up} {down}") for vpn, up, down in pairs], held)
    by_id = {t.id: t for t in tiers}
    return tuple(
        Adjacency(
            vpn=vpn,
            number=numbers[vpn, f"{up} {down}"],
            upstream=up,
            downstream=down,
            tunnels=tunnels_per_pair(by_id[up], by_id[down], inputs.catalog),
        )
        for vpn, up, down in pairs
    )


def _classes(inputs: PlanInputs) -> tuple[ClassPlan, ...]:
    old = {c.id: c.number for c in inputs.previous.classes} if inputs.previous else {}
    numbers = stable_numbers([c.id for c in inputs.qos.classes], old, first=1)
    return tuple(
        ClassPlan(id=c.id, number=numbers[c.id], listener_port=c.listener_port, dscp=c.dscp, share_pct=c.share_pct)
        for c in sorted(inputs.qos.classes, key=lambda c: c.id)
    )


def _vpns(inputs: PlanInputs, applications: tuple[ApplicationRoute, ...]) -> tuple[VpnPlan, ...]:
    chains = {c.id: c for c in inputs.fleet.chains}
    planned = []
    for vpn in sorted(inputs.fleet.vpns, key=lambda v: v.id):
        routes = [a for a in applications if a.vpn == vpn.id]
        if not routes:
            continue
        planned.append(
            VpnPlan(
                id=vpn.id,
                client_cidr=vpn.client_cidr,
                host=vpn.host if inputs.fleet.dns_zone else None,
                ingress=chains[routes[0].chain].tiers[0],
                peers=inputs.peers.get(vpn.id),
                classes=tuple(sorted({a.traffic_class for a in routes})),
            )
        )
    return tuple(planned)


def _vpc_routes(
    inputs: PlanInputs, tiers: tuple[TierPlan, ...], applications: tuple[ApplicationRoute, ...]
) -> tuple[VpcRoute, ...]:
    """Split the prefixes of workloads over the ingress nodes: a route has one interface; keep routes where they are."""
    chains = {c.id: c for c in inputs.fleet.chains}
    by_id = {t.id: t for t in tiers}
    held = {r.id: r.slot for r in inputs.previous.network.vpc_routes} if inputs.previous else {}
    routes: list[VpcRoute] = []
    load: dict[str, int] = {}
    for route in (a for a in applications if a.way_in is WayIn.VPC_ROUTE):
        active = [s for s in by_id[chains[route.chain].tiers[0]].slots if s.active]
        for table in sorted(inputs.fleet.network.workload_route_tables):
            for destination in route.destinations:
                name = f"{table}-{destination}".replace("/", "-").replace(".", "-")
                kept = [s for s in active if s.id == held.get(name)]
                slot = kept[0] if kept else min(active, key=lambda s: (load.get(s.id, 0), s.id))
                load[slot.id] = load.get(slot.id, 0) + 1
                routes.append(
                    VpcRoute(
                        id=name,
                        route_table=table,
                        destination=destination,
                        slot=slot.id,
                        generation=next(n.generation for n in slot.nodes if n.state is NodeState.ACTIVE),
                    )
                )
    return tuple(sorted(routes, key=lambda r: r.id))
