"""The clairvoyant against all decisions that there are."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecm.backtest.allowance import clairvoyant_within
from ecm.backtest.arrays import Counts, held
from ecm.backtest.clairvoyant import clairvoyant
from ecm.backtest.simulate import simulate
from ecm.backtest.trace import Rules, Trace, demand

START = datetime(2026, 1, 5, tzinfo=UTC)
CASES = 300


def a_case(seed: int, most_rows: int) -> tuple[Trace, Rules]:
    rng = np.random.default_rng(seed)
    step = int(rng.choice([1, 2, 4, 5, 10]))
    rows = int(rng.integers(1, most_rows + 1))
    load = rng.integers(0, 4, size=rows) * 10.0
    load[rng.random(rows) < 0.1] = np.nan
    rules = Rules(
        capacity=10,
        boot_min=int(rng.integers(0, 12)),
        min_nodes=int(rng.integers(0, 2)),
        bill_after_min=int(rng.choice([0, 3, 5, 5, 12])),
        decide_every_min=step * int(rng.choice([1, 1, 2])),
    )
    return Trace("drawn", START, step, load), rules


def all_decisions(trace: Trace, rules: Rules) -> list[Counts]:
    """Every sequence of counts up to the peak that is decided at the rules' cadence."""
    period = rules.period(trace.step_min)
    counts = range(rules.min_nodes, int(demand(trace, rules).max()) + 1)
    decisions = -(-trace.rows // period)
    return [np.repeat(d, period)[: trace.rows] for d in product(counts, repeat=decisions)]


def test_no_decisions_without_a_violation_cost_less() -> None:
    for seed in range(CASES):
        trace, rules = a_case(seed, 6)
        found = simulate(trace, rules, clairvoyant(trace, rules))
        assert found.violated_min == 0
        runs = [simulate(trace, rules, d) for d in all_decisions(trace, rules)]
        best = min(r.node_hours for r in runs if r.violated_min == 0)
        assert found.node_hours == pytest.approx(best), (seed, trace.load, rules)


@given(st.integers(0, 10**6))
def test_the_optimum_is_decided_at_the_cadence_and_without_a_violation(seed: int) -> None:
    trace, rules = a_case(seed, 60)
    desired = clairvoyant(trace, rules)
    assert (held(desired, rules.period(trace.step_min)) == desired).all()
    assert simulate(trace, rules, desired).violated_min == 0


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 60))
def test_the_allowance_is_kept_and_never_costs_hours(seed: int, allowed_min: int) -> None:
    trace, rules = a_case(seed, 40)
    exact = simulate(trace, rules, clairvoyant(trace, rules))
    found = simulate(trace, rules, clairvoyant_within(trace, rules, allowed_min))
    assert found.violated_min <= allowed_min
    assert found.node_hours <= exact.node_hours + 1e-9


def test_the_allowance_is_near_the_best_that_there_is() -> None:
    ratios = []
    for seed in range(60):
        trace, rules = a_case(seed, 6)
        allowed = 2 * trace.step_min
        found = simulate(trace, rules, clairvoyant_within(trace, rules, allowed)).node_hours
        runs = [simulate(trace, rules, d) for d in all_decisions(trace, rules)]
        best = min(r.node_hours for r in runs if r.violated_min <= allowed)
        assert found >= best - 1e-9
        ratios.append((found + 1e-3) / (best + 1e-3))
    assert np.mean(np.array(ratios) < 1.001) > 0.8


def test_a_lone_burst_is_given_up_before_a_plateau() -> None:
    load = np.full(100, 15.0)
    load[40:42] = 95.0
    load[60:80] = 115.0
    trace, rules = Trace("t", START, 5, load), Rules(capacity=10, boot_min=5, min_nodes=1)
    assert clairvoyant(trace, rules)[40] == 10
    given_up = clairvoyant_within(trace, rules, 10)
    assert given_up[:50].max() == 2  # one by one, the plateau's edges would have seemed worth more
    assert (given_up[60:80] == 12).all()
    assert simulate(trace, rules, given_up).violated_min == 10


@pytest.mark.parametrize(("gap", "kept"), [(2, True), (3, False)])
def test_a_gap_is_bridged_up_to_boot_plus_billing(gap: int, kept: bool) -> None:
    """Ski rental: standing through a gap of 10 min costs as much as 5 min of billing and 5 min of boot."""
    load = np.array([25.0] * 4 + [5.0] * gap + [25.0] * 4)
    trace, rules = Trace("t", START, 5, load), Rules(capacity=10, boot_min=5, min_nodes=1)
    assert ((clairvoyant(trace, rules) == 3).all()) == kept
