"""Costs worked out from a set nearby are those of sizing the set anew."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from ecm import sizing
from ecm.model.refusal import Infeasible
from ecm.model.sizing import Placement
from ecm.pipeline import World
from ecm.pipeline.decision import _Study
from tests.forecasts import AS_OF, a_forecast
from tests.properties.fleets import BASE, Wanted, an_intent

PROFILES = BASE.qos.profiles
COUNT = 8


@st.composite
def studies(draw: st.DrawFn) -> _Study:
    """A study of eight applications with any profiles, flows, standing nodes and unexplained falls."""
    wanted = [Wanted(draw(st.sampled_from(PROFILES))) for _ in range(COUNT)]
    used = {w.profile.id: w for w in wanted}
    intent = an_intent(tuple(used.values()))
    first = intent.fleet.applications[0]
    flows = st.sampled_from([None, None, 400, 1200, 1800])
    fleet = intent.fleet.model_copy(
        update={
            "applications": tuple(
                first.model_copy(update={"id": f"app-{n}", "profile": w.profile.id, "largest_flow_mbps": draw(flows)})
                for n, w in enumerate(wanted)
            )
        }
    )
    names = [a.id for a in fleet.applications]
    load = {a: draw(st.sampled_from([40, 300, 3000])) for a in names}
    forecast = a_forecast(fleet, load, fallen=frozenset(draw(st.sets(st.sampled_from(names), max_size=2))))
    unsure = draw(st.sets(st.sampled_from(names), max_size=2))
    known = tuple(a.model_copy(update={"calibrated": a.application not in unsure}) for a in forecast.applications)
    earlier = (forecast.scenarios[None, :, :, 2:] * draw(st.sampled_from([0, 1, 2]))).repeat(2, axis=0)
    forecast = forecast.model_copy(update={"applications": known, "earlier": earlier})
    study = _Study(intent.model_copy(update={"fleet": fleet}), forecast, World(as_of=AS_OF))
    running = (Placement(zone="us-east-1a", shape="c6gn.large", count=3),)
    study.contexts["out"] = replace(study.contexts["out"], running=running)
    return study


@given(studies(), st.lists(st.tuples(st.sampled_from(["in", "mid", "out", "out-b"]), st.integers(1, 2**COUNT - 1))))
@settings(deadline=None, max_examples=40)
def test_the_incremental_cost_is_the_full_one(study: _Study, asked: list[tuple[str, int]]) -> None:
    costing = sizing.Costing(study.sizer, study.contexts, study.applications)
    for tier, chosen in asked:
        applications = frozenset(f"app-{n}" for n in range(COUNT) if chosen >> n & 1)
        full = study.size(tier, applications)
        cost = costing(tier, applications)
        if isinstance(full, Infeasible):
            assert cost == full
        else:
            assert cost == full.usd_micro_per_hour + full.churn_usd_micro
