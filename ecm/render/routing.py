"""The context of `bird/bird.conf` and the kernel's routing rules: one OSPF instance and two tables per chain.

A chain's OSPF instance runs over the chain's own lanes only, so its packets can take no other tier. Exit nodes
announce the default route into it, ingress nodes the clients whose freshest handshake they hold (and the VPC, where
workloads are clients). The kernel has one table per chain and direction, and for each neighbour a table that pins
flows to it; a rule per chain refuses what no table routes, so a broken chain never falls back to the uplink.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from ecm.model.document import CLIENTS_TABLE, FORWARD_TABLES, SIBLINGS_TABLE, Rule
from ecm.model.fields import Address, Checked, Interface, Network, Number, Place, Prefixes, Symbol
from ecm.model.plan import NodeState
from ecm.render import marks
from ecm.render.links import Link
from ecm.render.topology import Hop, NodeView, Side
from ecm.render.weights import zone_affine

REPLY_TABLES, PIN_TABLES = 1300, 10_000
ANCHORS = IPv4Network("198.18.0.0/15")
"""Addresses that stand for nodes within BIRD only (the range of RFC 2544, routed nowhere): no packet carries one."""
DRAINING_METRIC = 20_000
METRIC = 10
CLAIM_SPAN_S = 1 << 22
"""48 days: OSPF's metrics have 24 bits, and the agent's claims are in seconds."""


class Tunnel(Checked):
    """A tunnel interface in a chain's OSPF instance."""

    interface: Interface
    weight: Number


class Anchor(Checked):
    """An address that stands for this node as a neighbour of one chain, while it can be one."""

    symbol: Symbol
    address: Address


class PinnedRoute(Checked):
    """A table whose default route leads to one neighbour while that neighbour can carry the chain."""

    symbol: Symbol
    table: Number
    anchor: Address


class Way(Checked):
    """A chain's routes in one direction, as the kernel has them."""

    symbol: Symbol
    table: Number
    networks: Prefixes


class Chain(Checked):
    """One chain's OSPF instance."""

    symbol: Symbol
    ways: tuple[Way, ...]
    stub: Literal["yes", "draining"]
    """Whether traffic through this node is kept away: always, or while it drains."""
    tunnels: tuple[Tunnel, ...]
    exits: tuple[Number, ...]
    """The metric of the default route, where the chain ends here."""
    clients: tuple[Number, ...]
    """Seconds after which the metrics of client routes begin anew, where clients connect."""
    workloads: tuple[Network, ...]
    standing: tuple[Anchor, ...]
    """Announced as long as BIRD runs."""
    conditional: tuple[Anchor, ...]
    """Announced while the node itself has a way to the chain's exit."""
    pins: tuple[PinnedRoute, ...]


class Routing(Checked):
    """Everything that `bird/bird.conf` interpolates."""

    slot: Place
    generation: Number
    router: Address
    clients: Network
    vpc: Network
    clients_table: Number = CLIENTS_TABLE
    siblings_table: Number = SIBLINGS_TABLE
    draining: Literal[0, 1]
    draining_metric: Number = DRAINING_METRIC
    """Added to an exit's metric while it drains."""
    anchors: Network = ANCHORS
    nowhere: Address = IPv4Address("192.0.2.1")
    """An address that only a default route reaches (RFC 5737): it tells whether there is one."""
    ingress: tuple[Symbol, ...]
    chains: tuple[Chain, ...]


def routing(node: NodeView) -> Routing:
    """Return the context of one node's BIRD configuration."""
    view = node.tier
    linked = [hop for hop in view.hops if hop.up is not None or hop.down is not None]
    return Routing(
        slot=node.slot.id,
        generation=node.node.generation,
        router=node.node.private_ip,
        clients=view.vpn.client_cidr,
        vpc=view.desired.network.vpc_cidr,
        draining=1 if node.node.state is NodeState.DRAINING else 0,
        ingress=("clients",) if view.enters else (),
        chains=tuple(_chain(node, hop) for hop in linked),
    )


