"""The context of `nftables/ecm.nft`: default drop, marks, pins, and the tuples that may be forwarded."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Literal

from ecm.model.contract import HEALTH_PORT, UPLINK
from ecm.model.document import CHOICES
from ecm.model.fields import Address, Checked, Interface, Label, Network, Number, Place, Port, Symbol, Wildcard, Word
from ecm.model.fleet import WayIn
from ecm.model.overlay import MAX_RULES
from ecm.model.plan import SubnetKind
from ecm.render import marks
from ecm.render.classify import Matches, matches
from ecm.render.links import lane_prefix
from ecm.render.topology import Hop, NodeView, Side, TierView
from ecm.render.traffic import queue

CLIENT_MTU = 1420
"""Of the clients' tunnels: 1500 on the internet less 80 bytes of WireGuard over IPv6, as wg-quick sets it."""
CLIENT_MSS = CLIENT_MTU - 40
EVERYWHERE = IPv4Network("0.0.0.0/0")

State = Literal["new,established,related", "established,related"]


class Tunnel(Checked):
    """From where a tunnel's packets may come."""

    address: Address
    port: Port


class Pin(Checked):
    """A neighbour: the chain of rules that pins a flow to it, and the interfaces that lead to it."""

    symbol: Symbol
    bits: Word
    interfaces: tuple[Interface, ...]


class Pins(Checked):
    """All neighbours on one side."""

    keep: Word
    """Everything of a mark but this side's field."""
    neighbours: tuple[Pin, ...]


class Lane(Checked):
    """A lane on which packets of one chain arrive."""

    arrives: Wildcard
    chain: Word
    default: Word
    """The flow mark of a packet that matches no application."""


class Pass(Checked):
    """One tuple that may be forwarded."""

    arrives: Wildcard
    leaves: Wildcard
    source: Network
    destination: Network
    state: State


class Forward(Checked):
    """What a chain may forward on this node."""

    symbol: Symbol
    chain: Word
    passes: tuple[Pass, ...]


class TrafficClass(Checked):
    """A class: the DSCP that its tunnels send, and the queue in which its packets wait before encryption."""

    dscp_symbol: Symbol
    queue_symbol: Symbol
    mark: Word
    dscp: Number
    queue: Number


class Edge(Checked):
    """An interface that clients connect to."""

    port: Port


class Masks(Checked):
    """The mark's layout, for the template."""

    chain: Word = marks.word(marks.CHAIN_MASK)
    not_chain: Word = marks.word(marks.ALL ^ marks.CHAIN_MASK)
    traffic_class: Word = marks.word(marks.CLASS_MASK)
    usage: Word = marks.word(marks.CLASS_MASK | marks.CHAIN_MASK | marks.APPLICATION_MASK)
    not_class: Word = marks.word(marks.ALL ^ marks.CLASS_MASK)
    chain_forward: Word = marks.word(marks.CHAIN_MASK | marks.FORWARD_MASK)
    chain_reply: Word = marks.word(marks.CHAIN_MASK | marks.REPLY_MASK)
    forward_new: Word = marks.word(marks.STEER)
    forward_pinned: Word = marks.word(marks.STEER | marks.STEER_PINNED)
    reply_new: Word = marks.word(marks.STEER | marks.STEER_REPLY)
    reply_pinned: Word = marks.word(marks.STEER | marks.STEER_PINNED | marks.STEER_REPLY)


MASKS = Masks()


class Choosing(Checked):
    """The map that the agent fills from the overlay: which flows of an application take another chain."""

    symbol: Literal["choices"] = CHOICES
    size: Number = MAX_RULES


