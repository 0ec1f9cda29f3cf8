"""Desired states that the rendering tests share."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from pathlib import Path
from typing import Any

from ecm.model.base import digest
from ecm.model.fleet import Role
from ecm.model.plan import Adjacency, Desired, Node, NodeState, Slot
from ecm.model.rendered import Peer, PeerTable, Rendered
from ecm.render import configs
from tests.builders import AS_OF, ZONES, a_chain, a_desired, a_network, a_node, a_route, a_tier, a_vpn

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
THREE = ("edge", "mid", "out")


def an_adjacency(upstream: str, downstream: str, number: int = 0, tunnels: int = 1) -> Adjacency:
    return Adjacency(vpn="corp", number=number, upstream=upstream, downstream=downstream, tunnels=tunnels)


def three_tiers(**changes: Any) -> Desired:
    """One VPN whose two chains branch at the ingress tier: edge-mid-out, and edge-out."""
    values = {
        "vpns": (a_vpn(peers=None),),
        "tiers": (
            a_tier("edge"),
            a_tier("mid", Role.TRANSIT, pre_shared_key=True, inspection=True),
            a_tier("out", Role.EGRESS),
        ),
        "adjacencies": (
            an_adjacency("edge", "mid", 0),
            an_adjacency("edge", "out", 1),
            an_adjacency("mid", "out", 2, tunnels=2),
        ),
        "chains": (a_chain(THREE, "guarded", 1), a_chain(("edge", "out"), "fast", 2)),
        "applications": (
            a_route("web", 1, chain="guarded"),
            a_route(
                "bulk", 2, chain="fast", traffic_class="silver", destinations=(IPv4Network("0.0.0.0/0"),), ports=()
            ),
        ),
    }
    return a_desired(**(values | changes))


def one_tier() -> Desired:
    """A chain whose ingress tier exits itself."""
    return a_desired(
        vpns=(a_vpn(peers=None),),
        tiers=(a_tier("edge", exits=True),),
        adjacencies=(),
        chains=(a_chain(("edge",)),),
    )


def with_state(desired: Desired, slot_id: str, state: NodeState) -> Desired:
    """`desired` with every node of one slot in `state`."""
    since = AS_OF if state is NodeState.DRAINING else None
    return replace_slot(
        desired,
        slot_id,
        lambda slot: slot.model_copy(
            update={"nodes": tuple(n.model_copy(update={"state": state, "draining_since": since}) for n in slot.nodes)}
        ),
    )


def replace_slot(desired: Desired, slot_id: str, change: Any) -> Desired:
    """`desired` with one slot changed; `change` may return None to remove it."""
    tiers = []
    for tier in desired.tiers:
        slots = tuple(change(s) if s.id == slot_id else s for s in tier.slots)
        tiers.append(tier.model_copy(update={"slots": tuple(s for s in slots if s is not None)}))
    return desired.model_copy(update={"tiers": tuple(tiers)})


def with_second_generation(slot: Slot) -> Slot:
    """`slot` while generation 2 replaces generation 1."""
    first = slot.nodes[0].model_copy(update={"state": NodeState.DRAINING, "draining_since": AS_OF})
    second: Node = a_node(str(IPv4Address(int(first.private_ip) + 100)), 2)
    return slot.model_copy(update={"nodes": (first, second)})


def wide(nodes_per_tier: int, tiers: int) -> Desired:
    """One VPN with a chain over an ingress, a transit and an egress tier for each three `tiers`."""
    per_zone = nodes_per_tier // len(ZONES)
    vpns, made, adjacencies, chains, routes = [], [], [], [], []
    for number in range(tiers // 3):
        vpn, names = f"vpn{number}", tuple(f"{part}{number}" for part in THREE)
        vpns.append(a_vpn(vpn, names[0], peers=None, client_cidr=IPv4Network(f"10.{100 + number}.0.0/16")))
        for place, (name, role) in enumerate(zip(names, Role, strict=True)):
            tier = a_tier(name, role, per_zone=per_zone, vpn=vpn)
            slots = []
            for at, slot in enumerate(tier.slots):
                address = IPv4Address(int(IPv4Address("10.40.0.0")) + (number * 3 + place) * 256 + at + 10)
                slots.append(slot.model_copy(update={"nodes": (a_node(str(address)),)}))
            made.append(tier.model_copy(update={"slots": tuple(slots)}))
        for at, pair in enumerate(pairwise(names)):
            adjacencies.append(an_adjacency(*pair, at).model_copy(update={"vpn": vpn}))
        chains.append(a_chain(names, f"chain{number}", 1, vpn=vpn))
        routes.append(a_route(f"app{number}", 1, vpn=vpn, chain=f"chain{number}"))
    return a_desired(
        network=a_network(),
        vpns=tuple(vpns),
        tiers=tuple(made),
        adjacencies=tuple(adjacencies),
        chains=tuple(chains),
        applications=tuple(routes),
    )


def a_peer(name: str = "laptop", address: str = "10.200.0.7", key: str = "A") -> Peer:
    return Peer(id=name, public_key=key * 42 + "A=", address=IPv4Address(address))


def peers_of(*peers: Peer, vpn: str = "corp") -> PeerTable:
    return PeerTable(vpn=vpn, peers=peers)


def naming(desired: Desired, *tables: PeerTable) -> Desired:
    """`desired` whose VPNs name the digests of `tables`."""
    by_vpn = {t.vpn: digest(t) for t in tables}
    vpns = tuple(v.model_copy(update={"peers": by_vpn.get(v.id)}) for v in desired.vpns)
    return desired.model_copy(update={"vpns": vpns})


def render(desired: Desired, *tables: PeerTable) -> Rendered:
    return configs(desired, tables, templates=TEMPLATES)


def documents(rendered: Rendered) -> dict[str, dict[str, Any]]:
    """The base configuration of every node, by `slot#generation`."""
    return {f"{n.slot}#{n.generation}": json.loads(n.base.text) for n in rendered.nodes}
