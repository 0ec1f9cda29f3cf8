"""Assignment: facts make levels, requirements keep chains out, cost decides, and every chain not taken has a reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ecm import routing
from ecm.intent import Intent, load
from ecm.model.catalog import Catalog
from ecm.model.fleet import Tenancy, Tier, WayIn
from ecm.model.policy import OnViolation
from ecm.model.refusal import Infeasible
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
