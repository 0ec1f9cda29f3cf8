"""A request asks what its profile asks: single requests and the assignment of all see the same chains fit."""

from __future__ import annotations

from hypothesis import given, settings

from ecm import routing
from ecm.model.fleet import WayIn
from ecm.model.request import ChainState, RouteRequest, Stated, TierRoom
from ecm.pipeline import World
from ecm.pipeline.decision import _Study
from ecm.routing.request import HARD, choose, entered, failures, merged
from tests.forecasts import AS_OF, a_forecast
from tests.properties.fleets import ROOT, Wanted, an_intent, applications, loads

WORLD = World(as_of=AS_OF, templates=ROOT / "templates")


def offered(facts: routing.ChainFacts, tiers: tuple[str, ...]) -> ChainState:
    """A chain with all the room in the world."""
    numbers = {
        "security_level": facts.security_level,
        "latency_us": facts.latency_us,
        "loss_ppm": facts.loss_ppm,
        "outage_s": facts.outage_s,
        "availability_ppm": 1_000_000,
        "marginal_usd_micro": len(tiers),
    }
    return ChainState(
        chain=facts.chain,
        vpn="v",
        region="us-east-1",
        tiers=tuple(TierRoom(tier=t, residual_mbps=10**6, origin="tests") for t in tiers),
        entry="v",
        **{name: Stated(value=value, origin="tests") for name, value in numbers.items()},
    )


@given(applications(), loads())
@settings(deadline=None, max_examples=40)
def test_requests_and_assignments_refuse_a_chain_for_the_same_requirements(
    wanted: tuple[Wanted, ...], mbps: list[int]
) -> None:
    intent = an_intent(wanted)
    load = {a.id: mbps[n] for n, a in enumerate(intent.fleet.applications)}
    study = _Study(intent, a_forecast(intent.fleet, load), WORLD)
    for written in intent.fleet.applications:
        for way_in in WayIn:
            application = written.model_copy(update={"way_in": way_in})
            profile = study.profiles[application.id]
            chains = routing.candidates(intent.fleet, application)
            outage_s = routing.way_in_outage_s(application, intent.limits)
            states = tuple(entered(offered(study.facts[c.id], c.tiers), outage_s) for c in chains)
            asked = merged(RouteRequest(application=application.id, vpn="v"), profile)
            for state in states:
                refused = routing.failed_requirements(application, profile, study.facts[state.chain], intent.limits)
                assert [(r.requirement, r.have) for r in refused] == [
                    (r.requirement, r.have) for r in failures(asked, state)
                ]
            decision = choose(asked, profile, states)
            fits = [s for s in states if not failures(asked, s)]
            if fits:
                least = min(s.marginal_usd_micro.value for s in fits)
                assert decision.chain == min(s.chain for s in fits if s.marginal_usd_micro.value == least)
            elif decision.chain is not None:
                assert {r.requirement for r in decision.violated}.isdisjoint(HARD)
