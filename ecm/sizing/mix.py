"""The cheapest mix of shapes over zones that holds a load after the worst loss: exact search, branch and bound."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated

from pydantic import Field

from ecm.model.base import Frozen, Mbps, MicroUsd, Permille, ShapeName, Zone
from ecm.model.fleet import Role
from ecm.model.sizing import Placement
from ecm.sizing.survival import survivable


class Candidate(Frozen):
    """A shape that may stand in a zone."""

    zone: Zone
    shape: ShapeName
    capacity_mbps: Annotated[int, Field(ge=1)]
    usd_micro_per_hour: MicroUsd
    running: Annotated[int, Field(ge=0, le=16)]
    """Nodes of this kind that run now; taking one away costs `churn_usd_micro`."""
    at_most: Annotated[int, Field(ge=0, le=16)]
    """Where EC2 has no more capacity: what runs now; else the tier's limit."""


class TierNeed(Frozen):
    """Everything the search depends on."""

    role: Role
    candidates: tuple[Candidate, ...]
    """Sorted by zone, then shape."""
    planned_mbps: Mbps
    node_failures: int
    survive_zone_loss: bool
    min_nodes: int
    max_nodes: int
    max_utilisation_permille: Permille
    churn_usd_micro: MicroUsd


@dataclass(frozen=True)
class _Kit:
    """Nodes of one zone: counts by candidate of the zone."""

    counts: tuple[int, ...]
    nodes: int
    capacity: int
    """Sum of the nodes' capacities, Mbit/s."""
    entry_capacity: int
    """What the load balancer can use of it: every node gets the same, so the smallest one binds."""
    price: int
    """Cost per hour plus the churn of what is taken away."""


@dataclass
class _Search:
    need: TierNeed
    kits: list[list[_Kit]]
    """Per zone, cheapest first."""
    cheapest_left: list[int]
    """Price of the cheapest kits of the zones from index z on."""
    usd_micro_per_mbps: float
    """Lowest price of capacity among all candidates."""
    largest_mbps: int
    """Capacity of the largest candidate."""
    required_mbps: int
    """Capacity that must be left after a loss."""
    spread_mbps: int
    """Least capacity of all zones together of which any may be lost; that which is required where none may."""
    bound: int
    best: tuple[_Kit, ...] | None = None
    chosen: list[_Kit] = field(default_factory=list)

    @property
    def any_zone_may_go(self) -> bool:
        """Whether the largest zone has to be there once more."""
        return self.need.survive_zone_loss and len(self.kits) > 1


@lru_cache(maxsize=65_536)
def cheapest_mix(need: TierNeed) -> tuple[Placement, ...] | None:
    """Return the placements of least cost (price per hour plus churn) that hold `need`, or None when there are none.

    Exact: admissible bounds on the price and on the number of the missing nodes prune; ties go to the first in a fixed
    order that does not depend on the load, so a larger load never buys less capacity and planning on its own result is
    stable.
    """
    zones = _zones(need)
    kits = [_useful(need, _kits(_of_zone(need, zone), need.max_nodes, need.churn_usd_micro)) for zone in zones]
    if not all(kits):
        return None
    cheapest_left = [0] * (len(kits) + 1)
    for z in range(len(kits) - 1, -1, -1):
        cheapest_left[z] = cheapest_left[z + 1] + kits[z][0].price
    search = _Search(
        need,
        kits,
        cheapest_left,
        usd_micro_per_mbps=min(c.usd_micro_per_hour / c.capacity_mbps for c in need.candidates),
        largest_mbps=max(c.capacity_mbps for c in need.candidates),
        required_mbps=_required(need),
        spread_mbps=_least_total(need, 0),
        bound=_uniform_price(need, kits),
    )
    _descend(search, _Sums())
    if search.best is None:
        return None
    return tuple(
        Placement(zone=zone, shape=candidate.shape, count=count)
        for zone, kit in sorted(zip(zones, search.best, strict=True), key=lambda pair: pair[0])
        for candidate, count in zip(_of_zone(need, zone), kit.counts, strict=True)
        if count
    )


def holds(need: TierNeed, zones: tuple[tuple[int, ...], ...]) -> bool:
    """Return whether nodes of these capacities per zone hold the planned load after the worst loss."""
    if sum(len(z) for z in zones) <= need.node_failures:
        return False
    survival = survivable(zones, need.role, node_failures=need.node_failures)
    usable = survival.after_node_losses_mbps
    if need.survive_zone_loss and len(zones) > 1:
        if sum(1 for nodes in zones if nodes) < 2:
            return False
        usable = min(usable, survival.after_zone_loss_mbps)
    return usable * need.max_utilisation_permille >= need.planned_mbps * 1000


def _zones(need: TierNeed) -> tuple[str, ...]:
    """Return the zones in the order of the search: the last zone is the first to be left empty."""
    return tuple(reversed(dict.fromkeys(c.zone for c in need.candidates)))


def _of_zone(need: TierNeed, zone: str) -> tuple[Candidate, ...]:
    return tuple(c for c in need.candidates if c.zone == zone)


