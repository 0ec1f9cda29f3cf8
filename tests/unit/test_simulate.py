"""What a plan carries without some of its nodes: nobody is promised what is not there, nothing is lost in moving."""

from __future__ import annotations

import pytest

from ecm.model.plan import Plan
from ecm.model.simulation import ApplicationLeft, Simulation
from ecm.pipeline import UnknownSubjectError, simulate
from tests.cli import Project
from tests.reviews import HIGH, decided, prod

PLAN = decided(prod(), HIGH)
SLOTS = [slot for tier in PLAN.desired.tiers for slot in tier.slots]


def what_if(*failing: str, load: float = 1.0, plan: Plan = PLAN) -> Simulation:
    return simulate(plan, prod(), failing, round(1000 * load))


def application(found: Simulation, name: str) -> ApplicationLeft:
    return next(a for a in found.applications if a.application == name)


def test_a_plan_holds_what_it_was_made_for() -> None:
    found = what_if()
    assert found.holds
    assert found.applications == ()
    evidence = {tier.tier: tier for tier in PLAN.tiers}
    for tier in found.tiers:
        assert (tier.nodes_left, tier.capacity_mbps) == (tier.nodes, evidence[tier.tier].capacity_mbps)
        assert tier.load_mbps == evidence[tier.tier].load.planned_mbps


@pytest.mark.parametrize("zone", sorted({slot.zone for slot in SLOTS}))
def test_the_loss_of_a_zone_is_held_where_the_plan_says_so(zone: str) -> None:
    found = what_if(zone)
    assert found.failed == tuple(sorted(slot.id for slot in SLOTS if slot.zone == zone))
    assert all(tier.zone_loss_survived for tier in PLAN.tiers)
    assert found.holds
    assert {a.moves_to for a in found.applications} == {None}
    assert all(a.outage_s for a in found.applications)


def test_a_node_a_zone_and_a_tier_may_fail_together_and_what_is_unknown_is_named() -> None:
    assert what_if(SLOTS[0].id).failed == (SLOTS[0].id,)
    found = what_if("corp-out", SLOTS[0].zone)
    assert set(found.failed) == {s.id for s in SLOTS if s.zone == SLOTS[0].zone or s.id.startswith("corp-out/")}
    with pytest.raises(UnknownSubjectError, match=r"'corp' is no slot, zone or tier of the plan; zones: us-east-1a, "):
        what_if("corp")


def test_where_a_tier_is_gone_applications_take_a_chain_around_it_if_one_meets_them() -> None:
    """Only the guarded chains pass the inspecting tiers."""
    found = what_if("corp-inspect", "finance-inspect")
    ledger = application(found, "ledger")
    assert ledger.moves_to is None
    assert ledger.outage_s is None, "it waits for new nodes"
    assert {r.requirement for r in ledger.rejected} <= {"security_level", "bandwidth_mbps"}
    assert ledger.short_mbps == ledger.load_mbps
    assert not found.holds
    assert "voice" not in {a.application for a in found.applications}, "its chain is whole"


def test_a_move_takes_its_load_along() -> None:
    """Both chains of a VPN are asked of an application that may take either."""
    wanted = prod()
    fleet = wanted.fleet.model_copy(
        update={
            "applications": tuple(
                a.model_copy(update={"profile": "bulk", "chains": ()}) if a.id == "ledger" else a
                for a in wanted.fleet.applications
            )
        }
    )
    open_to_all = wanted.model_copy(update={"fleet": fleet})
    routes = tuple(
        r.model_copy(update={"chain": "finance-guarded"}) if r.application == "ledger" else r
        for r in PLAN.desired.applications
    )
    plan = PLAN.model_copy(update={"desired": PLAN.desired.model_copy(update={"applications": routes})})
    found = simulate(plan, open_to_all, ("finance-inspect",), 1000)
    moved = application(found, "ledger")
    assert (moved.moves_to, moved.short_mbps) == ("finance-direct", 0)
    tiers = {tier.tier: tier for tier in found.tiers}
    gone = tiers["finance-inspect"]
    assert gone.load_after_mbps == max(gone.load_mbps - moved.load_mbps, 0)
    for shared in ("finance-in", "finance-out"):
        assert tiers[shared].load_after_mbps == tiers[shared].load_mbps, "it passes it as before"


@pytest.mark.parametrize("load", [2.0, 4.0, 9.0])
def test_what_is_short_is_somebodys(load: float) -> None:
    found = what_if(load=load)
    chains = {(c.vpn, c.id): c.tiers for c in PLAN.desired.chains}
    for tier in found.tiers:
        mine = [a for a in found.applications if tier.tier in chains[a.vpn, a.moves_to or a.chain]]
        if tier.short_mbps:
            assert sum(a.short_mbps for a in mine) > 0, tier
    assert any(tier.short_mbps for tier in what_if(load=9.0).tiers)
    assert not what_if(load=9.0).holds


def test_more_failures_never_leave_less_short() -> None:
    short = [sum(t.short_mbps for t in what_if(*failing, load=2.0).tiers) for failing in ((), ("us-east-1a",))]
    assert short[0] <= short[1]


def test_the_command_says_who_is_short_and_exits_10(project: Project) -> None:
    code, out, err = project.plan("--json")
    assert out, (code, err)
    assert project.run("simulate", "--plan", "latest")[0] == 0
    found = project.json("simulate", "--plan", "latest", "--fail", "lab-in", "--load", "x1.5")
    assert (found["holds"], found["load_permille"]) == (False, 1500)
    code, out, _ = project.run("simulate", "--plan", "latest", "--fail", "lab-in")
    assert code == 10
    assert "short of" in out
    assert "once new nodes stand" in out
    assert project.files() == project.before, "nothing is written"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--load", "0"), "--load '0' is no factor above 0"),
        (("--load", "much"), "Write it as x1.5"),
        (("--fail", "nowhere"), "'nowhere' is no slot, zone or tier"),
    ],
)
def test_what_cannot_be_is_named(project: Project, words: tuple[str, ...], said: str) -> None:
    project.plan("--json")
    code, out, err = project.run("simulate", "--plan", "latest", *words)
    assert (code, out) == (64, "")
    assert said in err
