"""Assignment: facts make levels, requirements keep chains out, cost decides, and every chain not taken has a reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ecm import routing
from ecm.intent import Intent, load
from ecm.model.catalog import Catalog
from ecm.model.fleet import Chain, Tenancy, Tier, WayIn
from ecm.model.policy import OnViolation
from ecm.model.refusal import Infeasible
from ecm.routing.large import TierCost
from tests.properties.fleets import ROOT

INTENT = load(ROOT, "prod")
FLEET = INTENT.fleet
TIER = FLEET.tier("finance-in")


@pytest.mark.parametrize(
    ("changes", "exits", "region", "level"),
    [
        ({}, False, "us-east-1", 3),
        ({"inspection": False}, False, "us-east-1", 2),
        ({"pre_shared_key": False}, False, "us-east-1", 2),
        ({"tenancy": Tenancy.DEDICATED}, False, "us-east-1", 4),
        ({}, True, "us-east-1", 1),
        ({"tenancy": Tenancy.DEDICATED}, True, "us-east-1", 1),
        ({}, False, "ap-south-1", 0),
    ],
)
def test_a_tiers_level_follows_from_its_facts(changes: dict[str, object], exits: bool, region: str, level: int) -> None:
    tier = Tier.model_validate({**TIER.model_dump(), **changes})
    assert routing.tier_level(tier, exits=exits, region=region, security=INTENT.security) == level


def facts(catalog: Catalog = INTENT.catalog) -> dict[str, routing.ChainFacts]:
    levels = {t.id: 3 if t.id.startswith("finance") else 2 for t in FLEET.tiers}
    return {c.id: routing.chain_facts(c, levels, zones=3, catalog=catalog, limits=INTENT.limits) for c in FLEET.chains}


def test_a_chain_adds_up_its_parts() -> None:
    two, three = facts()["finance-direct"], facts()["finance-guarded"]
    # 300 entry + 1500 per hop + 200 / (1 - 0.7) per node
    assert two.latency_us == 300 + 1500 + 2 * 200_000 // 300
    assert three.latency_us == 300 + 3000 + 3 * 200_000 // 300
    assert (two.loss_ppm, three.loss_ppm) == (100, 150)
    assert two.outage_s == 21


def routes(intent: Intent = INTENT, **changes: object) -> routing.Routes:
    profiles = {p.id: p for p in intent.qos.profiles}
    made = routing.Routes(
        fleet=intent.fleet,
        facts=facts(),
        profiles={a.id: profiles[a.profile] for a in intent.fleet.applications},
        limits=intent.limits,
        previous={},
        traffic_usd_micro={(a.id, c.id): 100 * len(c.tiers) for a in intent.fleet.applications for c in FLEET.chains},
    )
    return replace(made, **changes)


def per_application(tier: str, applications: frozenset[str]) -> int:
    return 1000 * len(applications) + (5000 if tier.endswith("inspect") else 0)


def chains(found: routing.Assignment | Infeasible) -> dict[str, str]:
    assert isinstance(found, routing.Assignment)
    return dict(found.chains)


def test_the_cheapest_chains_are_taken_and_the_others_have_their_price() -> None:
    found = routing.assign("finance", routes(), per_application)
    assert chains(found)["trading"] == "finance-direct"
    assert chains(found)["ledger"] == "finance-guarded"
    assert isinstance(found, routing.Assignment)
    assert found.bound_usd_micro == found.cost_usd_micro
    why = dict(found.rejected)
    assert (why["trading"].candidate, why["trading"].have) == ("chain finance-guarded", "+0.0011")


def test_an_application_stays_where_it_is_unless_the_move_pays() -> None:
    stays = routes(previous={"trading": "finance-guarded"})
    assert chains(routing.assign("finance", stays, per_application))["trading"] == "finance-guarded"
    dear = {**stays.traffic_usd_micro, ("trading", "finance-guarded"): 10**6}
    moves = replace(stays, traffic_usd_micro=dear)
    assert chains(routing.assign("finance", moves, per_application))["trading"] == "finance-direct"


def with_profile(name: str, **changes: object) -> routing.Routes:
    made = routes()
    changed = made.profiles[name].model_copy(update=changes)
    return replace(made, profiles={**made.profiles, name: changed})


def test_security_is_hard_whatever_the_profile_allows() -> None:
    asked = with_profile("trading", security_level=4, on_violation=OnViolation.BEST_EFFORT)
    refused = routing.assign("finance", asked, per_application)
    assert isinstance(refused, Infeasible)
    assert refused.subject == "application trading"
    assert "security_level: 3 (now 4)" in refused.relaxation


def test_a_fallback_takes_the_chain_that_misses_least_and_says_what() -> None:
    asked = with_profile("trading", latency_ms=2, on_violation=OnViolation.FALLBACK)
    found = routing.assign("finance", asked, per_application)
    assert isinstance(found, routing.Assignment)
    assert [(app, miss.requirement) for app, miss in found.violated] == [("trading", "latency_ms")]
    strict = with_profile("trading", latency_ms=2)
    assert isinstance(routing.assign("finance", strict, per_application), Infeasible)


def test_a_vpc_route_fails_over_with_a_reconcile_run_only() -> None:
    applications = tuple(
        a.model_copy(update={"way_in": WayIn.VPC_ROUTE}) if a.id == "trading" else a for a in FLEET.applications
    )
    fleet = FLEET.model_copy(update={"applications": applications})
    refused = routing.assign("finance", routes(INTENT.model_copy(update={"fleet": fleet})), per_application)
    assert isinstance(refused, Infeasible)
    assert {r.requirement for r in refused.rejected} == {"max_outage_s"}
    assert refused.rejected[0].have == "1140"


def test_a_tier_that_cannot_be_sized_is_the_reason() -> None:
    cannot = Infeasible(subject="tier finance-in", rejected=(), relaxation="allow a larger shape")
    found = routing.assign(
        "finance", routes(), lambda tier, apps: cannot if tier == "finance-in" else per_application(tier, apps)
    )
    assert found == cannot


def crowd(count: int, chains: int = 2, *, tiers_each: int = 2) -> tuple[routing.Routes, list[str]]:
    """`count` applications of one VPN, each of which may take any of some chains."""
    fleet = FLEET.model_copy(
        update={
            "applications": tuple(
                FLEET.applications[0].model_copy(
                    update={"id": f"a{n:04d}", "vpn": "v", "chains": (), "profile": "bulk"}
                )
                for n in range(count)
            ),
            "chains": tuple(
                Chain(id=f"c{n}", vpn="v", tiers=tuple(f"c{n}t{k}" for k in range(tiers_each))) for n in range(chains)
            ),
        }
    )
    facts = {
        c.id: routing.ChainFacts(chain=c.id, security_level=9, latency_us=1, loss_ppm=0, outage_s=1)
        for c in fleet.chains
    }
    bulk = next(p for p in INTENT.qos.profiles if p.id == "bulk")
    names = [a.id for a in fleet.applications]
    made = routing.Routes(
        fleet=fleet,
        facts=facts,
        profiles=dict.fromkeys(names, bulk),
        limits=INTENT.limits,
        previous={},
        traffic_usd_micro={(a, c.id): 100 for a in names for c in fleet.chains},
    )
    return made, names


def test_more_applications_than_the_stack_is_deep_are_assigned() -> None:
    made, names = crowd(1200)
    linear = routing.Linear(least_kbps=dict.fromkeys(names, 1), levels=lambda _tier, most: ((most, 0),))

    def cost(tier: str, apps: frozenset[str]) -> int:
        return len(apps) * (3 if tier.startswith("c0") else 2)

    assert chains(routing.assign("v", replace(made, linear=linear), cost)) == dict.fromkeys(names, "c1")


def seats(most: int) -> routing.Linear:
    """Every application needs 1 Mbit/s, every tier has `most`."""
    return routing.Linear(least_kbps={f"a{n:04d}": 1 for n in range(100)}, levels=lambda _tier, _most: ((most, 5),))


def seated(most: int) -> TierCost:
    full = Infeasible(subject="tier", rejected=(), relaxation="allow a larger shape")
    return lambda _tier, apps: full if len(apps) > most else 5


@pytest.mark.parametrize("count", [12, 60])
def test_where_there_is_no_room_that_is_said_at_once(count: int) -> None:
    """One seat is missing: every way but the last step fits."""
    made, _ = crowd(count, chains=4)
    calls = 0

    def cost(tier: str, apps: frozenset[str]) -> int | Infeasible:
        nonlocal calls
        calls += 1
        return seated((count - 1) // 4)(tier, apps)

    found = routing.assign("v", replace(made, linear=seats((count - 1) // 4)), cost)
    assert isinstance(found, Infeasible)
    assert found.subject == "tier", "proven, not given up"
    assert calls < 40_000


def test_what_was_given_up_is_not_called_impossible() -> None:
    made, _ = crowd(60, chains=4)
    found = routing.assign("v", made, seated(14))
    assert isinstance(found, Infeasible)
    assert "none of 20000 ways tried" in found.subject


def test_a_tight_fit_is_found_near_the_linear_one() -> None:
    """Depth first alone would fill the first chains with the wrong applications for ages."""
    made, names = crowd(40, chains=4)
    big = set(names[-20:])

    def cost(tier: str, apps: frozenset[str]) -> int | Infeasible:
        load = sum(2 if a in big else 1 for a in apps)
        return Infeasible(subject=tier, rejected=(), relaxation="grow") if load > 15 else 5

    least = {a: 2 if a in big else 1 for a in names}
    linear = routing.Linear(least_kbps=least, levels=lambda _tier, _most: ((15, 5),))
    found = chains(routing.assign("v", replace(made, linear=linear), cost))
    assert sorted(found) == names
    for chain in set(found.values()):
        assert sum(least[a] for a, c in found.items() if c == chain) <= 15
