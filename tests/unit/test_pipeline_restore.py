"""Going back to an earlier plan: its nodes and chains, but never what the fleet file and the profiles now forbid."""

from __future__ import annotations

from collections import Counter

import pytest

from ecm.model.plan import Plan
from ecm.pipeline import Outcome, World, restore
from tests.forecasts import AS_OF, a_forecast, a_history
from tests.reviews import HIGH, LOW, ROOT, decided, prod, standing


def back(to: Plan, now: Plan, load: int = LOW) -> Outcome:
    """Restore `to` where `now` is applied."""
    wanted = prod()
    loads = {a.id: load for a in wanted.fleet.applications}
    world = World(as_of=AS_OF, previous=now, basis=now.digest, templates=ROOT / "templates")
    return restore(wanted, a_history(wanted.fleet, loads), a_forecast(wanted.fleet, loads), world, to)


def active(plan: Plan) -> Counter[tuple[str, str, str]]:
    """Active nodes by tier, zone and shape."""
    return Counter(
        (tier.id, slot.zone, slot.nodes[-1].shape) for tier in plan.desired.tiers for slot in tier.slots if slot.active
    )


def chains(plan: Plan) -> dict[str, str]:
    return {route.application: route.chain for route in plan.desired.applications}


def test_the_nodes_of_the_earlier_plan_come_back() -> None:
    earlier = decided(prod(), HIGH)
    now = decided(prod(), LOW, earlier)
    assert active(now) != active(earlier)
    made = back(earlier, now).plan
    assert made is not None
    assert active(made) == active(earlier)
    assert (made.basis, made.serial) == (now.digest, now.serial + 1)


def test_what_is_applied_already_needs_nothing() -> None:
    now = standing()
    assert back(now, now).nothing_to_do


def with_chain(plan: Plan, application: str, chain: str) -> Plan:
    """`plan` as if `application` had taken `chain`."""
    routes = tuple(
        r.model_copy(update={"chain": chain}) if r.application == application else r for r in plan.desired.applications
    )
    return plan.model_copy(update={"desired": plan.desired.model_copy(update={"applications": routes})})


def other_chains(plan: Plan) -> list[tuple[str, str, bool]]:
    """(application, another chain of its VPN, whether only its cost speaks against it)."""
    found = []
    for evidence in plan.applications:
        vpn = next(a.vpn for a in prod().fleet.applications if a.id == evidence.application)
        for chain in (c.id for c in prod().fleet.chains if c.vpn == vpn and c.id != evidence.chain):
            against = [text for text in evidence.rejected if f"chain {chain}" in text]
            found.append((evidence.application, chain, bool(against) and all("cost in USD/h" in t for t in against)))
    return found


@pytest.mark.parametrize("dearer", [True, False])
def test_a_chain_comes_back_only_where_it_meets_what_is_required_now(dearer: bool) -> None:
    now = standing()
    tried = [(app, chain) for app, chain, only_cost in other_chains(now) if only_cost is dearer]
    assert tried
    for application, chain in tried:
        made = back(with_chain(now, application, chain), now).plan
        assert made is not None
        assert chains(made)[application] == (chain if dearer else chains(now)[application])
