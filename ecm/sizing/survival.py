"""What a tier still holds after losses: the one definition of survivable load that sizing, guard and review share."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement

from ecm.model.fleet import Role
from ecm.model.sizing import Survival


def survivable(zones: tuple[tuple[int, ...], ...], role: Role, *, node_failures: int) -> Survival:
    """Return what nodes of the given capacities (Mbit/s, per zone, a zone with none allowed) carry.

    Transit and egress tiers spread by weight over all their nodes: what is left is what is carried. An ingress tier is
    fed by the load balancer, which gives every zone with a live node the same share and, within the zone, every node
    the same: the smallest node of the weakest zone binds. A zone without a node takes no traffic.
    """
    carried = _carried_by_entry if role is Role.INGRESS else _carried_by_weight
    alone = [carried((*zones[:z], (), *zones[z + 1 :])) for z, nodes in enumerate(zones) if nodes]
    return Survival(
        whole_mbps=carried(zones),
        after_zone_loss_mbps=min(alone, default=0),
        after_node_losses_mbps=min(carried(left) for left in _losses(zones, node_failures)),
    )


def _carried_by_weight(zones: tuple[tuple[int, ...], ...]) -> int:
    return sum(sum(nodes) for nodes in zones)


def _carried_by_entry(zones: tuple[tuple[int, ...], ...]) -> int:
    live = [len(nodes) * min(nodes) for nodes in zones if nodes]
    return len(live) * min(live, default=0)


def _losses(zones: tuple[tuple[int, ...], ...], failures: int) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Yield what is left for every way in which the failures fall on zones, the largest nodes of a zone first."""
    for hit in combinations_with_replacement(range(len(zones)), failures):
        yield tuple(tuple(sorted(nodes)[: max(0, len(nodes) - hit.count(z))]) for z, nodes in enumerate(zones))
