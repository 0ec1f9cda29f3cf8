"""Contexts of the node's kernel settings, units and user data."""

from __future__ import annotations

from ecm.model.contract import TUNNEL_PORT_BASE, TUNNEL_PORTS_PER_ADJACENCY
from ecm.model.fields import Checked, Number, Place, Port
from ecm.render.topology import NodeView

FLOWS_PER_MBPS = 256
"""Assumed: one tracked flow per 4 kbit/s of capacity, twice what a node of small web flows sees; 320 bytes each."""
LEAST_FLOWS, MOST_FLOWS = 1 << 17, 1 << 21
ADJACENCIES = 200


class Edge(Checked):
    """A port that clients connect to."""

    port: Port


class Kernel(Checked):
    """Everything that `sysctl/ecm.conf` interpolates."""

    slot: Place
    generation: Number
    tracked_flows: Number
    first_port: Port
    last_port: Port
    edges: tuple[Edge, ...]


class Units(Checked):
    """Everything that the files of `systemd/` interpolate."""

    slot: Place
    generation: Number


def kernel(node: NodeView) -> Kernel:
    """Return the context of one node; the connection table grows with the node's capacity, in powers of two."""
    wanted = max(node.slot.capacity_mbps * FLOWS_PER_MBPS, 1)
    return Kernel(
        slot=node.slot.id,
        generation=node.node.generation,
        tracked_flows=min(max(1 << (wanted - 1).bit_length(), LEAST_FLOWS), MOST_FLOWS),
        first_port=TUNNEL_PORT_BASE,
        last_port=TUNNEL_PORT_BASE + ADJACENCIES * TUNNEL_PORTS_PER_ADJACENCY - 1,
        edges=tuple(Edge(port=c.listener_port) for c in node.tier.classes) if node.tier.enters else (),
    )


def units(node: NodeView) -> Units:
    """Return the context of the node's units."""
    return Units(slot=node.slot.id, generation=node.node.generation)
