"""Models have loads on which the real selection picks them, and only because they are there and work."""

from datetime import UTC, datetime

import numpy as np
import pytest

from ecm.forecast import Predictor
from ecm.forecast.models import candidates
from ecm.forecast.season import Season
from ecm.model.demand import DemandHistory
from tests.traces import a_fleet

DAY, WEEK = 24, 168
HOURS = np.arange(8 * WEEK)
WAVE = np.sin(2 * np.pi * (HOURS % DAY - 9) / DAY)
START = datetime(2026, 3, 2, tzinfo=UTC)


def noise(seed, size=8 * WEEK):
    return np.random.default_rng(seed).standard_normal(size)


def repeated(period, seed=1):
    """Every value is that of one period before and a new shock: what was usual over many periods is out of date."""
    rows = 230 + 30 * noise(seed, period) + np.cumsum(6 * noise(seed + 1, (len(HOURS) // period, period)), axis=0)
    return rows.ravel()


def swinging():
    """Swings about the time of day with a period of some 11 hours: the last two values tell, one alone does not."""
    found = np.zeros(len(HOURS))
    for step, shock in enumerate(10 * noise(1)):
        found[step] = 1.6 * found[step - 1] - 0.9 * found[step - 2] + shock if step > 1 else shock
    return 300 + 40 * WAVE + found


def drifting():
    """Level and every hour of the day take part of each error: a state space of exponential smoothing (Hyndman et al.,
    Forecasting with Exponential Smoothing, 2008, chapter 3)."""
    level, season, found = 200.0, list(40 * WAVE[:DAY]), []
    for step, error in enumerate(4 * noise(1)):
        found.append(level + season[step % DAY] + error)
        level += 0.1 * error
        season[step % DAY] += 0.4 * error
    return np.array(found)


def fading():
    """Proportional excursions of the level that fall to 1/e in four hours, on a day whose night is nearly idle."""
    level = np.zeros(len(HOURS))
    for step, shock in enumerate(0.35 * noise(1)):
        level[step] = np.exp(-1 / 4) * level[step - 1] + shock if step else shock
    return 100 * (1 + 0.95 * WAVE) * np.exp(level)


def wandering():
    """A level that wanders with heavy tails under noise, and no season."""
    rng = np.random.default_rng(1)
    return 2000 + np.cumsum(20 * rng.standard_t(3, len(HOURS))) + 28 * rng.standard_normal(len(HOURS))


LOADS = {
    "naive-week": repeated(WEEK),
    "naive-day": repeated(DAY),
    "arima": swinging(),
    "ets": drifting(),
    "seasonal-level": fading(),
    "local-level": wandering(),
}


def predictor(values):
    names = tuple(f"a{k:02}" for k in range(len(values)))
    history = DemandHistory(
        interval_min=60, start=START, applications=names, vpns=("corp",) * len(names), mbps=np.maximum(values, 0.0)
    )
    fleet = a_fleet(tuple(("corp", n) for n in names))
    return Predictor(history, fleet, lead_min=25, hold_min=120), history


def leading(values):
    """Return the models that the fit chose for the first series."""
    forecaster, history = predictor(values)
    return forecaster.at(history.end).applications[0].model.split(" + ")


@pytest.mark.parametrize("name", LOADS)
def test_a_model_is_chosen_where_its_assumption_holds_and_only_because_it_is_there(name, monkeypatch):
    assert name in leading(LOADS[name][None])
    model = next(m for m in candidates(Season(60), 1) if m.name == name).forecaster
    whole = type(model).paths
    monkeypatch.setattr(
        type(model),
        "paths",
        lambda self, *given: np.roll(whole(self, *given), 5 * (self is model), axis=1),
    )
    assert name not in leading(LOADS[name][None])


def test_the_boosted_model_is_chosen_where_many_series_share_a_rule_that_is_not_linear():
    """Far from the middle a load goes low, near it high (tent map): all correlations are nearly zero."""
    rng = np.random.default_rng(3)
    state, found = rng.uniform(-1, 1, 20), []
    for _ in range(30 * DAY):
        state = np.clip(1 - 1.9 * np.abs(state) + 0.02 * rng.standard_normal(20), -1, 1)
        found.append(state)
    assert "boosted" in leading(np.geomspace(100, 10_000, 20)[:, None] * (1 + 0.4 * np.array(found).T))
