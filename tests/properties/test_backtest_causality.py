"""No policy sees what it decides for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecm.backtest import peers
from ecm.backtest.arrays import held
from ecm.backtest.peers import HourlyForecasts, Policy
from ecm.backtest.trace import Rules, Trace

START = datetime(2026, 1, 5, tzinfo=UTC)
GRID = (0.4, 0.6, 0.8, 0.95)
STEPS = {5: 2016 + 300, 30: 336 + 60, 60: 168 + 50}
FORECASTS = HourlyForecasts(
    int(START.timestamp()) // 3600, np.random.default_rng(8).uniform(100, 900, (40, peers.HORIZON_H))
)


def policies() -> list[Policy]:
    """Every policy; AWS predictive scaling with forecasts that are given (the oracle's are the future by intent)."""
    families = [*peers.peers().values(), peers.aws_predictive(FORECASTS)]
    return [replace(p, grid=GRID) for family in families for p in family]  # type: ignore[type-var]


def a_load(seed: int, rows: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    rng = np.random.default_rng(seed)
    load = 500 + 300 * np.sin(np.arange(rows) / 20) + rng.exponential(80, rows)
    load[rng.random(rows) < 0.03] = np.nan
    return load


@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 10**6), step=st.sampled_from(sorted(STEPS)), every=st.sampled_from([1, 1, 3]), data=st.data()
)
@pytest.mark.parametrize("policy", policies(), ids=lambda p: f"{p.name}, {p.variant}")
def test_what_comes_later_changes_no_decision(
    policy: Policy, seed: int, step: int, every: int, data: st.DataObject
) -> None:
    rows = STEPS[step]
    first = rows - data.draw(st.integers(5, 40))
    at = data.draw(st.integers(first, rows - 1))
    load = a_load(seed, rows)
    other = load.copy()
    other[at:] = np.random.default_rng(seed + 1).permutation(other[at:]) * 7 + 900
    rules = Rules(capacity=100, boot_min=5, min_nodes=2, decide_every_min=every * step)
    decided = policy.desired(Trace("t", START, step, load), rules, first)
    again = policy.desired(Trace("t", START, step, other), rules, first)
    assert decided.shape == (len(GRID), rows - first)
    assert (decided[:, : at - first + 1] == again[:, : at - first + 1]).all()
    assert (decided >= rules.min_nodes).all()
    assert (held(decided, every) == decided).all()


@pytest.mark.parametrize("policy", policies(), ids=lambda p: f"{p.name}, {p.variant}")
def test_what_came_before_changes_decisions(policy: Policy) -> None:
    """A policy that decides blindly would be causal too."""
    rows = STEPS[5]
    load = a_load(3, rows)
    rules = Rules(capacity=100, boot_min=5, min_nodes=2)
    decided = policy.desired(Trace("t", START, 5, load), rules, rows - 40)
    doubled = policy.desired(Trace("t", START, 5, load * 3), rules, rows - 40)
    assert (doubled >= decided).all()
    assert (doubled > decided).any()


@given(st.sampled_from([0.0, 1e-9, 1e12]), st.sampled_from([5, 60]))
@settings(max_examples=6, deadline=None)
def test_strange_loads_give_a_sane_count(level: float, step: int) -> None:
    for load in (np.full(300, level), np.full(300, np.nan), np.where(np.arange(300) % 50 == 7, level, np.nan)):
        for policy in policies():
            found = policy.desired(Trace("t", START, step, load), Rules(capacity=1e10, boot_min=7, min_nodes=0), 200)
            assert found.shape == (len(GRID), 100)
            assert (found >= 0).all()
            assert (found <= 1e4).all()
