"""Tunnels between the nodes of two neighbouring tiers: numbers, names, ports and addresses, all computed.

Nothing is allotted: every number follows from `Adjacency.number`, the two `Slot.number`s, the generations' parity and
the lane, so both ends agree without talking, and a neighbour that comes or goes changes no other link.

Within `overlay_cidr` an adjacency has the /19 block of its number: 32 x 32 pairs of nodes, four lanes each, and two
addresses a lane (a /31, RFC 3021) are 8,192 addresses. A node listens for each peer and lane on a UDP port of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from ecm.model.contract import TUNNEL_PORT_BASE, TUNNEL_PORTS_PER_ADJACENCY, TUNNELS_PER_PAIR
from ecm.model.plan import Adjacency, Node, NodeState, Slot, TierPlan
from ecm.render.errors import RenderError

SLOTS = 16
NODES = 2 * SLOTS
"""Node numbers of a tier: a slot has two while one generation replaces another."""
LANES = TUNNELS_PER_PAIR
BLOCK = NODES * NODES * LANES * 2
"""Addresses of an adjacency: 8,192."""


@dataclass(frozen=True, slots=True)
class End:
    """One node as its neighbours see it."""

    slot: str
    generation: int
    number: int
    private_ip: IPv4Address
    zone: str
    weight: int
    active: bool


@dataclass(frozen=True, slots=True)
class Link:
    """One tunnel, seen from one of its nodes."""

    interface: str
    adjacency: int
    lane: int
    downstream: bool
    """It leads away from the clients."""
    port: int
    address: IPv4Address
    peer: End
    peer_port: int
    peer_address: IPv4Address


def node_number(slot: Slot, node: Node) -> int:
    """Return the node's number within its tier, 0 to 31; RenderError when its slot's number is above 15."""
    if slot.number >= SLOTS:
        raise RenderError(
            f"slot {slot.id}: number",
            slot.number,
            f"tunnel addresses hold {SLOTS} slots of a tier, numbered 0 to {SLOTS - 1}",
            "give a new slot the lowest free number, and keep the tier within limits.max_nodes_per_tier",
        )
    return slot.number * 2 + node.generation % 2


def ends(tier: TierPlan) -> tuple[End, ...]:
    """Return every node of a tier by number; RenderError when two have the same."""
    found: dict[int, End] = {}
    for slot in tier.slots:
        for node in slot.nodes:
            number = node_number(slot, node)
            if number in found:
                raise RenderError(
                    f"slot {slot.id}: generation",
                    node.generation,
                    f"has the node number {number} of {found[number].slot} generation {found[number].generation}",
                    "number the slots of a tier differently, and let a generation follow the one before it by 1",
                )
            active = node.state is NodeState.ACTIVE
            found[number] = End(slot.id, node.generation, number, node.private_ip, slot.zone, slot.weight, active)
    return tuple(found[number] for number in sorted(found))


def chain_lanes(adjacency: Adjacency, chains: Iterable[int]) -> dict[int, tuple[int, ...]]:
    """Return the lanes of each chain (by number) that uses an adjacency, the chain's first lane first.

    A chain is recognised at the next hop by the lane that its packets arrive on. Its first lane is its number modulo
    4, or the next free one; then every chain takes further lanes, up to `tunnels` each, while there are any. So a chain
    numbered above the others takes a further lane from them at most, never a first one.
    """
    numbers = sorted(set(chains))
    if len(numbers) > LANES:
        raise RenderError(
            f"adjacency {adjacency.upstream} to {adjacency.downstream}: chains",
            ", ".join(map(str, numbers)),
            f"a pair of tiers carries {LANES} chains, each with a tunnel of its own",
            "give a chain another transit or egress tier",
        )
    taken: dict[int, list[int]] = {number: [] for number in numbers}
    free = set(range(LANES))
    for turn in range(adjacency.tunnels):
        for number in numbers:
            if free and len(taken[number]) == turn:
                lane = next(k % LANES for k in range(number, number + LANES) if k % LANES in free)
                free.remove(lane)
                taken[number].append(lane)
    return {number: tuple(lanes) for number, lanes in taken.items()}


def block(overlay: IPv4Network, adjacency: Adjacency) -> IPv4Network:
    """Return the addresses of an adjacency: the block of its number within the overlay network."""
    start = adjacency.number * BLOCK
    if start + BLOCK > overlay.num_addresses:
        raise RenderError(
            f"adjacency {adjacency.upstream} to {adjacency.downstream}: number",
            adjacency.number,
            f"overlay_cidr {overlay} has {overlay.num_addresses // BLOCK} blocks of /19",
            "use a larger overlay_cidr",
        )
    return IPv4Network((int(overlay.network_address) + start, 19))


def interface_name(adjacency: int, lane: int, peer: int, *, downstream: bool) -> str:
    """Return the tunnel interface's name, 9 characters at most (Linux allows 15): direction, adjacency, lane, peer."""
    return f"{lane_prefix(adjacency, lane, downstream=downstream)}{peer}"


def lane_prefix(adjacency: int, lane: int, *, downstream: bool) -> str:
    """Return what the names of all interfaces of one lane begin with, and no other's."""
    return f"{'d' if downstream else 'u'}{adjacency}k{lane}n"


def links(
    overlay: IPv4Network, adjacency: Adjacency, mine: End, theirs: Sequence[End], *, downstream: bool
) -> tuple[Link, ...]:
    """Return the tunnels of one node to the nodes of the neighbouring tier, by lane, then by peer.

    `downstream` says that the neighbours stand further from the clients. All four lanes are returned; which are in use
    is `chain_lanes`'s to say.
    """
    base = int(block(overlay, adjacency).network_address)
    ports = TUNNEL_PORT_BASE + adjacency.number * TUNNEL_PORTS_PER_ADJACENCY
    made = []
    for lane in range(LANES):
        for peer in theirs:
            up, down = (mine.number, peer.number) if downstream else (peer.number, mine.number)
            even = base + ((up * NODES + down) * LANES + lane) * 2
            made.append(
                Link(
                    interface=interface_name(adjacency.number, lane, peer.number, downstream=downstream),
                    adjacency=adjacency.number,
                    lane=lane,
                    downstream=downstream,
                    port=ports + peer.number * LANES + lane,
                    address=IPv4Address(even if downstream else even + 1),
                    peer=peer,
                    peer_port=ports + mine.number * LANES + lane,
                    peer_address=IPv4Address(even + 1 if downstream else even),
                )
            )
    return tuple(made)