def rules(node: NodeView) -> tuple[Rule, ...]:
    """Return the node's routing rules, by priority: clients here, pinned flows, chains, and refusal."""
    view = node.tier
    found = []
    if view.enters:
        found.append(Rule(priority=100, action="lookup", table=CLIENTS_TABLE, to=view.vpn.client_cidr))
    pinned = marks.STEER_PINNED | marks.STEER_REPLY | marks.CHAIN_MASK
    for hop in view.hops:
        chain = marks.chain_mark(hop.chain.number)
        for downstream, peer, table in _pinned(hop):
            direction = 0 if downstream else marks.STEER_REPLY
            mark = marks.STEER_PINNED | direction | chain | marks.pin(peer, forward=downstream)
            mask = pinned | (marks.FORWARD_MASK if downstream else marks.REPLY_MASK)
            found.append(_rule(200, table, mark, mask))
    for hop in view.hops:
        chain = marks.chain_mark(hop.chain.number)
        if hop.down is not None:
            found.append(_rule(300, FORWARD_TABLES + hop.chain.number, chain, marks.STEER_REPLY | marks.CHAIN_MASK))
        if hop.up is not None:
            direction = marks.STEER_REPLY
            found.append(_rule(300, REPLY_TABLES + hop.chain.number, direction | chain, direction | marks.CHAIN_MASK))
        found.append(_rule(400, None, chain, marks.CHAIN_MASK))
    return tuple(sorted(found, key=lambda r: r.priority))


def _rule(priority: int, table: int | None, mark: int, mask: int) -> Rule:
    action: Literal["lookup", "unreachable"] = "unreachable" if table is None else "lookup"
    return Rule(priority=priority, action=action, table=table, fwmark=marks.word(mark), mask=marks.word(mask))


def _chain(node: NodeView, hop: Hop) -> Chain:
    view, number = node.tier, hop.chain.number
    through = hop.up is not None and hop.down is not None
    me = node.end.number
    standing: list[Anchor] = []
    conditional: list[Anchor] = []
    if hop.up is not None:
        anchor = Anchor(symbol=f"anchor_{number}_down", address=_anchor(hop.up, me, downstream=True))
        (conditional if through else standing).append(anchor)
    if hop.down is not None:
        standing.append(Anchor(symbol=f"anchor_{number}_up", address=_anchor(hop.down, me, downstream=False)))
    return Chain(
        symbol=f"chain_{number}",
        ways=_ways(node, hop),
        stub="draining" if through else "yes",
        tunnels=_tunnels(node, hop.up, downstream=False) + _tunnels(node, hop.down, downstream=True),
        exits=(METRIC,) if hop.down is None else (),
        clients=(CLAIM_SPAN_S,) if hop.up is None else (),
        workloads=(view.desired.network.vpc_cidr,) if hop.up is None and view.workloads(hop.chain) else (),
        standing=tuple(standing),
        conditional=tuple(conditional),
        pins=tuple(
            PinnedRoute(
                symbol=f"pin_{number}_{'down' if downstream else 'up'}_{peer}",
                table=table,
                anchor=_anchor(hop.down if downstream else hop.up, peer, downstream=downstream),
            )
            for downstream, peer, table in _pinned(hop)
        ),
    )


def _ways(node: NodeView, hop: Hop) -> tuple[Way, ...]:
    """Return the default route towards the exit, and the clients (and the VPC) towards the ingress tier."""
    number, network = hop.chain.number, node.tier.desired.network
    found = []
    if hop.down is not None:
        found.append(Way(symbol=f"forward_{number}", table=FORWARD_TABLES + number, networks="0.0.0.0/0"))
    if hop.up is not None:
        networks = f"{node.tier.vpn.client_cidr}{{32,32}}, {network.vpc_cidr}"
        found.append(Way(symbol=f"reply_{number}", table=REPLY_TABLES + number, networks=networks))
    return tuple(found)


def _pinned(hop: Hop) -> list[tuple[bool, int, int]]:
    """Return (downstream, peer, table) of each neighbour that flows are pinned to.

    Towards an ingress tier nothing is pinned: there the route to the client itself says which node holds its session.
    """
    found = []
    for downstream, side in ((True, hop.down), (False, hop.up)):
        if side is not None and (downstream or side.tier.id != hop.chain.tiers[0]):
            start = PIN_TABLES + hop.chain.number * 64 + (0 if downstream else 32)
            found += [(downstream, end.number, start + end.number) for end in side.ends]
    return found


def _tunnels(node: NodeView, side: Side | None, *, downstream: bool) -> tuple[Tunnel, ...]:
    if side is None:
        return ()
    weights = zone_affine(node.slot.zone, node.tier.ends, side.ends)
    found: tuple[Link, ...] = node.side(side, downstream=downstream)
    return tuple(Tunnel(interface=link.interface, weight=weights[link.peer.number]) for link in found)


def _anchor(side: Side | None, number: int, *, downstream: bool) -> IPv4Address:
    """Return the address that stands for a node at the downstream or upstream end of an adjacency."""
    if side is None:
        raise ValueError("an anchor stands at the end of an adjacency")
    return ANCHORS.network_address + side.adjacency.number * 64 + (32 if downstream else 0) + number
