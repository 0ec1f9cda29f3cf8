"""Beyond the exact search: the bound never exceeds the true optimum, and every chain meets what was asked."""

from __future__ import annotations

from importlib import import_module

import pytest
from hypothesis import given, settings

from ecm import routing
from ecm.model.refusal import Infeasible
from ecm.pipeline import World
from ecm.pipeline.decision import _Study
from tests.forecasts import AS_OF, a_forecast
from tests.properties.fleets import BASE, ROOT, Wanted, an_intent, applications, loads

MODULE = import_module("ecm.routing.search")
WORLD = World(as_of=AS_OF, templates=ROOT / "templates")


@given(applications(), loads())
@settings(deadline=None, max_examples=25)
def test_the_bound_and_the_cost_enclose_the_optimum(wanted: tuple[Wanted, ...], mbps: list[int]) -> None:
    intent = an_intent(wanted)
    load = {a.id: mbps[n] for n, a in enumerate(intent.fleet.applications)}
    study = _Study(intent, a_forecast(intent.fleet, load), WORLD)
    exact = study.assign("v")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "EXACT_NODES", 0)
        beyond = study.assign("v")
    if isinstance(exact, Infeasible):
        assert isinstance(beyond, Infeasible)
        return
    assert isinstance(beyond, routing.Assignment)
    assert beyond.bound_usd_micro <= exact.cost_usd_micro <= beyond.cost_usd_micro
    for application, chain in beyond.chains:
        profile, facts = study.profiles[application], study.facts[chain]
        assert facts.security_level >= profile.security_level
        assert facts.latency_us <= profile.latency_ms * 1000


def test_many_applications_are_assigned_near_the_bound() -> None:
    wanted = tuple(Wanted(w.profile.model_copy(update={"id": f"p-{n}"})) for n, w in enumerate([_plain()] * 14))
    intent = an_intent(wanted)
    load = {a.id: 40 + 17 * n for n, a in enumerate(intent.fleet.applications)}
    study = _Study(intent, a_forecast(intent.fleet, load), WORLD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "EXACT_NODES", 0)
        found = study.assign("v")
        patch.setattr(_Study, "_linear", lambda _study, _vpn: None)
        first = study.assign("v")
    assert isinstance(found, routing.Assignment)
    assert isinstance(first, routing.Assignment)
    assert found.cost_usd_micro <= first.cost_usd_micro
    assert first.bound_usd_micro < found.bound_usd_micro <= found.cost_usd_micro


def _plain() -> Wanted:
    bulk = next(p for p in BASE.qos.profiles if p.id == "bulk")
    return Wanted(bulk.model_copy(update={"latency_ms": 20, "max_outage_s": 300}))
