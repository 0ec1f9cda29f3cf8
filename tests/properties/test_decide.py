"""Properties of the whole deciding path: determinism, stability, monotony, and the optimum of small fleets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecm.intent import Intent
from ecm.model.base import canonical, digest
from ecm.model.plan import ConfigDigest, Desired, Plan
from ecm.model.policy import QosProfile
from ecm.model.refusal import Infeasible
from ecm.pipeline import Outcome, World, decide_from
from tests.forecasts import AS_OF, a_forecast, a_history
from tests.properties.fleets import CHAINS, ROOT, Wanted, an_intent, applications, loads


@pytest.fixture(autouse=True, scope="module")
def _rendering_is_tested_elsewhere() -> Iterator[None]:
    """Deciding needs only that other desired states have other digests; rendering each of thousands takes minutes."""

    def by_desired(desired: Desired, *_: object) -> tuple[ConfigDigest, ...]:
        return (ConfigDigest(key="all", digest=digest(desired)),)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ecm.pipeline.decision.config_digests", by_desired)
        yield


WORLD = World(as_of=AS_OF, templates=ROOT / "templates")
ONE_CHAIN = {"guarded": CHAINS["guarded"]}


def outcome(intent: Intent, mbps: list[int], world: World = WORLD) -> Outcome:
    load = {a.id: mbps[n] for n, a in enumerate(intent.fleet.applications)}
    return decide_from(intent, a_history(intent.fleet, load), a_forecast(intent.fleet, load), world)


def price(decided: Plan) -> int:
    """What sizing and assignment minimise when nothing stands yet: compute, and traffic between tiers."""
    lines = {line.item: line.after_usd_micro_per_hour for line in decided.cost.lines}
    return sum(v for item, v in lines.items() if item.startswith("compute ") or item == "traffic between zones")


@given(applications(), loads())
@settings(deadline=None, max_examples=80)
def test_the_same_inputs_give_the_same_bytes_and_planning_on_the_result_proposes_nothing(
    wanted: tuple[Wanted, ...], mbps: list[int]
) -> None:
    intent = an_intent(wanted)
    first, second = outcome(intent, mbps), outcome(intent, mbps)
    assert first == second
    if first.plan is None:
        assert first.infeasible
        return
    assert canonical(first.plan) == canonical(second.plan)
    again = outcome(intent, mbps, replace(WORLD, previous=first.plan, basis=first.plan.digest))
    assert again.nothing_to_do
    assert again.plan is not None
    assert again.plan.desired == first.plan.desired


@given(applications(), loads(), loads())
@settings(deadline=None, max_examples=80)
def test_planning_on_the_result_of_a_change_proposes_nothing_either(
    wanted: tuple[Wanted, ...], before: list[int], after: list[int]
) -> None:
    intent = an_intent(wanted)
    first = outcome(intent, before)
    if first.plan is None:
        return
    changed = outcome(intent, after, replace(WORLD, previous=first.plan, basis=first.plan.digest))
    if changed.plan is None:
        return
    again = outcome(intent, after, replace(WORLD, previous=changed.plan, basis=changed.plan.digest))
    assert again.nothing_to_do


@given(applications(), loads(), st.integers(0, 800))
@settings(deadline=None, max_examples=80)
def test_with_a_fixed_assignment_a_larger_load_never_lowers_what_a_tier_holds(
    wanted: tuple[Wanted, ...], mbps: list[int], more: int
) -> None:
    intent = an_intent(wanted, ONE_CHAIN)
    small, large = outcome(intent, mbps), outcome(intent, [m + more for m in mbps])
    if small.plan is None:
        assert large.plan is None
        return
    if large.plan is None:
        return
    held = {t.tier: t.usable_mbps for t in small.plan.tiers}
    assert all(t.usable_mbps >= held[t.tier] for t in large.plan.tiers)
    assert all(t.usable_mbps >= t.load.planned_mbps for t in large.plan.tiers)


STRICTER = {
    "latency_ms": lambda v: max(1, v // 2),
    "bandwidth_mbps": lambda v: v + 300,
    "security_level": lambda v: min(9, v + 1),
    "max_outage_s": lambda v: max(1, v // 4),
    "loss_pct": lambda v: v / 3,
    "violated_minute_usd": lambda v: v * 4 + 10_000,
}


@given(applications(), loads(), st.sampled_from(sorted(STRICTER)))
@settings(deadline=None, max_examples=60)
def test_a_stricter_profile_never_lowers_the_cost_and_never_becomes_feasible(
    wanted: tuple[Wanted, ...], mbps: list[int], requirement: str
) -> None:
    profile = wanted[0].profile
    harder = replace(
        wanted[0],
        profile=profile.model_copy(update={requirement: STRICTER[requirement](getattr(profile, requirement))}),
    )
    loose, strict = outcome(an_intent(wanted), mbps), outcome(an_intent((harder, *wanted[1:])), mbps)
    if loose.plan is None:
        assert strict.plan is None
    elif strict.plan is not None:
        assert price(strict.plan) >= price(loose.plan)


@given(applications(), loads())
@settings(deadline=None, max_examples=80)
def test_a_brute_force_over_all_assignments_finds_the_same_cost(wanted: tuple[Wanted, ...], mbps: list[int]) -> None:
    intent = an_intent(wanted)
    decided = outcome(intent, mbps)
    costs = [
        price(found.plan)
        for chains in product(*(w.chains or tuple(CHAINS) for w in wanted))
        for found in [_forced(intent, mbps, chains)]
        if found.plan is not None
    ]
    if decided.plan is None:
        assert not costs
    else:
        assert price(decided.plan) == min(costs)


def _forced(intent: Intent, mbps: list[int], chains: tuple[str, ...]) -> Outcome:
    """Decide with each application allowed one chain only."""
    applications = tuple(
        a.model_copy(update={"chains": (chain,)}) for a, chain in zip(intent.fleet.applications, chains, strict=True)
    )
    fleet = intent.fleet.model_copy(update={"applications": applications})
    return outcome(intent.model_copy(update={"fleet": fleet}), mbps)


@given(applications(), loads())
@settings(deadline=None, max_examples=80)
def test_slots_have_unique_numbers_addresses_and_indexes(wanted: tuple[Wanted, ...], mbps: list[int]) -> None:
    decided = outcome(an_intent(wanted), mbps).plan
    if decided is None:
        return
    nodes = [n for t in decided.desired.tiers for s in t.slots for n in s.nodes]
    assert len({n.private_ip for n in nodes}) == len(nodes)
    for tier in decided.desired.tiers:
        assert len({s.number for s in tier.slots}) == len(tier.slots)
        subnets = [n.cidr for n in decided.desired.network.subnets if n.kind is tier.subnets]
        assert all(any(n.private_ip in cidr for cidr in subnets) for s in tier.slots for n in s.nodes)


def test_an_application_that_no_chain_can_serve_is_refused_with_the_cheapest_relaxation() -> None:
    profile = QosProfile.model_validate(
        {
            "id": "vault",
            "traffic_class": "gold",
            "latency_ms": 20,
            "bandwidth_mbps": 10,
            "security_level": 4,
            "max_outage_s": 60,
            "loss_pct": 1,
            "priority": 1,
            "violated_minute_usd": 1,
        }
    )
    refused = outcome(an_intent((Wanted(profile),)), [10]).infeasible
    assert len(refused) == 1
    assert isinstance(refused[0], Infeasible)
    assert refused[0].subject == "application app-0"
    assert "security_level: 3 (now 4)" in refused[0].relaxation
    assert {r.candidate for r in refused[0].rejected} == {"chain direct", "chain guarded", "chain other"}
