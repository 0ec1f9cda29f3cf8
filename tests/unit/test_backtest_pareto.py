"""Comparisons on curves whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from ecm.backtest.bootstrap import Point, day_weights, reduction_at_equal_hours
from ecm.backtest.pareto import Curve, edge, hours_at_equal_violations, interpolated_violations
from ecm.backtest.pareto import violations_at_equal_hours as violations_at


def a_curve(hours: list[float], violated: list[float], days: int = 4, floor: float = 2.5) -> Curve:
    """Totals spread evenly over the days."""
    spread = np.ones(days) / days
    labels = tuple(f"point {i}" for i in range(len(hours)))
    return Curve("peer", labels, np.outer(violated, spread), np.outer(hours, spread), floor)


def test_the_edge_keeps_what_nobody_beats() -> None:
    hours = np.array([100, 120, 110, 120, 130, 100])
    violated = np.array([50, 20, 60, 10, 10, 50])
    assert edge(hours, violated).tolist() == [True, False, False, True, False, False]


def test_violations_fall_exponentially_between_neighbours_of_the_edge() -> None:
    curve = a_curve([100, 120, 115, 140], [1000, 100, 5000, 10])
    assert violations_at(curve, 100) == pytest.approx(1000)
    assert violations_at(curve, 110) == pytest.approx(1000 / 10**0.5)
    assert violations_at(curve, 130) == pytest.approx(100 / 10**0.5)
    assert hours_at_equal_violations(curve, 100) == pytest.approx(120)
    assert hours_at_equal_violations(curve, 1000 / 10**0.5) == pytest.approx(110)


def test_past_its_ends_a_curve_keeps_its_last_value() -> None:
    curve = a_curve([100, 120], [1000, 100])
    assert violations_at(curve, 50) == pytest.approx(1000)
    assert violations_at(curve, 500) == pytest.approx(100)
    assert hours_at_equal_violations(curve, 5000) == pytest.approx(100)
    assert hours_at_equal_violations(curve, 1) == pytest.approx(120)


def test_nothing_seen_counts_as_half_a_step() -> None:
    curve = a_curve([100, 120, 140], [1000, 0, 0])
    assert violations_at(curve, 130) == pytest.approx(2.5)
    assert hours_at_equal_violations(curve, 0) == pytest.approx(120)
    none = Point(np.zeros(4), np.full(4, 30.0))
    assert reduction_at_equal_hours(none, curve, seed=1).estimate == pytest.approx(0)
    early = Point(np.zeros(4), np.full(4, 25.0))
    assert reduction_at_equal_hours(early, curve, seed=1).estimate == pytest.approx(1 - 2.5 / 1000)


def test_samples_are_interpolated_one_by_one() -> None:
    rng = np.random.default_rng(3)
    hours, violated = rng.uniform(50, 150, (20, 12)), rng.integers(0, 500, (20, 12)).astype(float)
    at = rng.uniform(40, 160, 20)
    template = a_curve([1, 2], [2, 1])
    found = interpolated_violations(template, hours, violated, at)
    for i in range(20):
        alone = violations_at(a_curve(hours[i].tolist(), violated[i].tolist()), float(at[i]))
        assert found[i] == pytest.approx(alone)


def test_what_days_do_to_both_sides_cancels_out() -> None:
    """Always a fifth of the peer's violations at the same hours, on days as different as they like."""
    rng = np.random.default_rng(5)
    violated, hours = rng.integers(50, 5000, 30).astype(float), rng.uniform(20, 200, 30)
    peer = Curve("peer", ("a", "b"), np.array([violated, violated / 10]), np.array([hours, hours * 1.2]), 2.5)
    found = reduction_at_equal_hours(Point(violated / 5, hours), peer, seed=7)
    assert (found.low, found.estimate, found.high) == pytest.approx((0.8, 0.8, 0.8))


def test_the_interval_is_as_wide_as_the_days_are_different() -> None:
    rng = np.random.default_rng(11)
    peer = Curve("peer", ("a",), np.full((1, 40), 100.0), np.full((1, 40), 50.0), 2.5)
    found = reduction_at_equal_hours(Point(rng.exponential(50.0, 40), np.full(40, 50.0)), peer, seed=2)
    # The mean of 40 exponentials has a standard deviation of 50 / sqrt(40); 90 % lie within 1.645 of them.
    assert found.low < found.estimate < found.high
    assert (found.high - found.low) == pytest.approx(2 * 1.645 * 0.5 / 40**0.5, rel=0.4)
    again = reduction_at_equal_hours(Point(np.full(40, 50.0), np.full(40, 50.0)), peer, seed=2)
    assert again.low == again.high == pytest.approx(0.5)


def test_resamples_draw_as_many_days_as_there_are_and_repeat_with_their_seed() -> None:
    weights = day_weights(17, seed=4, resamples=200)
    assert weights.shape == (200, 17)
    assert (weights.sum(axis=1) == 17).all()
    assert weights.std() > 0.5
    assert (weights == day_weights(17, seed=4, resamples=200)).all()
    assert (weights != day_weights(17, seed=5, resamples=200)).any()


def test_other_days_are_refused() -> None:
    with pytest.raises(ValueError, match="4 days"):
        reduction_at_equal_hours(Point(np.zeros(3), np.ones(3)), a_curve([1, 2], [2, 1]), seed=0)
    with pytest.raises(ValueError, match="differ in shape"):
        Curve("x", ("a",), np.zeros((2, 3)), np.zeros((2, 3)), 1.0)
