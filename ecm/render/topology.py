"""Who stands next to whom: the desired state seen from each tier and node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ecm.model.contract import pair_secret
from ecm.model.fleet import Role, WayIn
from ecm.model.plan import Adjacency, ApplicationRoute, ChainPlan, ClassPlan, Desired, Node, Slot, TierPlan, VpnPlan
from ecm.render.errors import RenderError
from ecm.render.links import End, Link, chain_lanes, ends, links


@dataclass(frozen=True, slots=True)
class Side:
    """The neighbouring tier on one side of a chain, and the chain's lanes to it."""

    adjacency: Adjacency
    tier: TierPlan
    lanes: tuple[int, ...]
    ends: tuple[End, ...]


@dataclass(frozen=True, slots=True)
class Hop:
    """A chain at one of its tiers."""

    chain: ChainPlan
    outer_class: int
    """The class whose DSCP the chain's tunnels send: the highest of its applications'."""
    up: Side | None
    down: Side | None

    @property
    def exits(self) -> bool:
        """The chain ends at this tier."""
        return self.down is None


@dataclass(frozen=True, slots=True)
class TierView:
    """A tier with all that its nodes' configuration depends on."""

    desired: Desired
    vpn: VpnPlan
    tier: TierPlan
    hops: tuple[Hop, ...]
    """By chain number."""
    applications: tuple[ApplicationRoute, ...]
    """Of the VPN, by number."""
    classes: tuple[ClassPlan, ...]
    """That the VPN's applications use, by number."""
    ends: tuple[End, ...]

    @property
    def enters(self) -> bool:
        """Clients connect here."""
        return self.tier.role is Role.INGRESS

    @property
    def sides(self) -> dict[tuple[int, bool], Side]:
        """Every neighbouring tier by adjacency number and whether it stands further from the clients."""
        found: dict[tuple[int, bool], Side] = {}
        for hop in self.hops:
            for side, downstream in ((hop.up, False), (hop.down, True)):
                if side is not None:
                    found[side.adjacency.number, downstream] = side
        return found

    def class_number(self, traffic_class: str) -> int:
        """Return the number of a class; RenderError when the stack has no such class."""
        return _class(self.desired, traffic_class).number

    def workloads(self, chain: ChainPlan | None = None) -> bool:
        """Whether workloads of the VPC are clients of this VPN, or of one of its chains."""
        return any(a.way_in is WayIn.VPC_ROUTE and (chain is None or a.chain == chain.id) for a in self.applications)


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node: its tier, place and tunnels."""

    tier: TierView
    slot: Slot
    node: Node
    end: End
    lanes: dict[tuple[int, bool, int], tuple[Link, ...]]
    """Tunnels by adjacency number, direction and lane; only lanes that a chain uses."""

    def side(self, side: Side | None, *, downstream: bool) -> tuple[Link, ...]:
        """Return the tunnels of a chain to one side; none where the chain ends."""
        if side is None:
            return ()
        return tuple(link for lane in side.lanes for link in self.lanes[side.adjacency.number, downstream, lane])

    @property
    def links(self) -> tuple[Link, ...]:
        """Return every tunnel of the node, by adjacency, direction, lane and peer."""
        return tuple(link for key in sorted(self.lanes) for link in self.lanes[key])


def tier_views(desired: Desired) -> Iterator[TierView]:
    """Yield every tier with its surroundings; RenderError when numbers or references do not fit together."""
    _numbers(desired)
    _references(desired)
    tiers = {tier.id: tier for tier in desired.tiers}
    vpns = {vpn.id: vpn for vpn in desired.vpns}
    all_ends = {tier.id: ends(tier) for tier in desired.tiers}
    lanes = {(a.upstream, a.downstream): (a, _lanes(desired, a)) for a in desired.adjacencies}

    def side(chain: ChainPlan, pair: tuple[str, str], neighbour: str) -> Side:
        if pair not in lanes:
            raise RenderError(f"chain {chain.id}", " to ".join(pair), "no adjacency joins these tiers", "plan again")
        adjacency, of_chain = lanes[pair]
        return Side(adjacency, tiers[neighbour], of_chain[chain.number], all_ends[neighbour])

    for tier in desired.tiers:
        hops = []
        for chain in sorted((c for c in desired.chains if tier.id in c.tiers), key=lambda c: c.number):
            at = chain.tiers.index(tier.id)
            up = side(chain, (chain.tiers[at - 1], tier.id), chain.tiers[at - 1]) if at else None
            last = at == len(chain.tiers) - 1
            down = None if last else side(chain, (tier.id, chain.tiers[at + 1]), chain.tiers[at + 1])
            hops.append(Hop(chain, _outer_class(desired, chain), up, down))
        applications = tuple(sorted((a for a in desired.applications if a.vpn == tier.vpn), key=lambda a: a.number))
        vpn = vpns[tier.vpn]
        classes = tuple(sorted((_class(desired, c) for c in vpn.classes), key=lambda c: c.number))
        yield TierView(desired, vpn, tier, tuple(hops), applications, classes, all_ends[tier.id])


def node_views(view: TierView) -> Iterator[NodeView]:
    """Yield every node generation of a tier, active or draining."""
    by_node = {(end.slot, end.generation): end for end in view.ends}
    used = {
        (number, downstream): {
            lane
            for hop in view.hops
            for s in ((hop.down if downstream else hop.up),)
            if s is not None and s.adjacency.number == number
            for lane in s.lanes
        }
        for number, downstream in view.sides
    }
    for slot in view.tier.slots:
        for node in slot.nodes:
            mine = by_node[slot.id, node.generation]
            lanes: dict[tuple[int, bool, int], list[Link]] = {}
            for (number, downstream), side in view.sides.items():
                overlay = view.desired.network.overlay_cidr
                for link in links(overlay, side.adjacency, mine, side.ends, downstream=downstream):
                    if link.lane in used[number, downstream]:
                        lanes.setdefault((number, downstream, link.lane), []).append(link)
            yield NodeView(view, slot, node, mine, {key: tuple(found) for key, found in lanes.items()})


def pair_key(view: TierView, side: Side, *, downstream: bool) -> str | None:
    """Return the secret of the pre-shared key between a tier and its neighbour; none: neither asks for one."""
    if not (view.tier.pre_shared_key or side.tier.pre_shared_key):
        return None
    upstream, down = (view.tier.id, side.tier.id) if downstream else (side.tier.id, view.tier.id)
    return pair_secret(view.desired.stack, upstream, down)


def _lanes(desired: Desired, adjacency: Adjacency) -> dict[int, tuple[int, ...]]:
    pair = (adjacency.upstream, adjacency.downstream)
    return chain_lanes(adjacency, (c.number for c in desired.chains if pair in zip(c.tiers, c.tiers[1:], strict=False)))


def _class(desired: Desired, name: str) -> ClassPlan:
    for item in desired.classes:
        if item.id == name:
            return item
    raise RenderError("traffic class", name, "is not one of the stack's classes", "add it to policies/qos.yaml")


def _outer_class(desired: Desired, chain: ChainPlan) -> int:
    used = {a.traffic_class for a in desired.applications if a.vpn == chain.vpn and a.chain == chain.id}
    classes = [_class(desired, c) for c in used] or list(desired.classes)
    if not classes:
        raise RenderError(
            f"chain {chain.id}", "no class", "the stack has no traffic class", "add one to policies/qos.yaml"
        )
    if not used:
        return min(classes, key=lambda c: (c.dscp, c.number)).number
    return max(classes, key=lambda c: (c.dscp, -c.number)).number


def _references(desired: Desired) -> None:
    """Refuse names that nothing of the desired state has."""
    known = {"VPN": {v.id for v in desired.vpns}, "tier": {t.id for t in desired.tiers}}
    rows = [(f"tier {t.id}", "VPN", t.vpn) for t in desired.tiers]
    rows += [(f"chain {c.id}", "tier", name) for c in desired.chains for name in c.tiers]
    rows += [
        (f"adjacency {a.number}", "tier", name) for a in desired.adjacencies for name in (a.upstream, a.downstream)
    ]
    for where, what, name in rows:
        if name not in known[what]:
            raise RenderError(f"{where}: {what}", ascii(name), f"is no {what} of the stack", "plan again")


def _numbers(desired: Desired) -> None:
    """Refuse numbers that are used twice where marks, addresses or router ids are made from them."""
    seen: dict[tuple[str, str, object], str] = {}
    rows: list[tuple[str, str, object, str]] = []
    rows += [("chain number", c.vpn, c.number, c.id) for c in desired.chains]
    rows += [("application number", a.vpn, a.number, a.application) for a in desired.applications]
    rows += [("adjacency number", a.vpn, a.number, f"{a.upstream} to {a.downstream}") for a in desired.adjacencies]
    rows += [
        ("private_ip", "", n.private_ip, f"{s.id} generation {n.generation}")
        for t in desired.tiers
        for s in t.slots
        for n in s.nodes
    ]
    rows += [("class number", "", c.number, c.id) for c in desired.classes]
    for what, scope, number, owner in rows:
        other = seen.setdefault((what, scope, number), owner)
        if other != owner:
            raise RenderError(
                f"{what} of {owner}", number, f"is also {other}'s", "plan again with numbers of their own"
            )
