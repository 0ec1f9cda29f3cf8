"""Capacities and loads against the formulas and figures they come from."""

from __future__ import annotations

import dataclasses

import pytest

from ecm import sizing
from ecm.intent import load
from ecm.model.fleet import Role
from ecm.model.policy import OnViolation
from ecm.model.refusal import Infeasible
from ecm.model.sizing import ZONE_LOSS_NOT_SURVIVED, TierSizing
from tests.forecasts import a_forecast
from tests.properties.fleets import ROOT

INTENT = load(ROOT, "staging")
CATALOG = INTENT.catalog
APPLICATIONS = INTENT.fleet.applications
PROFILES = {a.id: next(p for p in INTENT.qos.profiles if p.id == a.profile) for a in APPLICATIONS}


@pytest.mark.parametrize(
    ("shape", "role", "exits_only", "mbps", "constraint"),
    [
        ("c6gn.medium", Role.TRANSIT, False, 1000, "processor"),  # 1 / (1/2000 + 1/2000)
        ("c6gn.large", Role.INGRESS, False, 1500, "processor"),
        ("c6gn.medium", Role.EGRESS, True, 1535, "network-baseline"),  # 1600 / 1.042
        ("c6gn.xlarge", Role.TRANSIT, False, 2545, "processor"),  # 1 / (1/7000 + 1/4000)
        ("c7gn.xlarge", Role.EGRESS, True, 5000, "internet-cap"),
        ("t4g.small", Role.EGRESS, True, 122, "network-baseline"),
    ],
)
def test_a_nodes_capacity_is_its_narrowest_part(
    shape: str, role: Role, exits_only: bool, mbps: int, constraint: str
) -> None:
    found = sizing.node_capacity(CATALOG.shape(shape), role, exits_only=exits_only, traffic=CATALOG.traffic)
    assert (found.mbps, found.constraint) == (mbps, constraint)


def test_the_quantile_is_the_critical_ratio_shared_by_the_tiers_of_the_chain() -> None:
    limits = INTENT.limits
    cheap = PROFILES["updates"]  # 0.02 USD a violated minute against 0.0432 USD an hour: 0.02 / 0.02072 = 0.965
    assert sizing.planning_quantile([cheap], 43_200, 1, limits) == 965
    assert sizing.planning_quantile([cheap], 43_200, 2, limits) == 983
    assert sizing.planning_quantile([cheap], 4_320_000, 1, limits) == limits.quantile_min_permille
    assert sizing.planning_quantile([PROFILES["intranet"]], 43_200, 1, limits) == limits.quantile_max_permille
    people = cheap.model_copy(update={"planning_quantile_permille": 950})
    assert sizing.planning_quantile([people], 43_200, 1, limits) == 950


def test_a_quantile_that_people_set_is_what_every_tier_of_the_chain_is_planned_at() -> None:
    chosen = {a: p.model_copy(update={"planning_quantile_permille": 970}) for a, p in PROFILES.items()}
    forecast = a_forecast(INTENT.fleet, {"intranet": 600, "updates": 300})
    for tiers, quantile in ((1, 970), (2, 985), (3, 990)):
        sizer = sizing.Sizer(sizing.LoadSource(forecast, chosen), CATALOG, INTENT.limits)
        sized = sizer.size(dataclasses.replace(context(), chain_tiers=tiers), APPLICATIONS)
        assert isinstance(sized, TierSizing)
        assert sized.load.quantile_permille == quantile
        assert sized.load.planned_mbps == sizing.tier_load(sizer.source, APPLICATIONS, quantile).planned_mbps


def source(loads: dict[str, int]) -> sizing.LoadSource:
    return sizing.LoadSource(a_forecast(INTENT.fleet, loads), PROFILES)


def test_the_load_is_the_conformal_quantile_of_the_summed_scenarios() -> None:
    found = sizing.tier_load(source({"intranet": 1000, "updates": 500}), APPLICATIONS, 900)
    # 60 scenarios evenly from 80 % to 120 % of 1500; rank ceil(0.9 * 61) = 55
    assert found.planned_mbps == round(1000 * (0.8 + 0.4 * 54 / 59)) + round(500 * (0.8 + 0.4 * 54 / 59))
    assert found.because[0].constraint == "forecast-quantile"


def test_beyond_the_scenarios_the_largest_counts_with_the_tail_factor() -> None:
    found = sizing.tier_load(source({"intranet": 1000, "updates": 0}), APPLICATIONS, 995)
    assert found.planned_mbps == 1320


def test_the_load_is_never_below_the_recent_peak_or_the_promised_bandwidth() -> None:
    falling = source({"intranet": 1000, "updates": 500})
    peaks = tuple(a.model_copy(update={"recent_peak_mbps": 2000}) for a in falling.forecast.applications)
    raised = sizing.LoadSource(falling.forecast.model_copy(update={"applications": peaks}), falling.profiles)
    found = sizing.tier_load(raised, APPLICATIONS, 900)
    assert (found.planned_mbps, found.because[0].constraint) == (4000, "recent-peak")
    idle = sizing.tier_load(source({"intranet": 0, "updates": 0}), APPLICATIONS, 900)
    assert (idle.planned_mbps, idle.because[0].constraint) == (70, "bandwidth-floor")


