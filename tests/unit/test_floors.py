"""Floors of applications add up to no more than any set of them is planned for, and to nearly all of what all are."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from ecm import sizing
from ecm.model.sizing import TierSizing
from ecm.pipeline import World
from ecm.pipeline.decision import _Study
from tests.forecasts import AS_OF, a_forecast
from tests.properties.fleets import BASE, Wanted, an_intent

COUNT = 7


def a_study() -> _Study:
    """Applications whose loads go their own ways."""
    realtime = next(p for p in BASE.qos.profiles if p.id == "realtime")
    wanted = tuple(
        Wanted(realtime.model_copy(update={"id": f"p-{n}", "bandwidth_mbps": 0, "violated_minute_usd": 900 * 10**n}))
        for n in range(COUNT)
    )
    intent = an_intent(wanted)
    forecast = a_forecast(intent.fleet, {a.id: 50 + 40 * n for n, a in enumerate(intent.fleet.applications)})
    noise = np.random.default_rng(5).uniform(0.6, 1.6, forecast.scenarios.shape)
    return _Study(
        intent,
        forecast.model_copy(update={"scenarios": np.rint(forecast.scenarios * noise)}),
        World(as_of=AS_OF),
    )


def test_no_set_is_planned_for_less_than_its_floors() -> None:
    study = a_study()
    names = tuple(study.applications)
    contexts = [study.contexts[t] for t in ("in", "mid", "out")]
    floors = sizing.least_loads(study.sizer, contexts, tuple(study.applications.values()))
    assert floors.small_kbps > 0, "the joint floor is the highest here"
    for tier in ("in", "mid", "out"):
        for count in range(1, COUNT + 1):
            for some in combinations(names, count):
                total = sum(floors.kbps[a] for a in some)
                if total > floors.small_kbps:
                    sized = study.size(tier, frozenset(some))
                    assert isinstance(sized, TierSizing)
                    assert sized.load.planned_mbps * 1000 >= total
    everyone = study.size("in", frozenset(names))
    assert isinstance(everyone, TierSizing)
    assert sum(floors.kbps.values()) > 930 * everyone.load.planned_mbps


def test_no_level_is_above_the_true_cost() -> None:
    study = a_study()
    contexts = [study.contexts[t] for t in ("in", "mid", "out")]
    floors = sizing.least_loads(study.sizer, contexts, tuple(study.applications.values()))
    levels = study.costing.levels("out", sum(floors.kbps.values()), floors.small_kbps)
    assert len(levels) > 1
    for count in range(1, COUNT + 1):
        for some in combinations(study.applications, count):
            cost = study.costing("out", frozenset(some))
            total = sum(floors.kbps[a] for a in some)
            assert isinstance(cost, int)
            assert next(price for top, price in levels if total <= top) <= cost
