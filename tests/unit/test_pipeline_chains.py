"""What the chains of a plan offer to single requests."""

from itertools import product

import pytest

from ecm import intent
from ecm.model.fleet import Role
from ecm.model.plan import NodeState, TierEvidence
from ecm.model.sizing import Load
from ecm.pipeline import chain_states
from ecm.pipeline.chains import NODE_UP, ZONE_UP
from tests.builders import ZONES, a_chain, a_desired, a_plan, a_tier
from tests.cli import ROOT


def evidence(tier, usable=700, planned=500, usd=70_000, capacity=2000):
    load = Load(applications=("web",), quantile_permille=990, planned_mbps=planned, p50_mbps=1, p90_mbps=1, p99_mbps=1)
    return TierEvidence(
        tier=tier,
        load=load,
        nodes_before=2,
        nodes_after=2,
        capacity_mbps=capacity,
        usable_mbps=usable,
        after_zone_loss_mbps=usable,
        after_node_losses_mbps=usable,
        zone_loss_survived=True,
        usd_micro_per_hour=usd,
        because=(),
    )


@pytest.fixture(scope="module")
def written():
    return intent.load(ROOT, "dev")


def states(written, *rows, **desired):
    return chain_states(a_plan(a_desired(**desired), tiers=rows), written)


def test_a_chain_offers_what_its_tiers_hold_beside_their_planned_load(written):
    (state,) = states(written, evidence("edge", usable=700, planned=650), evidence("out", usable=900, planned=100))
    assert [(room.tier, room.residual_mbps) for room in state.tiers] == [("edge", 50), ("out", 800)]
    assert state.residual_mbps == 50
    assert (state.security_level.value, state.latency_us.value, state.loss_ppm.value) == (2, 3000, 20)
    assert (state.entry, state.region) == ("corp.vpn.example.com", "us-east-1")
    said = (state.security_level, state.latency_us, state.loss_ppm, state.outage_s, state.availability_ppm)
    assert all(number.origin for number in (*said, state.marginal_usd_micro, *state.tiers))


def test_a_tier_that_is_short_has_nothing_left(written):
    (state,) = states(written, evidence("edge", usable=400, planned=500), evidence("out"))
    assert state.residual_mbps == 0


def test_a_chain_with_a_tier_that_carries_nothing_is_not_offered(written):
    chains = (a_chain(), a_chain(("edge", "mid", "out"), "long", 2))
    tiers = (a_tier("edge"), a_tier("mid", Role.TRANSIT), a_tier("out", Role.EGRESS))
    found = states(written, evidence("edge"), evidence("out"), chains=chains, tiers=tiers)
    assert [state.chain for state in found] == ["main"]


def test_one_more_mbps_costs_its_share_of_every_tier_and_of_the_traffic_between(written):
    (state,) = states(written, evidence("edge", usable=700, usd=70_000), evidence("out", usable=100, usd=70_000))
    catalog = written.catalog
    crossing = 0.45 * catalog.bandwidth.cross_zone_usd_per_gb * catalog.traffic.cross_zone_pct / 100
    assert state.marginal_usd_micro.value == int(100 + 700 + crossing)


@pytest.mark.parametrize(("planned", "needed"), [(500, 1), (1500, 2)])
def test_availability_counts_nodes_and_zones_that_tiers_share(written, planned, needed):
    """Two nodes of 1,000 Mbit/s in a zone each, in both tiers: by hand, over all that may stand or not."""
    (state,) = states(written, evidence("edge", planned=planned), evidence("out", planned=planned))
    expected = 0.0
    for zone_a, zone_b in product((True, False), repeat=2):
        chance = (ZONE_UP if zone_a else 1 - ZONE_UP) * (ZONE_UP if zone_b else 1 - ZONE_UP)
        tier = 0.0
        for one, two in product((True, False), repeat=2):
            if (one and zone_a) + (two and zone_b) >= needed:
                tier += (NODE_UP if one else 1 - NODE_UP) * (NODE_UP if two else 1 - NODE_UP)
        expected += chance * tier**2
    assert state.availability_ppm.value == pytest.approx(1_000_000 * expected, abs=1)


def test_a_node_that_drains_is_not_counted_on(written):
    edge = a_tier("edge")
    node = edge.slots[0].nodes[0].model_copy(update={"state": NodeState.DRAINING})
    draining = edge.model_copy(update={"slots": (edge.slots[0].model_copy(update={"nodes": (node,)}), edge.slots[1])})
    rows = evidence("edge"), evidence("out")
    whole, less = (
        states(written, *rows, tiers=(tier, a_tier("out", Role.EGRESS)))[0].availability_ppm.value
        for tier in (edge, draining)
    )
    assert less < whole < 1_000_000
    assert len(ZONES) == 2
