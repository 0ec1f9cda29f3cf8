"""Contexts of the WireGuard files and the interfaces that they configure. No key appears: tokens stand for them."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Literal

from ecm.model.contract import edge_secret
from ecm.model.document import NODE_TOKEN, Device, Secret
from ecm.model.fields import Checked, Number, Place, Port, Token, Word
from ecm.render import marks
from ecm.render.firewall import CLIENT_MTU
from ecm.render.links import End, Link
from ecm.render.topology import NodeView, pair_key

TUNNEL_MTU = 8921
"""Between tiers: the VPC's 9001 less 80 bytes of WireGuard, so that a client's packet is never split."""
DIRECTORY = "/etc/ecm/wireguard"


class Shared(Checked):
    """A pre-shared key."""

    token: Token


class TunnelFile(Checked):
    """Everything that `wireguard/tunnel.conf` interpolates."""

    slot: Place
    generation: Number
    private: Token
    port: Port
    fwmark: Word
    peer: Place
    peer_generation: Number
    public: Token
    preshared: tuple[Shared, ...]
    endpoint: IPv4Address
    endpoint_port: Port


class EdgeFile(Checked):
    """Everything that `wireguard/edge.conf` interpolates; the agent adds the VPN's peers."""

    slot: Place
    generation: Number
    private: Token
    port: Port
    fwmark: Word


def edge_files(node: NodeView) -> tuple[tuple[Device, EdgeFile], ...]:
    """Return an interface for each class that clients connect to: the interface tells the class of the session."""
    view = node.tier
    if not view.enters:
        return ()
    private = edge_key(node).token
    return tuple(
        (
            _device(f"edge{c.number}", "edge", CLIENT_MTU, None),
            EdgeFile(
                slot=node.slot.id,
                generation=node.node.generation,
                private=private,
                port=c.listener_port,
                fwmark=marks.word(marks.outer_mark(c.number)),
            ),
        )
        for c in view.classes
    )


def tunnel_files(node: NodeView) -> tuple[tuple[Device, TunnelFile], ...]:
    """Return every tunnel of the node to its neighbours."""
    fwmarks = _fwmarks(node)
    preshared = {
        (number, downstream): pair_key(node.tier, side, downstream=downstream)
        for (number, downstream), side in node.tier.sides.items()
    }
    found = []
    for link in node.links:
        secret = preshared[link.adjacency, link.downstream]
        file = TunnelFile(
            slot=node.slot.id,
            generation=node.node.generation,
            private=NODE_TOKEN,
            port=link.port,
            fwmark=fwmarks[link.adjacency, link.downstream, link.lane],
            peer=link.peer.slot,
            peer_generation=link.peer.generation,
            public=public_token(link.peer),
            preshared=() if secret is None else (Shared(token=f"@preshared:{secret}@"),),
            endpoint=link.peer.private_ip,
            endpoint_port=link.peer_port,
        )
        found.append((_device(link.interface, "tunnel", TUNNEL_MTU, link), file))
    return tuple(found)


def public_token(end: End) -> str:
    """Return what stands for a neighbour's public key: the agent takes the key that this slot has published."""
    return f"@public:{end.slot}#{end.generation}@"


def edge_key(node: NodeView) -> Secret:
    """Return the secret that holds the ingress tier's private key."""
    name = edge_secret(node.tier.desired.stack, node.tier.tier.id)
    return Secret(secret=name, token=f"@private:{name}@")


def pair_keys(node: NodeView) -> tuple[Secret, ...]:
    """Return the pre-shared keys of the node's tier with its neighbours."""
    names = {pair_key(node.tier, side, downstream=d) for (_, d), side in node.tier.sides.items()} - {None}
    return tuple(Secret(secret=name, token=f"@preshared:{name}@") for name in sorted(filter(None, names)))


def _fwmarks(node: NodeView) -> dict[tuple[int, bool, int], str]:
    """Return the mark of what each lane's interfaces send: the class of the lane's chain."""
    return {
        (side.adjacency.number, downstream, lane): marks.word(marks.outer_mark(hop.outer_class))
        for hop in node.tier.hops
        for side, downstream in ((hop.up, False), (hop.down, True))
        if side is not None
        for lane in side.lanes
    }


def _device(name: str, kind: Literal["edge", "tunnel"], mtu: int, link: Link | None) -> Device:
    return Device(
        name=name,
        kind=kind,
        config=f"{DIRECTORY}/{name}.conf",
        mtu=mtu,
        address=None if link is None else link.address,
        peer_address=None if link is None else link.peer_address,
        multicast=link is not None,
    )