class Firewall(Checked):
    """Everything that `nftables/ecm.nft` interpolates."""

    slot: Place
    generation: Number
    vpn: Label
    uplink: Wildcard
    health_port: Port
    mss: Number
    masks: Masks
    clients: Network
    overlay: Network
    vpc: Network
    known_sources: tuple[Network, ...]
    """Sources that may come from the clients' side of a chain."""
    edges: tuple[Edge, ...]
    tunnels: tuple[Tunnel, ...]
    health_checkers: tuple[Network, ...]
    siblings: tuple[Address, ...]
    """Nodes of the same ingress tier, which ask each other whether they have a path."""
    known_chains: tuple[Word, ...]
    exit_chains: tuple[Word, ...]
    applications: Matches
    workloads: Matches
    choosing: tuple[Choosing, ...]
    """None where nodes take no overlay."""
    workload_sources: tuple[Network, ...]
    client_routes: tuple[Network, ...]
    upstream: tuple[Lane, ...]
    upstream_open: tuple[Lane, ...]
    upstream_strict: tuple[Lane, ...]
    downstream: tuple[Lane, ...]
    forward_pins: Pins
    reply_pins: Pins
    reply_steering: tuple[Masks, ...]
    forwards: tuple[Forward, ...]
    inspected: tuple[Number, ...]
    """Netlink log group that every new flow is reported to, where the tier inspects."""
    classes: tuple[TrafficClass, ...]
    untranslated: tuple[Network, ...]
    translate_to: tuple[Address, ...]


class TierFirewall(Checked):
    """What all nodes of a tier have in common."""

    applications: Matches
    workloads: Matches
    upstream: tuple[Lane, ...]
    downstream: tuple[Lane, ...]
    classes: tuple[TrafficClass, ...]
    edges: tuple[Edge, ...]
    health_checkers: tuple[Network, ...]


def tier_firewall(view: TierView) -> TierFirewall:
    """Return the parts of the context that do not depend on the node."""
    by_clients = tuple(a for a in view.applications if a.way_in is WayIn.CLIENT)
    by_workloads = tuple(a for a in view.applications if a.way_in is WayIn.VPC_ROUTE)
    subnets = view.desired.network.subnets
    return TierFirewall(
        applications=matches(view, by_clients if view.enters else view.applications),
        workloads=matches(view, by_workloads if view.enters else ()),
        upstream=tuple(lane for hop in view.hops for lane in _lanes(hop, hop.up, downstream=False)),
        downstream=tuple(lane for hop in view.hops for lane in _lanes(hop, hop.down, downstream=True)),
        classes=tuple(
            TrafficClass(
                dscp_symbol=f"dscp_{c.number}",
                queue_symbol=f"queue_{c.number}",
                mark=marks.word(marks.outer_mark(c.number)),
                dscp=c.dscp,
                queue=queue(c.number),
            )
            for c in sorted(view.desired.classes, key=lambda c: c.number)
        ),
        edges=tuple(Edge(port=c.listener_port) for c in view.classes) if view.enters else (),
        health_checkers=tuple(sorted({s.cidr for s in subnets if s.kind is SubnetKind.ENTRY})),
    )


def firewall(node: NodeView, shared: TierFirewall) -> Firewall:
    """Return the context of one node's ruleset."""
    view = node.tier
    network = view.desired.network
    exits = tuple(marks.word(marks.chain_mark(hop.chain.number)) for hop in view.hops if hop.exits)
    workload_sources = (network.vpc_cidr,) if view.workloads() else ()
    client_routes = tuple(
        r.destination
        for r in sorted(network.vpc_routes, key=lambda r: r.id)
        if r.slot == node.slot.id
        and r.generation == node.node.generation
        and r.destination.overlaps(view.vpn.client_cidr)
    )
    routed_here = any(
        r.slot.startswith(f"{view.tier.id}/") and r.destination.overlaps(view.vpn.client_cidr)
        for r in network.vpc_routes
    )
    return Firewall(
        slot=node.slot.id,
        generation=node.node.generation,
        vpn=view.vpn.id,
        uplink=UPLINK,
        health_port=HEALTH_PORT,
        mss=CLIENT_MSS,
        masks=MASKS,
        clients=view.vpn.client_cidr,
        overlay=network.overlay_cidr,
        vpc=network.vpc_cidr,
        known_sources=(view.vpn.client_cidr, network.overlay_cidr, *workload_sources),
        edges=shared.edges,
        tunnels=tuple(Tunnel(address=link.peer.private_ip, port=link.port) for link in node.links),
        health_checkers=shared.health_checkers,
        siblings=tuple(e.private_ip for e in view.ends if view.enters and e.number != node.end.number),
        known_chains=tuple(marks.word(marks.chain_mark(hop.chain.number)) for hop in view.hops),
        exit_chains=exits,
        applications=shared.applications,
        workloads=shared.workloads,
        choosing=(Choosing(),) if view.enters and view.desired.overlay else (),
        workload_sources=workload_sources if view.enters else (),
        client_routes=client_routes if exits else (),
        upstream=shared.upstream,
        upstream_open=() if view.tier.inspection else shared.upstream,
        upstream_strict=shared.upstream if view.tier.inspection else (),
        downstream=shared.downstream,
        forward_pins=_pins(node, downstream=True),
        reply_pins=_pins(node, downstream=False),
        reply_steering=() if view.enters else (MASKS,),
        forwards=tuple(_forward(node, hop, client_routes) for hop in view.hops),
        inspected=(1,) if view.tier.inspection else (),
        classes=shared.classes,
        untranslated=(network.vpc_cidr,) if exits and routed_here else (),
        translate_to=(node.node.private_ip,) if exits else (),
    )