@lru_cache(maxsize=4096)
def _kits(candidates: tuple[Candidate, ...], max_nodes: int, churn_usd_micro: int) -> tuple[_Kit, ...]:
    """Return every set of nodes that a zone may hold, cheapest first."""
    counts: list[tuple[int, ...]] = [()]
    for candidate in candidates:
        counts = [(*some, more) for some in counts for more in range(min(candidate.at_most, max_nodes - sum(some)) + 1)]
    kits = [_kit(candidates, some, churn_usd_micro) for some in counts]
    return tuple(sorted(kits, key=lambda k: (k.price, k.nodes, k.counts)))


def _kit(candidates: tuple[Candidate, ...], counts: tuple[int, ...], churn_usd_micro: int) -> _Kit:
    pairs = list(zip(counts, candidates, strict=True))
    nodes = sum(counts)
    removed = sum(max(0, c.running - n) for n, c in pairs)
    return _Kit(
        counts=counts,
        nodes=nodes,
        capacity=sum(n * c.capacity_mbps for n, c in pairs),
        entry_capacity=nodes * min((c.capacity_mbps for n, c in pairs if n), default=0),
        price=sum(n * c.usd_micro_per_hour for n, c in pairs) + removed * churn_usd_micro,
    )


def _useful(need: TierNeed, kits: tuple[_Kit, ...]) -> list[_Kit]:
    """Leave out kits that no solution can have: an entry gives a live zone at least its equal share of the load."""
    if need.role is not Role.INGRESS:
        return list(kits)
    zones = len(_zones(need))
    survivors = zones - 1 if need.survive_zone_loss and zones > 1 else zones
    return [k for k in kits if not k.nodes or k.entry_capacity * survivors >= _required(need)]


def _required(need: TierNeed) -> int:
    """Return the capacity that must be left after a loss, Mbit/s."""
    return -(-need.planned_mbps * 1000 // need.max_utilisation_permille)


def _uniform_price(need: TierNeed, kits: list[list[_Kit]]) -> int:
    """Return the price of the cheapest solution with one kit for every zone: a first bound for the search."""
    by_counts = [{k.counts: k for k in zone} for zone in kits]
    common = set.intersection(*(set(zone) for zone in by_counts))
    same = [[zone[counts] for zone in by_counts] for counts in common]
    cheapest_first = sorted((sum(k.price for k in some), n) for n, some in enumerate(same))
    return next((price for price, n in cheapest_first if _accept(need, same[n])), 2**62)


def _accept(need: TierNeed, kits: list[_Kit]) -> bool:
    if not need.min_nodes <= sum(k.nodes for k in kits) <= need.max_nodes:
        return False
    if sum(k.capacity for k in kits) < _least_total(need, max(k.capacity for k in kits)):
        return False
    return holds(need, tuple(_capacities(need, z, k) for z, k in zip(_zones(need), kits, strict=True)))


def _capacities(need: TierNeed, zone: str, kit: _Kit) -> tuple[int, ...]:
    pairs = zip(_of_zone(need, zone), kit.counts, strict=True)
    return tuple(c.capacity_mbps for c, count in pairs for _ in range(count))


@dataclass(frozen=True)
class _Sums:
    """Of the kits that are chosen for the first zones."""

    price: int = 0
    nodes: int = 0
    capacity: int = 0
    largest: int = 0
    """Capacity of the largest of them."""


def _descend(search: _Search, sums: _Sums) -> None:
    """Choose the kit of the next zone, cheapest first, while the bounds leave room for something better."""
    depth = len(search.chosen)
    if depth == len(search.kits):
        if _accept(search.need, search.chosen):
            search.best, search.bound = tuple(search.chosen), sums.price - 1
        return
    left, again = search.cheapest_left[depth + 1], search.any_zone_may_go
    most_nodes, last = search.need.max_nodes - sums.nodes, depth + 1 == len(search.kits)
    for kit in search.kits[depth]:
        price = sums.price + kit.price
        if price + left > search.bound:
            break
        # No choice for the remaining zones can end in a better solution where these hold: this loop is the hot one.
        if kit.nodes > most_nodes:
            continue
        largest = max(sums.largest, kit.capacity)
        wanted = max(search.required_mbps + largest, search.spread_mbps) if again else search.required_mbps
        missing = wanted - sums.capacity - kit.capacity
        if missing > 0 and (
            last
            or kit.nodes - (-missing // search.largest_mbps) > most_nodes
            or price + int(missing * search.usd_micro_per_mbps) > search.bound
        ):
            continue
        search.chosen.append(kit)
        _descend(search, _Sums(price, sums.nodes + kit.nodes, sums.capacity + kit.capacity, largest))
        search.chosen.pop()


def _least_total(need: TierNeed, largest_zone: int) -> int:
    """Return a lower bound on the total capacity of any solution one of whose zones has `largest_zone` Mbit/s."""
    left, zones = _required(need), len(_zones(need))
    if not need.survive_zone_loss or zones == 1:
        return left
    return max(left + largest_zone, -(-left * zones // (zones - 1)))