def test_best_effort_is_never_a_reason_to_add_a_node() -> None:
    best = {a: p.model_copy(update={"on_violation": OnViolation.BEST_EFFORT}) for a, p in PROFILES.items()}
    forecast = a_forecast(INTENT.fleet, {"intranet": 900, "updates": 900})
    found = sizing.tier_load(sizing.LoadSource(forecast, best), APPLICATIONS, 900)
    assert found.planned_mbps == 0
    assert found.applications == ("intranet", "updates")


def test_an_entry_is_bound_by_its_weakest_zone_and_other_tiers_by_their_sum() -> None:
    zones = ((1000, 1500), (1000,), ())
    entry = sizing.survivable(zones, Role.INGRESS, node_failures=1)
    assert (entry.whole_mbps, entry.after_zone_loss_mbps, entry.after_node_losses_mbps) == (2000, 1000, 2000)
    inner = sizing.survivable(zones, Role.TRANSIT, node_failures=1)
    assert (inner.whole_mbps, inner.after_zone_loss_mbps, inner.after_node_losses_mbps) == (3500, 1000, 2000)


def context(unavailable: frozenset[tuple[str, str]] = frozenset()) -> sizing.TierContext:
    tier = INTENT.fleet.tier("corp-out")
    return sizing.TierContext(
        tier=tier,
        zones=INTENT.fleet.zones_of(tier),
        exits_only=True,
        chain_tiers=2,
        running=(),
        unavailable=unavailable,
    )


def test_without_capacity_in_a_zone_the_other_holds_the_load_and_the_missing_spare_is_named() -> None:
    sizer = sizing.Sizer(source({"intranet": 600, "updates": 300}), CATALOG, INTENT.limits)
    whole = sizer.size(context(), APPLICATIONS)
    assert isinstance(whole, TierSizing)
    assert {p.zone for p in whole.placements} == {"us-east-1a", "us-east-1b"}
    gone = frozenset((shape.name, "us-east-1a") for shape in CATALOG.shapes)
    alone = sizer.size(context(gone), APPLICATIONS)
    assert isinstance(alone, TierSizing)
    assert {p.zone for p in alone.placements} == {"us-east-1b"}
    assert alone.usable_mbps >= alone.load.planned_mbps
    assert alone.survival.after_zone_loss_mbps == 0
    assert ZONE_LOSS_NOT_SURVIVED in {b.constraint for b in alone.because}
    everywhere = frozenset((shape.name, zone) for shape in CATALOG.shapes for zone in context().zones)
    assert isinstance(sizer.size(context(everywhere), APPLICATIONS), Infeasible)


def test_a_load_that_no_mix_holds_is_refused_whatever_the_zones() -> None:
    sizer = sizing.Sizer(source({"intranet": 90_000, "updates": 0}), CATALOG, INTENT.limits)
    refused = sizer.size(context(), APPLICATIONS)
    assert isinstance(refused, Infeasible)
    assert "max_nodes_per_tier" in refused.relaxation


def changed(loads: dict[str, int], name: str, **what: object) -> sizing.LoadSource:
    """What `source` gives, with other facts about one application's forecast."""
    made = source(loads)
    applications = tuple(a.model_copy(update=what) if a.application == name else a for a in made.forecast.applications)
    return sizing.LoadSource(made.forecast.model_copy(update={"applications": applications}), made.profiles)


def test_where_the_band_did_not_hold_a_margin_over_the_recent_peak_is_planned() -> None:
    name = APPLICATIONS[0].id
    loads = {a.id: 100 for a in APPLICATIONS}
    trusted = sizing.tier_load(changed(loads, name, recent_peak_mbps=110), APPLICATIONS[:1], 900)
    assert (trusted.planned_mbps, trusted.because[0].constraint) == (117, "forecast-quantile")
    failed = sizing.tier_load(changed(loads, name, recent_peak_mbps=110, calibrated=False), APPLICATIONS[:1], 900)
    assert (failed.planned_mbps, failed.because[0].constraint) == (143, "coverage-failed")
    assert f"the band of {name} did not hold" in failed.because[0].detail


def test_nothing_is_scaled_in_on_a_fall_that_nothing_explains() -> None:
    name = APPLICATIONS[0].id
    fallen = changed({a.id: 100 for a in APPLICATIONS}, name, unexplained_fall=True)
    load = sizing.tier_load(fallen, APPLICATIONS, 900)
    kept = sizing.without_unexplained_fall(load, fallen.forecast, 9000)
    assert (kept.planned_mbps, kept.because[0].constraint) == (9000, "unexplained-fall")
    assert name in kept.because[0].detail
    assert sizing.without_unexplained_fall(load, fallen.forecast, 1) == load
    rest = sizing.tier_load(fallen, APPLICATIONS[1:], 900)
    assert sizing.without_unexplained_fall(rest, fallen.forecast, 9000) == rest
