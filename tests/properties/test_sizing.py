"""Sizing against an independent brute-force oracle, and the properties that protect users."""

from __future__ import annotations

from itertools import combinations, product

from hypothesis import given, settings
from hypothesis import strategies as st

from ecm.model.fleet import Role
from ecm.model.sizing import Placement
from ecm.sizing import Candidate, TierNeed, cheapest_mix

ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
SHAPES = ("c6gn.large", "c6gn.medium", "c7gn.large")
RHO = 700


def carried(role: Role, zones: list[list[int]]) -> int:
    """What live nodes carry, written anew: equal shares at the entry, by weight elsewhere."""
    if role is not Role.INGRESS:
        return sum(map(sum, zones))
    live = [z for z in zones if z]
    return min((len(live) * len(z) * min(z) for z in live), default=0)


def holds(need: TierNeed, zones: list[list[int]]) -> bool:
    """Kill every set of f nodes and every zone, one by one."""
    nodes = [(z, i) for z, zone in enumerate(zones) for i in range(len(zone))]
    if not need.min_nodes <= len(nodes) <= need.max_nodes or len(nodes) <= need.node_failures:
        return False
    enough = [
        carried(need.role, [[c for i, c in enumerate(zone) if (z, i) not in dead] for z, zone in enumerate(zones)])
        for dead in combinations(nodes, need.node_failures)
    ]
    if need.survive_zone_loss and len(zones) > 1:
        if sum(map(bool, zones)) < 2:
            return False  # with one zone alive its loss leaves nothing, whatever the load
        enough += [carried(need.role, [*zones[:z], [], *zones[z + 1 :]]) for z in range(len(zones)) if zones[z]]
    return min(enough) * RHO >= need.planned_mbps * 1000


def price(need: TierNeed, counts: tuple[int, ...]) -> int:
    total = 0
    for candidate, count in zip(need.candidates, counts, strict=True):
        total += count * candidate.usd_micro_per_hour + max(0, candidate.running - count) * need.churn_usd_micro
    return total


def zones_of(need: TierNeed, counts: tuple[int, ...]) -> list[list[int]]:
    names = sorted({c.zone for c in need.candidates})
    return [
        [c.capacity_mbps for c, n in zip(need.candidates, counts, strict=True) if c.zone == zone for _ in range(n)]
        for zone in names
    ]


def counts_of(need: TierNeed, placements: tuple[Placement, ...]) -> tuple[int, ...]:
    found = {(p.zone, p.shape): p.count for p in placements}
    return tuple(found.get((c.zone, c.shape), 0) for c in need.candidates)


@st.composite
def needs(draw: st.DrawFn, max_nodes: int = 6, load: int = 6000) -> TierNeed:
    zones = ZONES[: draw(st.integers(1, 3))]
    shapes = SHAPES[: draw(st.integers(1, 2))]
    kinds = {s: (draw(st.sampled_from([400, 900, 1000, 1500])), draw(st.integers(10_000, 90_000))) for s in shapes}
    candidates = tuple(
        Candidate(
            zone=z,
            shape=s,
            capacity_mbps=kinds[s][0],
            usd_micro_per_hour=kinds[s][1],
            running=running,
            at_most=draw(st.sampled_from([max_nodes, max_nodes, running])),
        )
        for z in zones
        for s in shapes
        for running in [draw(st.integers(0, 2))]
    )
    return TierNeed(
        role=draw(st.sampled_from(Role)),
        candidates=candidates,
        planned_mbps=draw(st.integers(0, load)),
        node_failures=draw(st.integers(0, 2)),
        survive_zone_loss=draw(st.booleans()),
        min_nodes=draw(st.integers(1, 2)),
        max_nodes=max_nodes,
        max_utilisation_permille=RHO,
        churn_usd_micro=draw(st.sampled_from([0, 10_000, 60_000])),
    )


@given(needs(max_nodes=5, load=3000))
@settings(deadline=None, max_examples=150)
def test_the_search_finds_the_cost_of_the_brute_force_oracle(need: TierNeed) -> None:
    grids = product(*(range(min(c.at_most, need.max_nodes) + 1) for c in need.candidates))
    feasible = [c for c in grids if sum(c) <= need.max_nodes and holds(need, zones_of(need, c))]
    found = cheapest_mix(need)
    if not feasible:
        assert found is None
        return
    assert found is not None
    assert price(need, counts_of(need, found)) == min(price(need, c) for c in feasible)


@given(needs())
@settings(deadline=None, max_examples=200)
def test_what_is_bought_holds_the_load_after_every_loss(need: TierNeed) -> None:
    found = cheapest_mix(need)
    if found is not None:
        counts = counts_of(need, found)
        assert holds(need, zones_of(need, counts))
        assert all(n <= c.at_most for n, c in zip(counts, need.candidates, strict=True))


def held(need: TierNeed, placements: tuple[Placement, ...]) -> int:
    """The largest load that the placements hold: bisection over the oracle."""
    low, high = 0, 100_000
    zones = zones_of(need, counts_of(need, placements))
    while low < high:
        middle = (low + high + 1) // 2
        if holds(need.model_copy(update={"planned_mbps": middle}), zones):
            low = middle
        else:
            high = middle - 1
    return low


@given(needs(), st.integers(0, 3000))
@settings(deadline=None, max_examples=200)
def test_a_larger_load_never_lowers_capacity_or_cost_and_never_becomes_feasible(need: TierNeed, more: int) -> None:
    larger = need.model_copy(update={"planned_mbps": need.planned_mbps + more})
    small, large = cheapest_mix(need), cheapest_mix(larger)
    if small is None:
        assert large is None
    elif large is not None:
        assert held(need, large) >= held(need, small)
        assert price(need, counts_of(need, large)) >= price(need, counts_of(need, small))


@given(needs())
@settings(deadline=None, max_examples=200)
def test_sizing_on_its_own_result_changes_nothing(need: TierNeed) -> None:
    need = need.model_copy(update={"churn_usd_micro": max(need.churn_usd_micro, 1)})
    first = cheapest_mix(need)
    if first is None:
        return
    counts = counts_of(need, first)
    again = need.model_copy(
        update={
            "candidates": tuple(
                c.model_copy(update={"running": n}) for c, n in zip(need.candidates, counts, strict=True)
            )
        }
    )
    assert cheapest_mix(again) == first
