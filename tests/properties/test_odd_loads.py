"""Odd loads give a sane forecast and plan or a refusal in words: never a crash, never a negative load."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecm.forecast import ForecastError, predict
from ecm.model.base import MAX_MBPS
from ecm.model.demand import DemandHistory
from ecm.model.fleet import Event
from ecm.pipeline import World, decide
from tests.properties.fleets import BASE, Wanted, an_intent
from tests.traces import a_fleet

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("app-0", "app-1", "app-2")
SPRING = datetime(2026, 3, 29, tzinfo=UTC)
"""The clock in Europe goes forward at 01:00."""
PROFILE = next(p for p in BASE.qos.profiles if p.security_level <= 1)
ODD = {
    "constant": lambda rng, n: np.full(n, rng.choice([1e-9, 0.4, 50.0])),
    "zero": lambda _, n: np.zeros(n),
    "intermittent": lambda rng, n: np.where(rng.random(n) < 0.02, rng.exponential(300, n), 0.0),
    "exploding": lambda rng, n: np.minimum(2.0 ** (np.arange(n) * rng.choice([0.02, 0.2])), 9e6),
    "holes": lambda rng, n: np.where(rng.random(n) < 0.9, np.nan, 100 + 30 * rng.standard_normal(n)).clip(0),
    "two points": lambda rng, n: np.where(np.isin(np.arange(n), rng.integers(0, n, 2)), 70.0, np.nan),
    "late": lambda _, n: np.where(np.arange(n) < n - 5, np.nan, 20.0),
    "ended": lambda _, n: np.where(np.arange(n) < n // 2, 90.0, np.nan),
    "fell": lambda _, n: np.where(np.arange(n) < n - 30, 200 + 100 * np.sin(np.arange(n) / 15), 0.0),
    "spike": lambda rng, n: np.where(np.arange(n) == rng.integers(0, n), 1e6, 10.0),
    "tiny": lambda rng, n: rng.random(n) * 1e-12,
    "daily": lambda rng, n: (100 + 80 * np.sin(np.arange(n) / 4)) * np.exp(0.1 * rng.standard_normal(n)),
    "nothing": lambda _, n: np.full(n, np.nan),
}


@st.composite
def histories(draw):
    """Three odd loads on one grid that ends soon after the clock went forward, a flag here and there."""
    interval = draw(st.sampled_from([60, 60, 15]))
    steps = draw(st.sampled_from([1, 2, 7, 50, 190, 400, 700]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mbps = np.stack([ODD[draw(st.sampled_from(sorted(ODD)))](rng, steps) for _ in NAMES])
    flags = draw(st.sampled_from([None, rng.random(mbps.shape) < 0.1]))
    end = SPRING + timedelta(hours=draw(st.integers(0, 40)))
    return DemandHistory(
        interval_min=interval,
        start=end - timedelta(minutes=interval * steps),
        applications=NAMES,
        vpns=("v",) * len(NAMES),
        mbps=mbps,
        saturated=flags,
    )


def refused_or(make):
    """What `make` makes; None where it is refused in words that name the applications and what to do."""
    try:
        return make()
    except ForecastError as refusal:
        said = refusal
    assert said.applications
    assert "\n" in str(said) or said.remedy
    return None


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories(), st.sampled_from([0, 13, 300]), st.sampled_from([(5, 15), (25, 120)]))
def test_any_mixture_gives_a_sane_forecast_or_a_refusal(history, late, window):
    event = Event(id="e", kind="e", start=history.end - timedelta(hours=3), end=history.end + timedelta(hours=3))
    fleet = a_fleet(tuple(("v", n) for n in NAMES), time_zone="Europe/Berlin", holidays="DE", events=(event,))
    lead, hold = window
    as_of = history.end + timedelta(minutes=late)
    made = refused_or(lambda: predict(history, fleet, as_of=as_of, lead_min=lead, hold_min=hold))
    if made is None:
        return
    for loads in (made.scenarios, made.earlier):
        assert np.isfinite(loads).all()
        assert loads.min(initial=0) >= 0
        assert loads.max(initial=0) <= MAX_MBPS
    for one in (*made.applications, *made.vpns):
        assert one.recent_peak_mbps <= one.window_p50_mbps <= one.window_p90_mbps <= one.window_p99_mbps
        assert all(0 <= a <= b <= c for a, b, c in zip(one.p50_mbps, one.p90_mbps, one.p99_mbps, strict=True))


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories())
def test_any_mixture_is_planned_or_refused(history):
    intent = an_intent(tuple(Wanted(PROFILE.model_copy(update={"id": f"p-{n}"})) for n in range(len(NAMES))))
    world = World(as_of=history.end, templates=ROOT / "templates")
    outcome = refused_or(lambda: decide(intent, history, world))
    if outcome is None:
        return
    if outcome.plan is None:
        assert all(r.relaxation for r in outcome.infeasible)
    else:
        assert all(t.load.planned_mbps >= 0 for t in outcome.plan.tiers)


@pytest.mark.parametrize("kind", sorted(ODD))
def test_each_kind_is_what_it_says(kind):
    """A generator that gives nothing but ordinary loads would let everything pass."""
    load = ODD[kind](np.random.default_rng(3), 400)
    assert load.shape == (400,)
    assert not (load < 0).any()