def _lanes(hop: Hop, side: Side | None, *, downstream: bool) -> list[Lane]:
    if side is None:
        return []
    return [
        Lane(
            arrives=_wildcard(side, lane, downstream=downstream),
            chain=marks.word(marks.chain_mark(hop.chain.number)),
            default=marks.word(marks.flow_mark(hop.outer_class, hop.chain.number, 0)),
        )
        for lane in side.lanes
    ]


def _wildcard(side: Side, lane: int, *, downstream: bool) -> str:
    return f"{lane_prefix(side.adjacency.number, lane, downstream=downstream)}*"


def _pins(node: NodeView, *, downstream: bool) -> Pins:
    """One pin per neighbour number: a flow has one chain, so one tier on each side, and tiers may share a field."""
    interfaces: dict[int, list[str]] = {}
    for link in node.links:
        if link.downstream is downstream:
            interfaces.setdefault(link.peer.number, []).append(link.interface)
    field = marks.FORWARD_MASK if downstream else marks.REPLY_MASK
    return Pins(
        keep=marks.word(marks.ALL ^ field),
        neighbours=tuple(
            Pin(
                symbol=f"pin_{'down' if downstream else 'up'}_{number}",
                bits=marks.word(marks.pin(number, forward=downstream)),
                interfaces=tuple(names),
            )
            for number, names in sorted(interfaces.items())
        ),
    )


def _forward(node: NodeView, hop: Hop, client_routes: tuple[IPv4Network, ...]) -> Forward:
    """Return the tuples of one chain: from the clients' side to the exit's side, and back."""
    view = node.tier
    clients, vpc = view.vpn.client_cidr, view.desired.network.vpc_cidr
    exits = [UPLINK] if hop.down is None else [_wildcard(hop.down, k, downstream=True) for k in hop.down.lanes]
    workloads = view.workloads(hop.chain)
    if hop.up is not None:
        lanes = [_wildcard(hop.up, k, downstream=False) for k in hop.up.lanes]
        ways_in = [(lane, source) for lane in lanes for source in ((clients, vpc) if workloads else (clients,))]
    else:
        ways_in = [("edge*", clients)]
        ways_in += [(UPLINK, vpc)] if workloads and hop.down is not None else []
    passes = []
    for inside, network in ways_in:
        for outside in exits:
            passes.append(_pass(inside, outside, network, EVERYWHERE))
            answers: State = "established,related" if outside == UPLINK else "new,established,related"
            passes.append(_pass(outside, inside, EVERYWHERE, network, answers))
            if outside == UPLINK and network == clients:
                passes += [_pass(outside, inside, vpc, route) for route in client_routes]
    chain = hop.chain.number
    return Forward(symbol=f"chain_{chain}", chain=marks.word(marks.chain_mark(chain)), passes=tuple(passes))


def _pass(
    arrives: str, leaves: str, source: IPv4Network, destination: IPv4Network, state: State = "new,established,related"
) -> Pass:
    return Pass(arrives=arrives, leaves=leaves, source=source, destination=destination, state=state)
