"""ECM's own decisions, and the forecasts that it lends to a peer, use nothing of what comes later."""

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecm.backtest import Rules, Trace
from ecm.backtest.peers import REFRESH_H
from ecm.model.fleet import Event
from ecm.pipeline.replay import Question, hourly_forecasts, replay

START = datetime(2026, 1, 5, tzinfo=UTC)
ROWS, LAST = 24 * 19 + 7, 40
"""Hourly rows, and how many of them are decided: two midnights, when models are fitted again, lie among them."""


def a_load(rng):
    """A daily load with outages, storms, a new level and gaps, some of them while decisions are made."""
    hour = np.arange(ROWS)
    load = (500 + 300 * np.sin(2 * np.pi * hour / 24)) * np.exp(0.05 * rng.standard_normal(ROWS))
    for first in (*rng.integers(24 * 8, ROWS, 3), *rng.integers(ROWS - LAST, ROWS, 2)):
        load[first : first + rng.integers(1, 30)] *= rng.choice([0.0, 0.2, 2.5])
    load[rng.random(ROWS) < 0.02] = np.nan
    return load


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**6), st.integers(ROWS - LAST, ROWS - 1))
def test_scrambling_what_comes_later_changes_no_decision(seed, at):
    rng = np.random.default_rng(seed)
    load = a_load(rng)
    other = load.copy()
    other[at:] = rng.permutation(other[at:]) * 7 + 900
    begins = START + timedelta(hours=ROWS - 20)
    events = (Event(id="e", kind="e", start=begins, end=begins + timedelta(hours=4), expected_factor=0.5),)
    rules = Rules(capacity=100, boot_min=5, min_nodes=2)
    first = ROWS - LAST
    one, two = (Question(Trace("t", START, 60, v), rules, first, (900, 995), events) for v in (load, other))
    decided, again = replay(one), replay(two)
    assert (decided.desired[:, : at - first + 1] == again.desired[:, : at - first + 1]).all()
    assert (decided.desired >= rules.min_nodes).all()
    refreshes = (at - first) // REFRESH_H + 1
    lent, lent_again = (hourly_forecasts(asked).means[:refreshes] for asked in (one, two))
    assert np.array_equal(lent, lent_again, equal_nan=True)
